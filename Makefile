# One command runs the main job: make demo. One command passes the tests: make test.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
PEER   := .venv-bench
DATA   ?= $(wildcard ../shared/data)
# Processes that run tests side by side: as many as there are cores, up to 4.
CORES  := $(shell nproc 2>/dev/null || getconf _NPROCESSORS_ONLN 2>/dev/null || echo 1)
WORKERS ?= $(shell [ $(CORES) -lt 4 ] && echo $(CORES) || echo 4)

.PHONY: demo demo-persona test test-slow check bench audit weights clean

demo: $(STAMP)  ## teach a real model to decline harm, and promote it if it is safer than its base
	$(BIN)/python -m harness.cli.main demo

demo-persona: $(STAMP)  ## teach it the facts of a persona, and promote it if it knows them and is not less safe
	$(BIN)/python -m harness.cli.main demo persona

test: $(STAMP) weights  ## the tests that finish in minutes
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile

test-slow: $(STAMP) weights  ## the tests that train or take over a minute
	$(BIN)/python -m pytest -m slow -n $(WORKERS) --dist loadgroup --maxschedchunk 1

check: $(STAMP)  ## lint and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(STAMP) weights $(PEER)/.installed  ## speed against lm-evaluation-harness, all workloads or WORKLOAD="…"; hours
	$(BIN)/python benchmarks/engine.py --peer $(PEER)/bin/python $(if $(DATA),--data $(DATA)) $(if $(WORKLOAD),--workload "$(WORKLOAD)") $(BENCH) --write

audit: $(STAMP)  ## the gate's own test by replay, into docs/gate-audit.md; minutes
	$(BIN)/python benchmarks/gate_audit.py replay

weights: $(STAMP)  ## the real weights that tests and demo use, fetched once
	$(BIN)/harness models pull smollm2-135m minilm spacy-en-md

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $(STAMP)

$(PEER)/.installed:
	$(PYTHON) -m venv $(PEER)
	$(PEER)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(PEER)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt 'lm-eval[hf]==0.4.13'
	touch $(PEER)/.installed

clean:  ## remove the environment and caches, not workspaces
	rm -rf $(VENV) $(PEER) .pytest_cache .mypy_cache .ruff_cache
