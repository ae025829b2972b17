# Everything runs through `.venv/bin/python -m`, for the reason given in deploy/local/setup.sh.
PYTHON := .venv/bin/python
# Each file is the work of one worker, the slowest first. More workers than cores, since tests wait:
# for limits that have to pass, and for processes. Those without a broker wait more.
ON_ALL_CORES := --dist loadfile --no-loadscope-reorder
CORES := $(shell getconf _NPROCESSORS_ONLN)
WORKERS := $(shell echo $$((2 * $(CORES))))
CHECK_WORKERS := $(shell echo $$((3 * $(CORES))))
# What a busy machine kept from ending in time beside others.
ONCE_MORE_ALONE := $(PYTHON) -m pytest --last-failed --last-failed-no-failures none
WITHOUT_BROKER := tests/unit tests/integration tests/fuzz

# What tests run beside the relay.
define ensure_programs
	@$(PYTHON) -m deploy.local.broker --ensure
	@$(PYTHON) -m deploy.local.postgres --ensure
	@$(PYTHON) -m deploy.local.test_programs --ensure
	@$(PYTHON) -m deploy.local.sender_sdks --ensure
endef

SBOM := .run/sbom.cdx.json
# uv knows public authorities alone, unless told to trust this machine's, such as that of a proxy.
export UV_SYSTEM_CERTS ?= $(if $(wildcard /etc/ssl/certs/*.crt /etc/pki/tls/certs/*.crt),true,false)

.DEFAULT_GOAL := help
.PHONY: help setup run demo check test coverage test-lowest test-highest compiled debian13 faults model powercut hostile fuzz bench bench-peers capacity soak screenshot profile lint lock dist sbom image-check clean

help: ## list the targets
	@sed -n 's/^\([a-z0-9-]*\):.*## /\1\t/p' Makefile | expand -t 14

setup: ## create or update .venv from requirements.lock
	@sh deploy/local/setup.sh

run: setup ## the relay, its console and a tail of its events, until Ctrl-C
	@$(PYTHON) -m deploy.local.run

demo: setup ## send every documented sample, fail if one does not arrive
	@$(PYTHON) -m deploy.local.demo

# These tests ask nobody outside, and aiohttp reads the machine's authorities as it is imported: 36 ms
# of CPU for each process.
TRUSTING_NOBODY := SSL_CERT_FILE=/dev/null

check: lint ## ruff, mypy, and the tests that need no broker
	$(TRUSTING_NOBODY) $(PYTHON) -m pytest --quiet --numprocesses $(CHECK_WORKERS) $(ON_ALL_CORES) $(WITHOUT_BROKER)

test: setup ## all tests, against a real RabbitMQ and PostgreSQL
	$(ensure_programs)
	$(PYTHON) -m pytest --numprocesses $(WORKERS) $(ON_ALL_CORES) || $(ONCE_MORE_ALONE)

coverage: setup ## the same, and which lines none of them runs: takes nearly twice as long
	$(ensure_programs)
	$(PYTHON) -m pytest --numprocesses $(WORKERS) $(ON_ALL_CORES) --cov --cov-report=term:skip-covered

# Each in a fresh environment of its own, since .venv has the locked releases.
define test_with
	@$(PYTHON) -m uv venv --quiet --clear --python $(PYTHON) .run/$(1)
	@$(PYTHON) -m uv pip install --quiet --python .run/$(1) --resolution $(2) --editable '.[dev,otel,postgres,public-keys]'
	@$(PYTHON) -m deploy.local.broker --ensure
	@$(PYTHON) -m deploy.local.postgres --ensure
	.run/$(1)/bin/python -m pytest $(PYTEST)
endef

test-lowest: setup ## all tests with the lowest declared releases; or some: PYTEST="tests/unit -x"
	$(call test_with,lowest,lowest-direct)

test-highest: setup ## all tests with the newest releases; or some, as above
	$(call test_with,highest,highest)

# Installed in a folder of its own, which comes before this one on the path of all that the tests start.
COMPILED := .run/compiled
WITH_COMPILED := PYTHONSAFEPATH=1 PYTHONPATH='$(CURDIR)/$(COMPILED)/installed:$(CURDIR)' $(PYTHON)
compiled: setup ## what needs no broker, with the compiled relay; or other tests: PYTEST="tests/broker -x"
	@rm -rf $(COMPILED)
	HATCH_BUILD_HOOK_ENABLE_CUSTOM=true $(PYTHON) -m hatchling build --target wheel --directory $(COMPILED)
	@$(PYTHON) -m pip --quiet --disable-pip-version-check install --no-deps --target $(COMPILED)/installed $(COMPILED)/*.whl
	@$(WITH_COMPILED) -m relay --version
	$(WITH_COMPILED) -m pytest --override-ini pythonpath= $(or $(PYTEST),--numprocesses auto $(ON_ALL_CORES) $(WITHOUT_BROKER))

debian13: ## the broker's tests in a Debian 13 of its own, with RabbitMQ 4; as root, takes 10 minutes
	@sh tests/deploy/debian13.sh

# FAULTS="--until 10000000 --minutes 240": go on until all parts together have so many events.
faults: setup ## an hour of broken things under load, added to the parts before: nothing acknowledged may be lost
	@$(PYTHON) -m deploy.local.broker --ensure
	$(PYTHON) -m tests.faults.run $(FAULTS)

# EXAMPLES=500: fewer. `--hypothesis-seed=N`, which a failure prints, plays the same ones again.
EXAMPLES := 5000
model: setup ## deliveries, broker, disk, clock and kills in random order; after each, the account is checked; takes 10 minutes
	MODEL_EXAMPLES=$(EXAMPLES) $(PYTHON) -m pytest --quiet tests/model $(PYTEST)

powercut: setup ## cut the power at 10,000 points of an outbox's and a relay's load, and open each disk; takes 10 minutes
	@$(PYTHON) -m deploy.local.broker --ensure
	$(PYTHON) -m tests.powercut.run

hostile: setup ## every attack beside honest callers: what it costs them, and the relay; takes 10 minutes
	@$(PYTHON) -m deploy.local.broker --ensure
	$(PYTHON) -m tests.hostile.run

fuzz: setup ## hostile bytes for all that reads any, guided by coverage; takes 45 minutes
	@$(PYTHON) -m pip --quiet --disable-pip-version-check install --require-hashes --no-deps \
		--requirement tests/fuzz/requirements.lock
	$(PYTHON) -m tests.fuzz.run

bench: setup ## how fast the relay and the services are, beside plain aio-pika, and what watching costs; takes 25 minutes
	@$(PYTHON) -m deploy.local.broker --ensure
	$(PYTHON) -m tests.bench.relay
	$(PYTHON) -m tests.bench.consumers
	$(PYTHON) -m tests.bench.console

bench-peers: setup ## this relay beside Redpanda Connect and Vector, if on the PATH; takes 10 minutes
	@$(PYTHON) -m deploy.local.broker --ensure
	$(PYTHON) -m tests.bench.peers.run

capacity: setup ## what receivers and RabbitMQ cost per event, for deploy/README.md; takes 5 minutes
	@$(PYTHON) -m deploy.local.broker --ensure
	$(PYTHON) -m tests.bench.capacity

soak: setup ## whether the relay's memory stays flat over two million events; takes 10 minutes
	@$(PYTHON) -m deploy.local.broker --ensure
	$(PYTHON) -m tests.bench.soak

screenshot: setup ## the console's overview for README.md, with real data; needs Chromium, takes 5 minutes
	@$(PYTHON) -m deploy.local.broker --ensure
	@$(PYTHON) -m deploy.local.screenshot

profile: setup ## where the relay spends its CPU: a table, and a flame graph in .run/
	@$(PYTHON) -m deploy.local.broker --ensure
	$(PYTHON) -m tests.bench.profile

lint: setup ## ruff and mypy
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy

# UPGRADE=--upgrade: all to the newest releases.
lock: setup ## bring requirements.lock in line with pyproject.toml, changing no more than needed
	$(PYTHON) -m uv pip compile --quiet $(UPGRADE) --universal --all-extras --generate-hashes \
		--no-header --no-annotate --output-file requirements.lock pyproject.toml
	$(PYTHON) -m uv pip compile --quiet --generate-hashes --no-header --no-annotate --python-version 3.11 \
		--extra postgres --extra otel --extra public-keys --constraint requirements.lock \
		--output-file deploy/container/requirements.lock pyproject.toml
	$(PYTHON) -m uv pip compile --quiet --universal --no-deps --generate-hashes --no-header --no-annotate \
		--python-version 3.11 --output-file tests/interop/sdk/requirements.lock tests/interop/sdk/requirements.in
	printf '%s\n' hatchling mypy setuptools | $(PYTHON) -m uv pip compile --quiet --generate-hashes --no-header --no-annotate \
		--python-version 3.11 --constraint requirements.lock --output-file deploy/container/build.lock -

dist: setup ## sdist and wheel in dist/, built with what is locked
	@rm -rf dist
	$(PYTHON) -m hatchling build --directory dist

sbom: setup ## what is in the image, as CycloneDX, in .run/sbom.cdx.json
	@mkdir -p .run
	$(PYTHON) -m uv tool run --quiet --from cyclonedx-bom==7.5.0 cyclonedx-py requirements --output-reproducible \
		--pyproject pyproject.toml --output-format JSON --output-file $(SBOM) \
		deploy/container/requirements.lock

image-check: setup ## lint the Dockerfile, carry out its steps, and with Docker build and try the image
	$(PYTHON) -m pytest --quiet tests/deploy/test_container.py
	@sh deploy/container/check.sh

# Not var/: an outbox in it may hold events that are not delivered yet.
clean: ## remove .venv, .run, caches and build output
	rm -rf .venv .run .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage .coverage.* htmlcov build dist
	find . -name __pycache__ -prune -exec rm -rf {} +
