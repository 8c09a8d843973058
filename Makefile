# Thin: each target is a line that a person could type. `make help` lists them.
.DEFAULT_GOAL := help
PYTHON := .venv/bin/python
UV := .venv/bin/uv
LOCK := $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header --custom-compile-command "make lock"

lock:  ## Lock the dependencies anew: versions and hashes
	$(LOCK) pyproject.toml --all-extras --group dev -o requirements/dev.txt
	$(LOCK) pyproject.toml --extra operator -c requirements/dev.txt -o requirements/operator.txt
	$(LOCK) pyproject.toml --extra runtime --extra openai --extra anthropic --extra google -c requirements/dev.txt -o requirements/runtime.txt
	$(LOCK) --no-deps requirements/model-server.in -o requirements/model-server.txt
