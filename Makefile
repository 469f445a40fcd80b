# Works from a clean clone with python3 (3.11 to 3.13) and make alone.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
PY     := $(BIN)/python
SPEC   ?= search_spaces/schedules.yaml

# One thread a process, one process a core: two threads on a busy core cost more than they give.
export OMP_NUM_THREADS ?= 1

.PHONY: install run test test-all check docs gpu-check simulate lock dashboard reproduce-small clean
.DEFAULT_GOAL := help

help:
	@echo "make install | run | test | test-all | check | docs | gpu-check | simulate | lock | dashboard | reproduce-small   (make run SPEC=search_spaces/smoke.yaml for a quick look)"

install: $(VENV)/installed

$(VENV)/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v <= (3, 13) else "Python 3.11 to 3.13 is needed, this is %d.%d: make PYTHON=python3.12 ..." % v)'
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

run: install
	$(PY) -m sweeper run $(SPEC)

# Two processes, a file at a time; the longest tests (make test-all) kill whole clusters and run alone.
test: install
	$(PY) -m pytest -n 2 --dist loadfile -m "not long"

test-all: install
	$(PY) -m pytest

# Style, types, and the rules of the house: wings, no circles, no file over 300 lines, the picture of docs/architecture.md.
check: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(PY) -m pytest -q tests/test_architecture.py tests/test_architecture_document.py
	$(MAKE) --no-print-directory docs

# The documentation as a site, in .cache/site; a link to nowhere is an error.
docs: install
	@NO_COLOR=1 $(BIN)/zensical build --strict

# Where a GPU is: with .venv if it is there, else with a bare python3 that has torch. make gpu-check GPU="--wheels wheels"
gpu-check:
	$(if $(wildcard $(PY)),$(PY),$(PYTHON)) -m benchmarks.gpu_check $(GPU)

# Sweeps with faults, each from one seed: make simulate SEEDS=2000.
SEEDS ?= 500
simulate: install
	$(PY) -m tests.simulation.simulate --seeds $(SEEDS)

# The versions that are installed, as those to install: after a change of pyproject.toml, in a fresh environment.
lock: install
	@echo "# Every version that the tests ran with: pip install -c constraints.txt -e '.[dev]'" > constraints.new
	@$(PY) -m pip freeze --exclude-editable --disable-pip-version-check | sed 's/+cpu$$//; s/+cu[0-9]*$$//' | grep -v '^bd3lm-sweep' >> constraints.new
	mv constraints.new constraints.txt

dashboard: install
	$(PY) -m sweeper dashboard

# Five of the report's tables on a small scale, under 90 minutes on two cores; writes docs/reproduction.md.
reproduce-small: install
	$(PY) -m benchmarks.reproduce --write

clean:
	rm -rf $(VENV) .pytest_cache .ruff_cache .mypy_cache .hypothesis
