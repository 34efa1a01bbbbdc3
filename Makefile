# make demo   a cluster of ten virtual nodes, a session played on it, everything stopped again
# make test   lint and the whole suite                make check  lint and unit tests, under a minute
# make test-clients   submitit, dask, Snakemake and others against a live cluster
# make test-gpu       jobs on a real NVIDIA GPU: found, fenced, computed on, sampled, shared
# make test-vm        in a virtual machine with systemd and control groups of version 2 alone
# make venv   .venv with the package and all tools    make lint   format, ruff, types, import contracts
# make bench  speed, beside Slurm where it is there   make soak   long runs with crashes     make docs  check the pages

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help demo test test-gpu test-vm test-clients check lint format types contracts unit docs bench soak stats venv clean

bin := .venv/bin
workers ?= $(shell n=$$(nproc); echo $$(( n < 2 ? 2 : n > 8 ? 8 : n )))
test_workers ?= $(shell echo $$(( $(workers) + 1 )))#  tests of clusters wait much

help:
	@sed -n '/^$$/q; s/^# //p' Makefile

.venv/.installed-run: pyproject.toml scripts/venv
	@scripts/venv run

.venv/.installed-dev: pyproject.toml scripts/venv
	@scripts/venv dev

venv: .venv/.installed-dev

demo: .venv/.installed-run
	@$(bin)/python scripts/demo.py

test: .venv/.installed-dev lint
	@scripts/install-test-tools
	$(bin)/python -m pytest -q -n $(test_workers) --dist loadfile --no-loadscope-reorder tests

test-gpu: .venv/.installed-dev
	CORRAL_REAL_GPU=1 $(bin)/python -m pytest -q -rs --durations=0 tests/gpu

test-vm:
	@scripts/vm test

# Programs written against Slurm's commands, in an environment of their own, against a live cluster.
.venv-clients/.installed: tests/clients/requirements.txt
	@echo "corral: installing the clients into .venv-clients"
	@$(bin)/python -m venv .venv-clients
	@.venv-clients/bin/pip install --quiet --disable-pip-version-check --requirement tests/clients/requirements.txt
	@touch $@

test-clients: .venv/.installed-run .venv-clients/.installed
	@scripts/install-test-tools browser
	PATH="$(CURDIR)/.venv-clients/bin:$(CURDIR)/$(bin):$$PATH" .venv-clients/bin/python -m pytest -q tests/clients

check: lint unit docs

lint: format types contracts

format: .venv/.installed-dev
	$(bin)/ruff format --check --quiet .
	$(bin)/ruff check --quiet .

types: .venv/.installed-dev
	$(bin)/mypy --no-error-summary

contracts: .venv/.installed-dev
	$(bin)/lint-imports --no-logo || $(bin)/lint-imports --verbose

unit: .venv/.installed-dev
	$(bin)/python -m pytest -q -n $(workers) --dist loadfile -m "not slow" tests/unit

docs: .venv/.installed-dev
	$(bin)/python scripts/config_reference.py --check
	$(bin)/python scripts/cli_reference.py --check
	$(bin)/python scripts/compatibility.py --check
	$(bin)/python scripts/kubernetes_reference.py --check
	$(bin)/python scripts/code_map.py --check
	$(bin)/python scripts/check_docs.py

bench: .venv/.installed-run
	$(bin)/python bench/run.py

soak: .venv/.installed-dev
	$(bin)/python scripts/soak.py

stats:
	@find src -name '*.py' -print0 | xargs -0 wc -l | sort -rn | head -6

clean:
	rm -rf .mypy_cache .pytest_cache .ruff_cache .import_linter_cache build dist
