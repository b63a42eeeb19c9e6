# Everything from a fresh clone with Python 3.11 or newer, pip and make. `make` alone lists the targets.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PEERS := .venv-bench
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
PINNED := --constraint constraints.txt --build-constraint constraints.txt
WORKERS ?= 2
# Where this is set, each of the hundreds of processes that tests and benchmarks start would compile our modules anew.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help demo test lint bench clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-6s %s\n", $$1, $$2 }' Makefile

demo: $(VENV)/.runs  ## fit the tutorial's eleven points, check the answer, race PyTorch's own loop
	@$(BIN)/katamuki fit 'y = a*x + b' examples/tutorial.csv
	@$(BIN)/python examples/demo.py

test: lint  ## lint, types, layers, then all tests
	@tools/browser
	@tools/postgres
	$(BIN)/python -m pytest -n $(WORKERS)

lint: $(VENV)/.develops  ## ruff, mypy, import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

bench: $(PEERS)/.runs  ## the table of speeds, each beside its peer's; ONLY=name, QUICK=1
	$(PEERS)/bin/python benchmarks/run.py $(ONLY) $(if $(QUICK),--quick)

clean:  ## remove what make made, the environment included
	rm -rf $(VENV) $(PEERS) dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache benchmarks/results

# A stamp is older than the files it depends on only if something must be installed again.
$(VENV)/.runs: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo 'katamuki needs Python 3.11 or newer: make PYTHON=python3.11'; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null \
		|| { echo 'this Python cannot make environments: apt-get install python3-venv'; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --upgrade --constraint constraints.txt pip
	$(PIP) install $(PINNED) --editable '.[torch]'
	@touch $@

# What benchmarks are timed against stays out of the environment of the library and its tests.
$(PEERS)/.runs: pyproject.toml constraints.txt benchmarks/constraints.txt
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/python -m pip --quiet install --upgrade --constraint constraints.txt pip
	$(PEERS)/bin/python -m pip --disable-pip-version-check --quiet install $(PINNED) \
		--constraint benchmarks/constraints.txt --editable '.[all]' --group bench
	@touch $@

$(VENV)/.develops: $(VENV)/.runs
	$(PIP) install $(PINNED) --group dev
	@touch $@
