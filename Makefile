# Each target prepares what it needs: Python 3.11 or newer, make and the network are enough.
#
#   make demo                 a whole small world on this machine; Ctrl-C stops it
#   make demo DEMO_ARGS=...   with options, as `openmeet-bridge demo --help` lists them
#   make test                 every test; TEST_ARGS=... is handed to pytest, TEST_WORKERS=2 at once
#   make lint types layers    what CI checks besides the tests
#   make bench                the benchmarks; BENCH_ARGS=... is handed to them
#   make bench-fanout         the streams beside other servers; FANOUT_ARGS=... is handed to it
#   make chaos                ten minutes of fire; CHAOS_ARGS=... is handed to it
#   make screenshot           take the pictures of the page in docs/images again
#   make format               rewrite the code in the project's style
#   make docs-reference       rewrite every generated file
#   make requirements         resolve the pins again; UPGRADE=--upgrade takes newer versions
#   make clean                remove environments, caches and builds

.DELETE_ON_ERROR:
.SUFFIXES:
.PHONY: demo test lint types layers bench chaos screenshot format docs-reference requirements build clean
.PHONY: env-demo env-dev chromium proxies bench-fanout bench-peers

PYTHON ?= python3
VENV := .venv
UV_VENV := .venv-uv
BIN := $(VENV)/bin
UV := $(UV_VENV)/bin/uv
WEB_TOOLS := $(VENV)/web
TSC := $(WEB_TOOLS)/node_modules/typescript/bin/tsc
WEB_PACKAGES := $(WEB_TOOLS)/.installed
PROXIES := $(VENV)/proxies
PEERS := build/fanout
DEMO_ARGS ?=
TEST_ARGS ?=
TEST_WORKERS ?= 2
BENCH_ARGS ?=
FANOUT_ARGS ?=
CHAOS_ARGS ?=
UPGRADE ?=

INSTALL := $(UV) pip install --quiet --python $(BIN)/python

# The tests start many programs; compiled anew each time, Synapse alone would take seconds. Some
# machines forbid Python to keep what it has compiled: here it is kept beside the packages.
KEEP_BYTECODE := PYTHONDONTWRITEBYTECODE= PYTHONPYCACHEPREFIX=$(CURDIR)/$(VENV)/pycache

demo: env-demo
	@$(BIN)/openmeet-bridge demo $(DEMO_ARGS)

test: env-dev chromium proxies $(WEB_PACKAGES)
	$(KEEP_BYTECODE) $(BIN)/pytest -n $(TEST_WORKERS) --dist loadfile $(TEST_ARGS)

lint: env-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: env-dev $(WEB_PACKAGES)
	$(BIN)/mypy
	$(BIN)/node $(TSC) -p tests/web

layers: env-dev
	$(BIN)/lint-imports

bench: env-dev
	$(BIN)/python -m benchmarks $(BENCH_ARGS)

bench-fanout: env-dev bench-peers
	$(BIN)/python -m benchmarks.fanout $(FANOUT_ARGS)

chaos: env-dev
	$(KEEP_BYTECODE) $(BIN)/python -m tests.chaos $(CHAOS_ARGS)

screenshot: env-dev chromium
	$(BIN)/python -m scripts.screenshot docs/images

format: env-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs-reference: env-dev
	$(BIN)/openmeet-bridge reference configuration > docs/reference/configuration.md
	$(BIN)/openmeet-bridge reference cli > docs/reference/cli.md
	$(BIN)/openmeet-bridge reference api > docs/reference/api.md
	$(BIN)/openmeet-bridge reference streams > docs/reference/streams.md
	$(BIN)/openmeet-bridge reference errors > docs/reference/errors.md
	$(BIN)/openmeet-bridge reference metrics > docs/reference/metrics.md
	$(BIN)/openmeet-bridge reference config-example > config.example.yaml
	$(BIN)/openmeet-bridge reference registration-example > registration.yaml.example

build: env-dev
	$(BIN)/python -m build --no-isolation

# One resolution for all: dev.txt holds every extra, and the others are cut out of it.
# --no-config and the --no-emit options keep this machine's indexes out of the files.
COMPILE := $(UV) pip compile --quiet --no-config --universal --python-version 3.11 \
	--generate-hashes --no-annotate --no-emit-index-url --no-emit-find-links \
	--custom-compile-command "make requirements"

requirements: $(UV)
	$(COMPILE) $(UPGRADE) --all-extras --group dev pyproject.toml -o requirements/dev.txt
	$(COMPILE) -c requirements/dev.txt pyproject.toml -o requirements/base.txt
	$(COMPILE) -c requirements/dev.txt --extra embedded pyproject.toml -o requirements/embedded.txt
	$(COMPILE) -c requirements/dev.txt --extra valkey pyproject.toml -o requirements/valkey.txt
	$(COMPILE) -c requirements/dev.txt --extra demo --extra speed --group build pyproject.toml \
		-o requirements/demo.txt
	$(COMPILE) $(UPGRADE) --group pyproject.toml:uv -o requirements/uv.txt
	@touch $(UV)

