.DEFAULT_GOAL := help
.PHONY: help demo test test-slow test-long mutants lint site bench bench-baselines clean
.NOTPARALLEL:

# The Python to make .venv with; empty means the newest that will do (see tools/python).
PYTHON ?=
export PYTHON
# Hundreds of processes of the tests import the same modules: let Python keep their bytecode.
unexport PYTHONDONTWRITEBYTECODE

RUN := .venv/bin
NEEDS := pyproject.toml constraints.txt tools/setup tools/python

help:  ## show this list
	@echo "Each target first sets up .venv by itself. PYTHON=/path/to/python3 chooses the Python."
	@sed -n 's/^\([a-z-]*\):.*## /  make \1@/p' Makefile | tr '@' '\t'

demo: .venv/.ready-serve  ## train, evaluate and recommend on a small data set, ready for the page
	$(RUN)/trimetric demo

# One thread for each process, and a process more than there are cores, since some tests wait. Tests of
# kernels, called twins, also run them as plain Python, which notices an index out of bounds.
TWINS = $(shell grep -rl mark.twin tests --include='*.py')
WORKERS := $(shell expr $$(nproc) + 1)
PYTEST = $(RUN)/python -m pytest -n $(WORKERS) --dist loadgroup --no-loadscope-reorder
test test-slow: export TRIMETRIC_THREADS := 1
test: .venv/.ready-dev  ## check that imports go one way, and run the tests on all cores; minutes
	$(RUN)/lint-imports --no-logo
	$(RUN)/python tests/support/kernels.py
	$(PYTEST) -m "not slow and not long"

test-slow: .venv/.ready-dev  ## run what `make test` leaves out: clusters, browsers, kills, kernels as plain Python
	NUMBA_DISABLE_JIT=1 $(RUN)/python -m pytest -qq -n $(WORKERS) -m "twin and not compiled and not long" $(TWINS)
	$(RUN)/python tests/support/kernels.py
	$(PYTEST) -m "slow and not long"

test-long: .venv/.ready-dev  ## run the campaigns: thousands of attacks; an hour
	$(RUN)/python -m pytest -m long

mutants: .venv/.ready-dev  ## change the code an operator at a time, and name what no test notices; hours
	$(RUN)/python tools/mutants $(MODULES)

lint: .venv/.ready-dev  ## ruff and mypy
	$(RUN)/ruff check
	$(RUN)/ruff format --check
	$(RUN)/mypy

site: .venv/.ready-dev  ## write the documentation as a site, references included, to dist/site
	NO_MKDOCS_2_WARNING=1 $(RUN)/mkdocs build --strict --quiet
	@echo "open dist/site/index.html"

bench: .venv/.ready-dev,peers  ## measure training and ranking beside peers
	$(RUN)/python benchmarks/train.py
	$(RUN)/python benchmarks/topk.py

bench-baselines: .venv/.ready-dev,peers .venv-peers/.ready  ## measure each model beside its peer
	$(RUN)/python benchmarks/baselines.py

clean:  ## remove .venv and everything else that was made here
	rm -rf .venv .venv-peers .pytest_cache .hypothesis .mypy_cache .ruff_cache .import_linter_cache dist demo-model
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/.ready: $(NEEDS)
	tools/setup
	@touch $@

.venv/.ready-%: $(NEEDS)
	tools/setup $*
	@touch $@

.venv-peers/.ready: constraints-peers.txt tools/peers tools/python
	tools/peers
	@touch $@
