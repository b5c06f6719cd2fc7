# Entry points. Everything is installed into .venv; nothing outside this directory is touched.
#
#   TORCH=…   what to install as torch, e.g. TORCH="torch==2.14.0" or a path to a wheel. By default: the build that comes from the
#             package index where an NVIDIA driver is present (CUDA, several GB), else a CPU build.

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
PYTEST := $(BIN)/python -m pytest -q
# Two workers of one thread each are faster than one worker of two: the models in the tests are tiny.
WORKERS ?= 2

.DEFAULT_GOAL := help
.PHONY: help demo test test-slow check tables node golden docs fuzz bench bench-probing bench-quickstart clean

help: ## list the entry points
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 18

demo: $(VENV)/.train ## set up, then run the embedded quickstart: offline, a few minutes on two cores
	$(BIN)/exgrpo run

test: $(VENV)/.dev ## set up, then run the tests
	OMP_NUM_THREADS=1 $(PYTEST) -n $(WORKERS) -m "not slow" tests

test-slow: $(VENV)/.dev ## the suites that take more than half a minute
	OMP_NUM_THREADS=1 $(PYTEST) -n $(WORKERS) -m slow tests

check: $(VENV)/.dev ## lint, format, types, import layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python scripts/build_tables.py --check

tables: $(VENV)/.dev ## build the parser's tables anew from its grammar
	$(BIN)/python scripts/build_tables.py

node: tests/node/node_modules ## what some tests compare output with: Mermaid, the schema of SARIF; needs npm, 190 MB on disk

tests/node/node_modules: tests/node/package.json
	cd tests/node && npm install --no-package-lock --no-audit --no-fund --loglevel=error
	@touch $@

golden: $(VENV)/.dev ## rewrite the expected diagnostics of tests/golden; read the diff before you commit it
	UPDATE_GOLDEN=1 $(PYTEST) tests/test_golden.py

docs: $(VENV)/.dev ## write the pages under docs/ that are made from the program
	$(BIN)/python scripts/build_docs.py

fuzz: $(VENV)/.dev ## property tests with many more examples
	$(PYTEST) -n $(WORKERS) -m hypothesis --hypothesis-profile=fuzz tests

bench: $(VENV)/.dev ## speed of checking, quality of recovery, speed of answers, variance of branches: a few minutes
	$(BIN)/python benchmarks/compiler.py
	$(BIN)/python benchmarks/recovery.py
	$(BIN)/python benchmarks/answers.py
	$(BIN)/python benchmarks/branches.py

bench-probing: $(VENV)/.dev ## what asking teachers costs, beside a raw loop: a few minutes
	$(BIN)/python benchmarks/probing.py

bench-quickstart: $(VENV)/.dev ## the quickstart over three seeds beside its controls: hours; writes benchmarks/results/
	$(BIN)/python benchmarks/quickstart_seeds.py

clean: ## remove the environment and everything that tools left behind
	rm -rf $(VENV) tests/node/node_modules build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "exgrpo needs Python 3.11 or later; $(PYTHON) is older. Set PYTHON=/path/to/python3.11."; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.torch: $(VENV)/bin/python scripts/install_torch.sh
	@TORCH="$(TORCH)" sh scripts/install_torch.sh $(BIN)/python
	@touch $@

$(VENV)/.train: $(VENV)/.torch pyproject.toml
	@echo "installing exgrpo with transformers, trl, peft, datasets: about 140 MB to download, 700 MB on disk"
	$(BIN)/python -m pip install -q -e '.[train]'
	@touch $@

$(VENV)/.dev: $(VENV)/.train
	@echo "installing the tools that the tests need: about 180 MB to download, 600 MB on disk"
	$(BIN)/python -m pip install -q -e '.[train,math,coherence,dev]'
	@touch $@
