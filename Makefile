# make demo   set-up, then the whole pipeline on the embedded corpus: results/demo/
# make test   set-up, then all tests
PYTHON ?= python3.11
CORES ?= $(shell nproc 2>/dev/null || echo 2)
BIN := .venv/bin
STAMP := .venv/.installed

.PHONY: demo test setup lint

demo: setup
	$(BIN)/snakemake --cores $(CORES) --resources gpu=1

test: setup
	$(BIN)/python -m pytest

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile rules
	$(BIN)/snakemake --lint

setup: $(STAMP)

# torch is installed with its dependencies, which differ between CPU and CUDA builds; see constraints.txt for the rest.
$(STAMP): constraints.txt pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --no-deps --requirement constraints.txt
	$(BIN)/python -m pip install --quiet --no-deps --editable .
	touch $(STAMP)