# Environments. A stamp is newer than what it was made from, so each is made once.

env-demo: $(VENV)/.demo
env-dev: $(VENV)/.dev

$(UV): requirements/uv.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or newer is needed; name it: make PYTHON=python3.13 …" >&2; exit 1; }
	$(PYTHON) -m venv $(UV_VENV)
	$(UV_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes \
		-r requirements/uv.txt
	@touch $@ # uv's own date is that of its release

$(VENV)/.made: $(UV)
	$(UV) venv --quiet --allow-existing --python $(UV_VENV)/bin/python $(VENV)
	@touch $@

$(VENV)/.demo: requirements/demo.txt pyproject.toml $(VENV)/.made
	$(INSTALL) --require-hashes -r requirements/demo.txt
	$(INSTALL) --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.dev: requirements/dev.txt pyproject.toml $(VENV)/.made
	$(INSTALL) --require-hashes -r requirements/dev.txt
	$(INSTALL) --no-deps --no-build-isolation -e .
	@touch $@

# What checks the page's types, and what OpenMeet's own web app speaks with: pinned and hashed.
$(WEB_PACKAGES): tests/web/package.json tests/web/package-lock.json $(VENV)/.dev
	@mkdir -p $(WEB_TOOLS)
	@cp tests/web/package.json tests/web/package-lock.json $(WEB_TOOLS)
	$(BIN)/npm ci --prefix $(WEB_TOOLS) --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

# The tests of the page need a Chromium; OPENMEET_BRIDGE_CHROMIUM names one that is elsewhere.
chromium:
	@if [ -n "$$OPENMEET_BRIDGE_CHROMIUM" ] || command -v chromium >/dev/null; then :; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo "installing chromium for the tests of the page"; \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
			apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core >/dev/null; \
	else \
		echo "No chromium: the tests of the page will fail. Install Debian's package chromium," >&2; \
		echo "or name yours in OPENMEET_BRIDGE_CHROMIUM." >&2; \
	fi

# The tests of docker/'s examples run nginx and Caddy. Debian's packages are unpacked here and not
# installed: an installed nginx would start, and take port 80. Needs no root where apt has its lists.
proxies: env-dev
	@test -d $(PROXIES) && exit; \
	if command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null; then \
		echo "getting nginx and caddy for the tests of the proxies"; \
		test "$$(id -u)" != 0 || apt-get update -qq; \
		rm -rf $(PROXIES).new; mkdir -p $(PROXIES).new/debs; cd $(PROXIES).new/debs; \
		apt-get download -qq -o APT::Sandbox::User=root nginx caddy \
			&& for one in *.deb; do dpkg-deb -x $$one ..; done \
			&& rm -rf ../debs && mv ../../proxies.new ../../proxies && exit; \
	fi; \
	echo "No nginx and caddy: the tests of the proxies are skipped. Debian has both, or name yours" >&2; \
	echo "in OPENMEET_BRIDGE_NGINX and OPENMEET_BRIDGE_CADDY." >&2

# Servers to be measured beside the bridge. What cannot be had is left out, and the report says so.
# Debian's nchan makes a folder of its own when it starts, wherever it is told to put its files.
bench-peers: env-dev $(PEERS)/node_modules/.installed
	@test -d $(PEERS)/nchan && exit; \
	if command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null; then \
		echo "getting nginx and nchan for the benchmark"; \
		test "$$(id -u)" != 0 || { apt-get update -qq; mkdir -p /var/lib/nginx; }; \
		rm -rf $(PEERS)/nchan.new; mkdir -p $(PEERS)/nchan.new/debs; cd $(PEERS)/nchan.new/debs; \
		apt-get download -qq -o APT::Sandbox::User=root nginx libnginx-mod-nchan \
			&& for one in *.deb; do dpkg-deb -x $$one ..; done \
			&& rm -rf ../debs && mv ../../nchan.new ../../nchan && exit; \
	fi; \
	echo "No nginx with nchan: it is left out of the benchmark." >&2

$(PEERS)/node_modules/.installed: benchmarks/fanout/package.json benchmarks/fanout/package-lock.json \
		$(VENV)/.dev
	@mkdir -p $(PEERS)
	@cp benchmarks/fanout/package.json benchmarks/fanout/package-lock.json $(PEERS)
	$(BIN)/npm ci --prefix $(PEERS) --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

clean:
	rm -rf $(VENV) $(UV_VENV) build dist htmlcov .coverage .mypy_cache .ruff_cache .pytest_cache \
		.import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
