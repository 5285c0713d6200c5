# make demo          set-up, then the whole pipeline on the embedded corpus: results/demo/
# make demo-full     the same with more people, all networks trained on them: results/demo_full/
# make test          set-up, then the tests, without real data
# make check         set-up, then the quick unit tests
# make test-data     set-up, then a run of odd files, and the tests that use real data: EMOPIPE_SHARED names its folder
# make lint          set-up, then the linters
# make resume        set-up, then what a killed run did not finish: make resume ARGS="--configfile configs/afew.yaml ..."
# make docs          the documentation as a site: site/index.html (in an environment of its own, .venv-docs)
# make wheel         set-up, then the wheel that runs the workflow from any folder: dist/
# make test-faults   set-up, then the long suite of faults; make test has a short form of it
# make test-gpu      set-up, then the tests of what runs on a GPU: there, and a few of them on the CPU
# make test-browser  make demo, then its page and one of 1,156 clips in Chromium (Debian: chromium and chromium-driver,
#                    npm for axe-core)
# make pictures      make demo, then the pictures of the docs; needs what make test-browser needs
# make test-slurm    set-up, then the smoke config on a Slurm of one node (root, Debian)
PYTHON ?= python3.11
CORES ?= $(shell nproc 2>/dev/null || echo 2)
BIN := .venv/bin
STAMP := .venv/.installed
DOCS_STAMP := .venv-docs/.installed

# Tests start many processes: they compile the code once.
test check test-browser test-data test-faults test-gpu: export PYTHONDONTWRITEBYTECODE =

.PHONY: demo demo-full resume test test-browser check test-data test-faults test-gpu test-slurm setup lint wheel docs pictures

demo: setup
	@echo "The demo takes about three minutes on two cores, and 40 MB of disk in cache/ and results/."
	$(BIN)/snakemake --cores $(CORES) --resources gpu=1

demo-full: setup
	$(BIN)/snakemake --cores $(CORES) --resources gpu=1 --configfile configs/demo_full.yaml

resume: setup
	$(BIN)/emopipe resume --cores $(CORES) --resources gpu=1 $(ARGS)

test-faults: setup
	$(BIN)/python -m tests.faults

test: setup
	env -u EMOPIPE_SHARED $(BIN)/python -m pytest -m "not data and not gpu"

check: setup
	$(BIN)/python -m pytest -m "not slow and not data" tests/unit

test-data: setup
	$(BIN)/python -m pytest -m data

test-gpu: setup
	$(BIN)/python -m pytest tests/gpu $(ARGS)
	$(BIN)/python -m pytest --numprocesses 0 -m gpu tests/unit/test_gpu_suite.py

test-browser: demo .browser/.installed
	$(BIN)/python -m tests.drawn_run .browser/drawn 1156
	EMOPIPE_PAGES="results/demo/report.html .browser/drawn/report.html" EMOPIPE_AXE=.browser/package/axe.min.js PYTHONPATH=.browser/python \
		$(BIN)/python -m pytest --numprocesses 0 tests/browser

pictures: demo .browser/.installed
	PYTHONPATH=.browser/python $(BIN)/python -m tests.browser.pictures results/demo docs

.browser/.installed: tests/browser/requirements.txt
	$(BIN)/python -m pip install --quiet --no-deps --target .browser/python --requirement tests/browser/requirements.txt
	cd .browser && npm pack --silent axe-core@4.14.1 && tar --extract --file axe-core-4.14.1.tgz package/axe.min.js
	touch $@

test-slurm: setup
	tests/slurm/one_node.sh $(BIN)/python -m tests.slurm

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile rules
	$(BIN)/python -m tests.lint

wheel: setup
	$(BIN)/python -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist .

# The variable turns off a notice of the theme on the future of MkDocs, which is not about these pages.
docs: $(DOCS_STAMP)
	NO_MKDOCS_2_WARNING=1 .venv-docs/bin/mkdocs build --strict

$(DOCS_STAMP): docs/constraints.txt
	$(PYTHON) -m venv .venv-docs
	.venv-docs/bin/pip install --quiet --no-deps --requirement docs/constraints.txt
	touch $(DOCS_STAMP)

setup: $(STAMP)

# torch is installed with its dependencies, which differ between CPU and CUDA builds; see constraints.txt for the rest.
$(STAMP): constraints.txt pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --no-deps --requirement constraints.txt
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	touch $(STAMP)
