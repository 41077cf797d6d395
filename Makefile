# Everything a newcomer needs: `make demo` and `make test`. Both create .venv and install into it first.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: demo test test-slow lint types check reports benchmarks clean

demo: .venv/installed
	$(BIN)/abcost analyze reactnet_a --target fpga-lut6

test: lint types check

lint: .venv/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: .venv/installed-dev
	$(BIN)/mypy

check: .venv/installed-dev
	$(BIN)/pytest --numprocesses 2

test-slow: .venv/installed-dev
	$(BIN)/pytest -m slow

reports: .venv/installed
	$(BIN)/abcost reproduce --reports reports

benchmarks: .venv/installed-dev
	$(BIN)/python benchmarks/analysis_time.py

.venv/bin/python:
	$(PYTHON) -c 'import sys; assert sys.version_info >= (3, 11), "abcost needs Python 3.11 or newer: make PYTHON=python3.11"'
	$(PYTHON) -m venv .venv

.venv/installed: pyproject.toml constraints.txt | .venv/bin/python
	$(PIP) --editable .
	touch $@

.venv/installed-dev: pyproject.toml constraints.txt | .venv/bin/python
	$(PIP) --editable '.[dev]'
	touch .venv/installed $@

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
