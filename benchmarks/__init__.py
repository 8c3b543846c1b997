"""The scoreboard: one small script a part, `make bench` runs them.

Each script has a docstring that says what is measured and a `measure()` that
returns a dict. Results go to results.json with the date, the machine, the
versions, the weights and the load, so that a number can be traced to its run.
Everything runs on one thread of the CPU.
"""
