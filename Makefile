# Every verb makes what it needs. `make help` lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help

PYTHON ?= python3.11
PY := .venv/bin/python
# A second environment for Triton: its Python backend returns empty tensors under numpy 2 (docs/adr/0004-local-triton.md).
PYTRITON := .venv-triton/bin/python

SHOP := .cache/sample-shop
# A camera photo that no network was trained on (split val of queries.csv).
DEMO_PHOTO := $(SHOP)/photos/photo-00009.jpg
# Camera photos of the same split, offered on the page of `make demo`.
DEMO_SAMPLES := $(SHOP)/photos/photo-000[012][13579].jpg
STORE ?= store
REPOSITORY ?= model_repository
SHOPCAM_PORT ?= 3000
export SHOPCAM_PORT
# Triton is on PyPI for Linux on x86-64; elsewhere, and with IN_PROCESS=1, the service runs the networks itself.
IN_PROCESS ?= $(if $(filter Linux-x86_64,$(shell uname -s)-$(shell uname -m)),,1)
NETWORKS := $(if $(IN_PROCESS),--in-process,--local-triton)
TRITON_ENV := $(if $(IN_PROCESS),,.venv-triton/.ready)
PIP := -m pip install --quiet --disable-pip-version-check

export BENTOML_DO_NOT_TRACK := True
export PYTHONUNBUFFERED := 1

.PHONY: help prerequisites service-env dev-env triton-env shop gallery demo serve test check bench loadtest sample-models clean

help: ## list the verbs
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

prerequisites:
	@command -v $(PYTHON) >/dev/null || { echo "error: Python 3.11 was not found; install it, or name yours: make PYTHON=/path/to/python3.11 ..." >&2; exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || { echo "error: $(PYTHON) is not Python 3.11, which the pinned packages were tested with" >&2; exit 2; }
	@command -v c++ >/dev/null || command -v g++ >/dev/null || command -v clang++ >/dev/null || { echo "error: no C++ compiler was found; fastText builds from source (Debian: apt-get install g++)" >&2; exit 2; }

.venv/.service: pyproject.toml constraints.txt | prerequisites
	@echo "setting up .venv for the service (about a minute) ..."
	@test -x $(PY) || $(PYTHON) -m venv .venv
	@$(PY) $(PIP) -c constraints.txt -e '.[cpu,build]'
	@touch $@

.venv/.dev: .venv/.service
	@echo "adding torch, tests and tools to .venv (5 GB, some minutes) ..."
	@$(PY) $(PIP) -c constraints.txt -e '.[cpu,build,train,scale,trace,load,bench,cloud,dev]'
	@touch $@

.venv-triton/.ready: constraints-triton.txt | prerequisites
	@echo "setting up .venv-triton with NVIDIA's Triton server ..."
	@test -x $(PYTRITON) || $(PYTHON) -m venv .venv-triton
	@$(PYTRITON) $(PIP) -c constraints-triton.txt nvidia-pytriton onnxruntime numpy
	@touch $@

service-env: .venv/.service ## the service's environment, without torch
dev-env: .venv/.dev ## training, tests and tools
triton-env: .venv-triton/.ready ## Triton from PyPI, for machines without containers

$(SHOP)/catalog.csv: | .venv/.service
	@$(PY) -m catalog sample --out $(SHOP)

shop: $(SHOP)/catalog.csv ## draw the sample shop

runs/sample-words/words.json: $(SHOP)/catalog.csv
	@$(PY) -m training words --catalog $(SHOP)/catalog.csv --out runs/sample-words

$(STORE)/live.json: runs/sample-words/words.json
	@$(PY) -m index_builder build --catalog $(SHOP)/catalog.csv --repository $(REPOSITORY) --words runs/sample-words --store $(STORE)

gallery: $(STORE)/live.json ## sample shop -> gallery, live in ./store

demo: .venv/.service $(TRITON_ENV) $(STORE)/live.json ## sample shop -> gallery -> Triton + service -> a search
	@once=; if [ -n "$$DEMO_ONCE" ] || ! [ -t 1 ]; then once=--once; fi; \
	$(PY) -m bento serve --store $(STORE) --repository $(REPOSITORY) $(NETWORKS) --samples '$(DEMO_SAMPLES)' --try $(DEMO_PHOTO) $$once

serve: .venv/.service $(TRITON_ENV) $(STORE)/live.json ## the live gallery of ./store on http://127.0.0.1:3000
	@$(PY) -m bento serve --store $(STORE) --repository $(REPOSITORY) $(NETWORKS)

# Two workers, whole files: half of the suite waits for servers and for single-threaded parts.
test: .venv/.dev .venv-triton/.ready ## all tests
	@$(PY) -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(PYTEST_ARGS)

check: .venv/.dev ## ruff, mypy, import-linter
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy
	@.venv/bin/lint-imports

bench: .venv/.dev .venv-triton/.ready ## the tables under benchmarks/results/ (hours from nothing: graphs of a million products of other libraries alone take one)
	@$(PY) -m benchmarks.quality sample
	@$(PY) -m benchmarks.quality weight
	@$(PY) -m benchmarks.quality grocery
	@$(PY) -m benchmarks.quality main
	@$(PY) -m benchmarks.serving service
	@$(PY) -m benchmarks.serving peers
	@$(PY) -m benchmarks.serving fuzz
	@$(PY) -m benchmarks.coldstart
	@$(PY) -m benchmarks.cloud
	@for verb in embed memory build search open swap faults; do $(PY) -m benchmarks.galleries $$verb || exit; done

loadtest: .venv/.dev ## Locust against a running service (make serve)
	@$(PY) -m loadtests run --host http://127.0.0.1:$(SHOPCAM_PORT) --photos $(SHOP)/photos --duration 30s $(LOADTEST_ARGS)

SAMPLE_PICTURES := --catalog $(SHOP)/catalog.csv --catalog $(SHOP)/queries.csv --split gallery,train --val-split val --sample-views 8
SAMPLE_TRAINING := --augment light --seed 0 --threads 2

sample-models: .venv/.dev $(SHOP)/catalog.csv ## train the networks of model_repository/ again (about an hour on 2 cores)
	@$(PY) -m training classifier $(SAMPLE_PICTURES) $(SAMPLE_TRAINING) --epochs 10 --half-size-epochs 7 --batch 64 --lr 4e-3 --out runs/sample-classifier
	@$(PY) -m training embedder $(SAMPLE_PICTURES) $(SAMPLE_TRAINING) --init runs/sample-classifier --dim 128 --epochs 6 --half-size-epochs 4 --batch 96 --views 4 --lr 2e-3 --head-lr-factor 1 --out runs/sample-embedder
	@$(PY) -m export classifier --checkpoint runs/sample-classifier --repository model_repository
	@$(PY) -m export embedder --checkpoint runs/sample-embedder --repository model_repository

clean: ## remove what the verbs made, but not the environments
	rm -rf .cache runs store .store-work build
