# Everything that a fresh machine needs is installed by these targets into .venv.
PYTHON ?= python3
BIN := .venv/bin
.DEFAULT_GOAL := help
.PHONY: help demo test lint types bench clean

help:  ## List the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/'

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Clustem needs Python 3.11 or later; set PYTHON=python3.12, say."; exit 1; }
	$(PYTHON) -m venv .venv

.venv/.user: pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

.venv/.dev: pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@ .venv/.user

demo: .venv/.user  ## Run the EDS recipe on an embedded sample; the report is in demo_eds/
	$(BIN)/clustem demo eds --output demo_eds --force

test: .venv/.dev  ## Run all tests
	$(BIN)/python -m pytest --quiet -n auto

lint: .venv/.dev  ## Check style
	$(BIN)/ruff check src tests benchmarks
	$(BIN)/ruff format --check src tests benchmarks

types: .venv/.dev  ## Check types
	$(BIN)/mypy

bench: .venv/.dev  ## Print speed and memory against named peers
	@for script in benchmarks/*.py; do echo "== $$script"; $(BIN)/python $$script || exit 1; done

clean:  ## Remove the environment and what demos wrote
	rm -rf .venv demo_eds
