# One command runs the main job: make demo. One command passes the tests: make test.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed

.PHONY: demo test test-slow check docs weights clean

demo: $(STAMP)  ## train a small LoRA on a real model, run suites, gate it, decide
	$(BIN)/python -m harness.cli.main demo

test: $(STAMP) weights  ## the tests that finish in minutes
	$(BIN)/python -m pytest

test-slow: $(STAMP) weights  ## the tests that train or take over a minute
	$(BIN)/python -m pytest -m slow

check: $(STAMP)  ## lint and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

weights: $(STAMP)  ## the real weights that tests and demo use, fetched once
	$(BIN)/harness models pull smollm2-135m minilm spacy-en-md

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $(STAMP)

clean:  ## remove the environment and caches, not workspaces
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache
