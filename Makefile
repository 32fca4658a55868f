# `make demo` and `make test` need Python 3.11 (or newer) with venv, git and make; the rest is installed into .venv.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.PHONY: install demo test check bench fuzz kills ablation

install: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt
	test -x $(BIN)/python || "$(PYTHON)" -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

demo: install
	$(BIN)/medcyclegan demo

test: check
	$(BIN)/python -m pytest

check: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

bench: install
	$(BIN)/python tests/benchmarks/bench_training_step.py
	$(BIN)/python tests/benchmarks/bench_memory.py
	$(BIN)/python tests/benchmarks/bench_nifti.py
	$(BIN)/python tests/benchmarks/bench_batches.py

# Training runs killed, stopped, starved and damaged; a quarter of an hour on one core.
KILLS ?= 100

kills: install
	$(BIN)/python -m tests.kills --kills $(KILLS)

# Each of the targets for so many seconds, half an hour in all; what is found lies in FUZZ_FINDINGS.
FUZZ_SECONDS ?= 100
FUZZ_FINDINGS ?= /tmp/medcyclegan-fuzz

fuzz: install
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,fuzz]'
	$(BIN)/python -m tests.fuzz --seconds $(FUZZ_SECONDS) --findings $(FUZZ_FINDINGS) $(FUZZ_TARGETS)

# The rows that docs/ablation.md lacks; minutes each. Start it twice to use two cores.
ABLATION_OUT ?= /tmp/medcyclegan-ablation

ablation: install
	$(BIN)/python -m tests.ablation $(ABLATION_OUT)
