"""One small script a question; `python -m benchmarks [NAME ...]` runs them.

Each script has a docstring that says what is measured and a `measure()` that
returns a dict. Results go to results.json with the date, the machine, the
versions and the load, so that a number can be traced to its run.
"""
