# Two commands are enough: `make migrate` runs the main job on a demo deployment, `make test` the tests.
# Everything is installed into .venv from requirements.lock, with hashes.
.DEFAULT_GOAL := help
.PHONY: help setup migrate rollback test test-processes test-real check check-style clean

VENV := .venv
BIN := $(VENV)/bin
# Bytecode is kept: without it each of the tests' workers, and each of the programs that they start,
# compiles everything anew. Images often switch it off.
unexport PYTHONDONTWRITEBYTECODE
STAMP := $(VENV)/.installed

help:
	@echo "make migrate         turn on model overrides on a demo deployment in .cco-demo/ (no key, no network)"
	@echo "make rollback        undo it"
	@echo "make test            run the quick tests, and one of each kind that drives whole programs"
	@echo "make test-processes  run the others that drive whole programs: killed, replaced, under load"
	@echo "make test-real       run the tests that need real components"
	@echo "make check           format, lint, types, import contracts, and all tests but the last"
	@echo "make clean           stop the demo and remove .cco-demo and .venv"

setup: $(STAMP)

$(STAMP): requirements.lock pyproject.toml
	@python=; \
	for name in $(PYTHON) python3 python3.14 python3.13 python3.12 python3.11; do \
	    if "$$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then python=$$name; break; fi; \
	done; \
	if [ -z "$$python" ]; then \
	    echo "cco-migrate needs Python 3.11 or later; none found. Install one, or: make PYTHON=/path/to/python3 ..." >&2; \
	    exit 1; \
	fi; \
	echo "creating $(VENV) with $$("$$python" --version)"; \
	"$$python" -m venv --clear $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@$(BIN)/python -m compileall -q cco_migrate gateway
	@touch $@

migrate: $(STAMP)
	@$(BIN)/invoke migrate --yes --fix

rollback: $(STAMP)
	@$(BIN)/invoke rollback --yes

test: $(STAMP)
	@$(BIN)/python -m pytest -n 3 --dist worksteal -m "not real and (smoke or not process)"

test-processes: $(STAMP)
	@$(BIN)/python -m pytest -n 3 --dist worksteal -m "not real and process and not smoke"

test-real: $(STAMP)
	@$(BIN)/python -m pytest -m real

check: $(STAMP)
	@$(BIN)/invoke dev.check

check-style: $(STAMP)
	@$(BIN)/invoke dev.style

clean:
	@if [ -x $(BIN)/invoke ]; then $(BIN)/invoke demo.down; fi
	@rm -rf $(VENV) .cco-demo
