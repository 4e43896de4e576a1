# The front door. `make help` lists the commands; continuous integration and the hooks call these very ones.
PYTHON ?= python3
VENV ?= .venv
RUNTIME ?= $(shell nvidia-smi -L >/dev/null 2>&1 && echo gpu || echo cpu)
# Processes that run tests; each starts servers and trains models of its own.
JOBS ?= 2
# Images that `make test-image` builds: cpu, or cpu,cuda (with a download of 1.6 GB).
PROVIDERS ?= cpu
# Address of a package index with CPU-only torch builds; empty takes the default build.
TORCH_INDEX ?=

BIN := $(VENV)/bin
PIP := $(BIN)/pip install --quiet --disable-pip-version-check $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX))
INSTALLED := $(VENV)/.installed-$(RUNTIME)
SOURCES := slipway.py models service training

.DEFAULT_GOAL := help
.PHONY: help install tools demo serve test test-image check format bench gpu-check docs lock clean

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(INSTALLED) ## create .venv with the runtime this machine can use (RUNTIME=cpu|gpu decides for you)

$(INSTALLED): pyproject.toml constraints.txt
	@echo "runtime: $(RUNTIME) ($(if $(filter gpu,$(RUNTIME)),an NVIDIA driver answers,no NVIDIA driver answers)); installing into $(VENV), this takes a minute or more"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "error: Python 3.11 or newer is needed; name one with PYTHON=")'
	@$(PYTHON) -m venv $(VENV)
	@# The two runtimes install the same Python package: the other one must go first.
	@$(BIN)/pip uninstall --quiet --yes $(if $(filter gpu,$(RUNTIME)),onnxruntime,onnxruntime-gpu) 2>/dev/null || true
	@$(PIP) --constraint constraints.txt --editable ".[$(RUNTIME),openvino,train,otel,dev]"
	@rm -f $(VENV)/.installed-*
	@touch $@

tools: ## install helm, promtool and the other pinned tools of the tests into .tools (GROUP="npm prometheus" for some)
	@$(PYTHON) tools/install.py $(GROUP)

demo: install ## train a model for every kind of work, serve them, ask each one a question (Ctrl-C ends it)
	@$(BIN)/python -m docs.examples.demo

serve: install ## serve models/repository on http://127.0.0.1:8000
	@$(BIN)/slipway serve

test: install ## run every test, JOBS at a time
	@$(BIN)/pytest -n $(JOBS) --no-loadscope-reorder

test-image: install ## build the image with buildah, run it, look into it (root; minutes; PROVIDERS=cpu,cuda for both)
	@if buildah --version >/dev/null 2>&1; then \
		echo "building $(PROVIDERS): a few minutes without output, seconds when nothing has changed"; \
		SLIPWAY_TEST_IMAGE=$(PROVIDERS) $(BIN)/pytest -s --durations=5 tests/docker; \
	else \
		echo 'skipped: buildah is not installed; on Debian, as root: make tools GROUP="images checks"'; \
	fi

check: install ## what every commit must pass: ruff, mypy --strict, the quick tests
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/pytest -q -m "not slow"

format: install ## let ruff format and mend the code
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

bench: install ## measure the server on this machine
	@$(PIP) --constraint constraints.txt --editable ".[$(RUNTIME),openvino,bench]"
	@$(BIN)/python -m benchmarks

gpu-check: ## check the server on an NVIDIA GPU and write a report (exit code 3: there is none)
	@$(if $(wildcard $(BIN)/python),$(BIN)/python,$(PYTHON)) -m benchmarks.gpu_check

docs: install ## write what is generated: pages under docs/, the chart's README, schema and dashboards
	@$(BIN)/python -m docs.generate
	@$(PYTHON) tools/install.py npm
	@$(BIN)/python -m helm.generate
	@$(BIN)/python -m helm.grafana
	@$(BIN)/python -m benchmarks.scaling page
	@$(BIN)/python -m benchmarks.speedups

lock: ## resolve the dependencies anew into constraints.txt, and what the images install into docker/requirements
	@rm -rf build/lock && $(PYTHON) -m venv build/lock
	@build/lock/bin/pip install --quiet --disable-pip-version-check -e ".[cpu,openvino,train,otel,bench,dev]"
	@build/lock/bin/pip freeze --exclude-editable | sed -E 's/\+cpu$$//' > constraints.txt
	@grep '^onnxruntime==' constraints.txt | sed 's/onnxruntime/onnxruntime-gpu/' >> constraints.txt
	@sort -f -o constraints.txt constraints.txt && rm -rf build/lock
	@$(PYTHON) tools/install.py locks
	@$(PYTHON) docker/lock.py

clean: ## remove what can be made again; published models stay
	@rm -rf $(VENV) .tools build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
