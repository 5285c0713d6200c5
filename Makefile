# make demo          set-up, then the whole pipeline on the embedded corpus: results/demo/
# make test          set-up, then all tests
# make resume        set-up, then what a killed run left undone: make resume ARGS="--configfile configs/afew.yaml ..."
# make test-faults   set-up, then the long suite of faults; make test has a short form of it
# make test-slurm    set-up, then the smoke config on a Slurm of one node (root, Debian)
PYTHON ?= python3.11
CORES ?= $(shell nproc 2>/dev/null || echo 2)
BIN := .venv/bin
STAMP := .venv/.installed

.PHONY: demo resume test test-faults test-slurm setup lint

demo: setup
	$(BIN)/snakemake --cores $(CORES) --resources gpu=1

resume: setup
	$(BIN)/emopipe resume --cores $(CORES) --resources gpu=1 $(ARGS)

test-faults: setup
	$(BIN)/python -m tests.faults

test: setup
	$(BIN)/python -m pytest

test-slurm: setup
	tests/slurm/one_node.sh $(BIN)/python -m tests.slurm

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
