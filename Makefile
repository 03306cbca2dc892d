# Everything that a fresh machine needs is installed by these targets into .venv.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
TORCH ?= torch==2.13.0  # a version whose small build for CPUs is at hand on many machines
WORKERS ?= $(shell expr $$(getconf _NPROCESSORS_ONLN) + 1)  # some tests wait for other processes
.DEFAULT_GOAL := help
.PHONY: help demo test lint types faces docs docs-links pictures dist dist-test test-lowest bench fuzz soak mutants clean

help:  ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/'

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Clustem needs Python 3.11 or later; set PYTHON=python3.12, say."; exit 1; }
	$(PYTHON) -m venv .venv

.venv/.user: pyproject.toml | .venv/bin/python
	$(PIP) --editable .
	@touch $@

.venv/.dev: pyproject.toml | .venv/bin/python
	@$(PIP) $(TORCH) || echo "== NO PYTORCH: tests of the zero-loss model will be skipped =="
	$(PIP) --editable '.[dev,app]'
	@touch $@ .venv/.user

.venv/.browser: | .venv/bin/python
	@command -v chromium >/dev/null || (apt-get update && apt-get install -y chromium) \
		>/dev/null 2>&1 || echo "== NO CHROMIUM: tests in the browser will be skipped =="
	@touch $@

demo: .venv/.user  ## Run the EDS recipe on an embedded sample; the report is in demo_eds/
	$(BIN)/clustem demo eds --output demo_eds --force

test: .venv/.dev .venv/.browser  ## Run all tests; workers fill the cores, so BLAS takes one thread
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --quiet -n $(WORKERS) --dist loadfile --no-loadscope-reorder

lint: .venv/.dev  ## Check style
	$(BIN)/ruff check src tests benchmarks tools docs
	$(BIN)/ruff format --check src tests benchmarks tools docs

types: .venv/.dev  ## Check types
	$(BIN)/mypy

faces: .venv/.dev  ## Write the typed faces of the stages (.pyi) from their files
	$(BIN)/python tools/faces.py

.venv/.docs: pyproject.toml | .venv/.dev
	$(PIP) --editable '.[docs]'
	@touch $@

docs: .venv/.docs .venv/.browser  ## Build the documentation into docs/_build/html; warnings are errors
	rm -rf docs/_build docs/gallery docs/reference
	$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going docs docs/_build/html

docs-links: .venv/.docs  ## Build it without running the examples: links, docstrings and names alone
	$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going -D plot_gallery=0 docs docs/_build/links

pictures: .venv/.dev .venv/.browser  ## Draw the pictures that README shows, docs/images
	$(BIN)/python docs/pictures.py

.venv/.release: pyproject.toml | .venv/bin/python
	$(PIP) --editable '.[release]'
	@touch $@

dist: .venv/.release  ## Build and check the sdist and the wheel
	rm -rf dist
	$(BIN)/python -m build
	$(BIN)/twine check --strict dist/*.whl dist/*.tar.gz
	$(BIN)/check-wheel-contents dist/*.whl

dist-test: dist  ## Install the wheel into an empty environment and use it
	$(PYTHON) -m venv dist/venv
	dist/venv/bin/python -m pip install --quiet --disable-pip-version-check "$$(echo dist/*.whl)[app]"
	$(BIN)/python tools/installed.py dist/venv/bin/python

test-lowest: .venv/.release  ## Run tests with the oldest versions that are declared
	$(BIN)/uv venv --quiet --clear --python $(PYTHON) .venv/lowest
	VIRTUAL_ENV=.venv/lowest $(BIN)/uv pip install --quiet --resolution lowest-direct --editable '.[dev,app]'
	.venv/lowest/bin/python -m pytest --quiet -n auto -W default --ignore tests/front \
		tests/contract tests/oracle tests/golden

bench: .venv/.dev  ## Print speed and memory against named peers
	@for script in benchmarks/*.py; do echo "== $$script"; $(BIN)/python $$script || exit 1; done

fuzz: .venv/.dev  ## Open and run damaged files, and kill runs; some 30 minutes (SEED=1 for others)
	$(BIN)/python -W ignore tools/fuzz.py --seed $(or $(SEED),0)
	$(BIN)/python -W ignore tools/kills.py --seed $(or $(SEED),0)

soak: .venv/.dev  ## Use the explorer's sessions and forms at random, 10 minutes each
	$(BIN)/python -W ignore tools/soak.py --seed $(or $(SEED),0)
	$(BIN)/python -W ignore tools/forms.py --seed $(or $(SEED),0)

mutants: .venv/.dev  ## Change 100 operators and numbers one by one: do tests notice? Up to an hour
	$(BIN)/python -W ignore tools/mutants.py --seed $(or $(SEED),0)

clean:  ## Remove the environment and what demos wrote
	rm -rf .venv demo_eds
