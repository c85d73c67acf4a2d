# Every command works from a fresh clone: the environment is made when it is missing.
PYTHON ?= python3
BIN = .venv/bin
export OMP_NUM_THREADS ?= 1

.PHONY: run test test-fast test-models models check bench docs clean

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt --editable ".[dev]"
	touch $@

run: .venv/installed            ## compare the encodings with the defaults: one to two minutes on two cores
	$(BIN)/locant compare

test: .venv/installed           ## both stages: the fast tests, then those that compile, train and kill
	$(BIN)/python -m pytest -m "not slow and not models"
	$(BIN)/python -m pytest -m "slow and not models"

test-fast: .venv/installed
	$(BIN)/python -m pytest -m "not slow and not models"

models: .venv/installed         ## fetch two small trained models for locant xray, 180 MB, into the cache folder
	$(BIN)/python -m locant.xray.sources

test-models: models             ## the tests that look at them
	$(BIN)/python -m pytest -m models

check: .venv/installed          ## format, lint and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: .venv/installed          ## speed as ratios within one run
	$(BIN)/python benchmarks/run.py
	$(BIN)/python benchmarks/capacity.py
	$(BIN)/python benchmarks/xray.py 2

docs: .venv/installed           ## the pages under docs/ as a site in site/
	$(BIN)/zensical build --clean

clean:
	rm -rf .venv site
