# Two commands set up everything on a fresh machine: `make demo` and `make test`.
VENV   ?= .venv
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN    := $(VENV)/bin
MARKET ?= demo
PORT   ?= 3000
READY  := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help demo test lint ui bench clean install

help:  ## show this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

$(READY): setup.cfg pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev,fast]'
	touch $(READY)

install: $(READY)  ## create the virtual environment and install the package into it

demo: $(READY)  ## simulated market -> training -> factor test -> portfolio -> backtest -> report, in minutes
	$(BIN)/alpha-pipeline run demo --market demo

test: $(READY)  ## all tests, asset checks on the embedded market included
	$(BIN)/python -m pytest -n 2 --dist loadfile

lint: $(READY)  ## style, types, dependency direction
	$(BIN)/ruff check .
	$(BIN)/mypy alpha_pipeline
	$(BIN)/lint-imports

ui: $(READY)  ## Dagster's web interface on 127.0.0.1, with the runs of `make demo`
	$(BIN)/alpha-pipeline ui --market $(MARKET) --port $(PORT)

bench: $(READY)  ## measure and rewrite docs/benchmarks.md (see benchmarks/README.md)
	$(BIN)/python benchmarks/run_all.py

clean:  ## delete the virtual environment and the demo's data
	rm -rf $(VENV) data/demo build *.egg-info
