# Every task a person runs. All that is made stays in the checkout: .uv/ .venv/ var/.

UV_VERSION := 0.13.9
# uv's own cache and any Python it has to fetch stay here too, unless you say otherwise.
export UV_CACHE_DIR ?= $(CURDIR)/.uv/cache
export UV_PYTHON_INSTALL_DIR ?= $(CURDIR)/.uv/python
PYTEST_ARGS ?=
WORKERS ?= 2

UV := .uv/bin/uv
PYTHON := .venv/bin/python
READY := .venv/.ready

# What an operator would set, for checks that look at the settings; none of it is anyone's.
PRODUCTION := SECRET_KEY=only-for-make-check-0123456789abcdefghijklmnopqrstuvwxyz HTTPS=on DEBUG=off \
	ALLOWED_HOSTS=quarantine.example DATA_DIR=$(CURDIR)/var/check \
	DATABASE_URL= DATABASE_REPLICA_URL= HOMESERVER_DATABASE_URL= HOMESERVER_URL=

.PHONY: help demo install test check bench soak screenshots words sbom audit

help:
	@echo "make demo   set everything up and serve a dashboard with sample data on http://127.0.0.1:8000"
	@echo "make install only what it takes to run it on a server (docs/deploy.md)"
	@echo "make test   the whole suite: both database engines, a real browser, a real Synapse"
	@echo "            (PYTEST_ARGS='tests/quarantine -k feed' picks some of it)"
	@echo "make bench  measure, each figure beside a peer's (SIZE=10000000 ONLY='timeline exports' SAVE=1)"
	@echo "make soak   ten minutes of readers, writers, exports and faults at once; what was lost (MINUTES=10)"
	@echo "make screenshots  pictures of every page, light and dark, wide and narrow (FOLDER=var/screenshots LOCALE=de-DE)"
	@echo "make words  bring the catalogs of translations in step with the code"
	@echo "make sbom   what a server gets installed, as CycloneDX JSON (SBOM=var/sbom.json)"
	@echo "make audit  whether any of it has a known vulnerability, asked of osv.dev; part of make check"
	@echo "make check  format, lint, types, migrations, deployment, templates, imports"

demo: $(READY)
	@exec $(PYTHON) manage.py demo

# Into the same place as for development, which it prunes.
install: | $(UV)
	@scripts/sync-environment $(UV) $(PYTHON) --no-dev
	@rm -f $(READY)

test: $(READY)
	@scripts/install-browser
	@exec $(PYTHON) -m pytest --numprocesses $(WORKERS) --dist loadfile $(PYTEST_ARGS)

SIZE ?= 20000
bench: $(READY)
	@exec $(PYTHON) -m tests.bench --size $(SIZE) $(if $(SAVE),--save) $(ONLY)

MINUTES ?= 10
soak: $(READY)
	@exec $(PYTHON) -m tests.bench.soak --minutes $(MINUTES)

FOLDER ?= var/screenshots
LOCALE ?= en-GB
screenshots: $(READY)
	@scripts/install-browser
	@exec env LOCALE=$(LOCALE) $(PYTHON) -m tests.browser.screenshots $(FOLDER)

words: $(READY)
	@exec $(PYTHON) -m tests.catalogs

SBOM ?= var/sbom.json
sbom: | $(UV)
	@mkdir -p $(dir $(SBOM))
	@$(UV) export --quiet --frozen --no-dev --preview-features sbom-export --format cyclonedx1.5 --output-file $(SBOM) >/dev/null

audit: | $(UV)
	@scripts/audit $(UV)

check: $(READY) sbom audit
	$(UV) lock --check --quiet --python $(PYTHON)
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	@mkdir -p var/check
	$(PRODUCTION) .venv/bin/mypy
	$(PRODUCTION) $(PYTHON) manage.py makemigrations --check --dry-run
	$(PRODUCTION) $(PYTHON) manage.py check --deploy --fail-level WARNING
	.venv/bin/djlint --quiet --lint templates
	$(PYTHON) -m pytest --quiet tests/test_conventions.py tests/test_docs.py

# --- Set-up: nothing happens while the lock file has not changed ---------------------------

$(UV):
	@scripts/install-uv $(UV_VERSION)

# An environment that works keeps its Python; only a new one looks for it.
$(READY): uv.lock pyproject.toml | $(UV)
	@scripts/sync-environment $(UV) $(PYTHON)
	@touch $@
