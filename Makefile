# `make run` and `make test` do everything on a fresh machine that has Python 3.11 and make.
# PyTorch without gigabytes of CUDA on Linux: make run TORCH_INDEX=<the CPU index that pytorch.org names>

PYTHON ?= python3
TORCH_INDEX ?=
# Nothing is compiled beforehand: Python does that with what it imports, and most is never imported.
PIP = .venv/bin/python -m pip --disable-pip-version-check install --quiet --no-compile

.PHONY: run test lint format screenshots load soak chromium pretrained

run: .venv/app pretrained
	.venv/bin/streamlit run server.py --server.address 127.0.0.1

test: .venv/dev chromium pretrained
	.venv/bin/python -m pytest -n auto --dist loadfile

lint: .venv/dev
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy

format: .venv/dev
	.venv/bin/ruff format .
	.venv/bin/ruff check --fix .
	.venv/bin/python -m tests.helpers.readme

screenshots: .venv/dev chromium pretrained
	.venv/bin/python tests/screenshots.py

# How many visitors a hosted app holds, about nine minutes; and whether it still does after 5,000 updates, about eight.
load: .venv/dev pretrained
	.venv/bin/python benchmarks/load.py --visitors 1 20 100 200 --together 300 --idle 500 --back 200

soak: .venv/dev pretrained
	.venv/bin/python benchmarks/load.py --visitors 1 --seconds 5 --soak 5000

.venv/app: requirements.txt pyproject.toml
	$(PYTHON) -m venv .venv
	$(if $(TORCH_INDEX),$(PIP) --index-url $(TORCH_INDEX) torch==2.13.0)
	$(PIP) -r requirements.txt
	$(PIP) --no-deps --editable .
	touch $@

.venv/dev: .venv/app
	$(PIP) --editable '.[dev]'
	touch $@

# The small pretrained model, once. Without a network one line says why it is not there; all else works without it.
pretrained: .venv/app
	@.venv/bin/gptloss models pull smollm2-135m || true

# The browser tests drive a Chromium; where none is found and apt cannot bring one, they are skipped and say so.
chromium:
	@for name in chromium chromium-browser google-chrome google-chrome-stable microsoft-edge; do \
	     command -v $$name >/dev/null && exit 0; done; \
	{ command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ] \
	     && apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium >/dev/null; } \
	|| echo 'No Chromium, and no way to install one here: the browser tests will be skipped.'
