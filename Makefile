VENV ?= .venv
BIN = $(VENV)/bin
PYTHON ?= python3

.DEFAULT_GOAL := help

.PHONY: help
help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: install
install: $(BIN)/python  ## create the virtual environment with tracekmt and its development tools
	$(BIN)/pip install -q -e '.[dev,test]'

.PHONY: venv
venv: install  ## same as install

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

.PHONY: test
test:  ## run all tests, with ruff and mypy (PYTEST_ARGS selects tests)
	$(BIN)/python -m pytest $(PYTEST_ARGS)

.PHONY: lint
lint:  ## check the code with ruff and the spelling with codespell
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/codespell

.PHONY: format
format:  ## format the code
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

.PHONY: types
types:  ## check the types with mypy, for this system and for Windows
	$(BIN)/mypy
	$(BIN)/mypy --platform win32 tracekmt

.PHONY: docs
docs:  ## build the documentation into site/
	$(BIN)/pip install -q -e '.[docs]'
	DISABLE_MKDOCS_2_WARNING=true NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

.PHONY: bench
bench:  ## measure recording, traces, replay and diff
	$(BIN)/python benchmarks/capture.py
	$(BIN)/python benchmarks/drain.py
	$(BIN)/python benchmarks/trace.py
	$(BIN)/python benchmarks/replay.py
	$(BIN)/python benchmarks/diff.py
	$(BIN)/python benchmarks/thunks.py
	$(BIN)/python benchmarks/run.py

.PHONY: compare
compare:  ## compare the speed of two commits: make compare A=HEAD~1 B=HEAD
	$(BIN)/pip install -q -e '.[benchmarks]'
	$(BIN)/asv machine --yes
	$(BIN)/asv continuous --show-stderr --factor 1.1 $(or $(A),HEAD~1) $(or $(B),HEAD)

.PHONY: soak
soak:  ## run the kill, damage and fuzz tests at length, for about three hours
	TRACEKMT_SOAK=1 $(BIN)/python -m pytest tests/trace/test_damage.py tests/fuzz tests/cli/test_kills.py tests/record/test_session.py tests/record/test_threads.py tests/record/test_behaviours.py

.PHONY: precommit
precommit:  ## run the pre-commit hooks on all files
	$(BIN)/pre-commit run --all-files
