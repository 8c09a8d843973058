# Thin: each target is a line that a person could type. `make` alone lists them.
.DEFAULT_GOAL := help
PYTHON := .venv/bin/python
LOCK := .venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--no-annotate --no-header

# More processes than cores: most of the time something starts in a cluster, and nobody but the tests waits for it.
PYTEST := $(PYTHON) -m pytest -n $(or $(PROCESSES),4)

# Outside the checkout, so that a fresh one is checked within seconds too.
export MYPY_CACHE_DIR ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/mizzen/mypy

.PHONY: help setup demo test test-long test-neighbours bench lint format generate lock images clean

help:  ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 20

setup:  ## Install all that the other targets need; does nothing when it is there
	@./setup.sh

demo:  ## A cluster, the operator, an agent, and an answer; NAME= of the cluster, or CONTEXT= and REGISTRY= of your own
	@./setup.sh python images $(if $(CONTEXT),,cluster)
	@$(PYTHON) -m demo $(if $(NAME),--name $(NAME)) $(if $(CONTEXT),--context $(CONTEXT)) \
		$(if $(REGISTRY),--registry $(REGISTRY))

test: setup lint  ## Every check and test, at small size
	@$(MAKE) --no-print-directory test-neighbours
	$(PYTEST)

test-long: setup lint  ## Every check and test, at full size
	@$(MAKE) --no-print-directory test-neighbours
	MIZZEN_TEST_SIZE=full $(PYTEST) -m "not alone" --timeout 1800 -o faulthandler_timeout=4000
	MIZZEN_TEST_SIZE=full $(PYTHON) -m pytest -m alone --timeout 1800 -o faulthandler_timeout=4000

# What the tests run against is built before they start: a test's time limit is no measure for a compiler.
test-neighbours:
	@$(PYTHON) -m devcluster build --with prometheus >/dev/null
	@$(PYTHON) -m images.build operator runtime model-server example-triage test-services test-keeper test-wedge >/dev/null

bench: setup  ## Every benchmark beside its baseline; bench/RESULTS.md says how to read them
	@$(PYTHON) -m bench

lint:  ## Formatting, lint, types, layers
	@./setup.sh python
	.venv/bin/ruff format --check --quiet
	.venv/bin/ruff check --quiet
	.venv/bin/mypy
	.venv/bin/lint-imports --no-cache | tail -n 2

format:  ## Format, and mend what the linter can mend
	@./setup.sh python
	.venv/bin/ruff check --quiet --fix
	.venv/bin/ruff format --quiet

generate:  ## Write anew what is generated from the models: CRD, chart's schema, plain install
	@./setup.sh python cluster
	@$(PYTHON) -m manifests.generate

lock:  ## Lock the dependencies anew: versions and hashes
	$(LOCK) pyproject.toml --all-extras --group dev -o requirements/dev.txt
	$(LOCK) pyproject.toml --extra operator -c requirements/dev.txt -o requirements/operator.txt
	$(LOCK) pyproject.toml --extra runtime --extra openai --extra anthropic --extra google --extra mcp \
		--extra postgres --extra redis --extra otel -c requirements/dev.txt -o requirements/runtime.txt
	$(LOCK) requirements/build.in -c requirements/dev.txt -o requirements/build.txt
	$(LOCK) --no-deps requirements/model-server.in -o requirements/model-server.txt
	$(LOCK) requirements/go.in -o requirements/go.txt

images:  ## Build the images of operator, runtime and the sample model server, and print their names
	@./setup.sh python images
	@$(PYTHON) -m images.build

clean:  ## Remove the demo's cluster (NAME= as for demo) and what was built in the checkout; the cache outside stays
	@python3 -m devcluster down $(or $(NAME),mizzen)
	rm -rf build dist .pytest_cache .ruff_cache .hypothesis
