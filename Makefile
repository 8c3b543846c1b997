# Needs Python 3.11 or newer and make. Everything else goes into .venv.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/installed

# Two torch threads on two busy cores are many times slower than one.
export OMP_NUM_THREADS := 1

.DEFAULT_GOAL := help
.PHONY: help env book test lab chapters address bench bench-train \
	assignments grade clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z%-]+:.*## / {printf "make %-11s %s\n", $$1, $$2}' \
		$(MAKEFILE_LIST)

env: $(STAMP)  ## make the environment .venv (the other targets do it, too)

$(STAMP): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; try make PYTHON=python3.12"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		-r requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--no-deps -e .
	touch $@

# --all: an incremental build does not copy a changed file of _static.
book: env  ## build the HTML book from the stored outputs
	$(BIN)/jupyter-book build . --all -n -W --keep-going --quiet
	@echo "The book is built: file://$(CURDIR)/_build/html/index.html"

# loadfile: the cells of one notebook belong to one process. (Reordering would
# leave the browser's few long tests for last, and one core idle.)
test: env  ## run every test: units, chapters, built book, browser, ruff
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder \
		--durations=15

lab: env  ## open the chapters in JupyterLab
	$(BIN)/jupyter lab --config=book/lab_config.py

chapters: env  ## run the chapters again and store their outputs
	$(BIN)/python book/execute.py

address:  ## set the public address: make address URL=https://github.com/...
	@$(PYTHON) book/address.py '$(URL)'

bench: env  ## measure (two hours): benchmarks/results.json
	$(BIN)/python -m benchmarks

bench-%: env  ## measure one part: make bench-speed, bench-bits, ...
	$(BIN)/python -m benchmarks $*

bench-train: env  ## measure what needs networks trained first (hours)
	$(BIN)/python -m benchmarks train

assignments: env  ## build notebooks for students, and their autograders
	$(BIN)/python book/assignments.py build

grade: env  ## make grade ASSIGNMENT=a1_masks SUBMISSIONS=folder
	@test -n "$(ASSIGNMENT)" -a -n "$(SUBMISSIONS)" || \
		{ echo "make grade ASSIGNMENT=a1_masks SUBMISSIONS=folder"; exit 2; }
	@$(BIN)/python book/assignments.py grade $(ASSIGNMENT) "$(SUBMISSIONS)"

clean:  ## delete what was built (.venv stays)
	rm -rf _build runs .pytest_cache .ruff_cache .hypothesis
