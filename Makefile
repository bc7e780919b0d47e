PYTHON ?= python3
BIN := .venv/bin

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

run: .venv/run ## serve on http://127.0.0.1:8000 (PORT, HOST, DATABASE_URL, WEB_CONCURRENCY ...)
	@exec $(BIN)/python -m reservation_system.serve --prepare

dev: .venv/run ## Django's own server, reloading on every change
	@DEBUG=true exec $(BIN)/python -m reservation_system.serve --prepare --development

test: .venv/dev ## the whole suite, on SQLite and on PostgreSQL
	$(BIN)/python -m pytest --database sqlite
	$(BIN)/python -m pytest --database postgresql

postman: .venv/dev node_modules/.installed ## the Postman collection, by newman, against a server of its own
	$(BIN)/python postman/run

bench: .venv/dev ## what every request costs, into benchmarks/README.md
	$(BIN)/python -m benchmarks --write

bench-servers: .venv/dev ## granian against gunicorn under this service
	$(BIN)/python -m benchmarks servers --write

bench-smoke: .venv/dev ## the benchmark in under a minute, written nowhere
	$(BIN)/python -m benchmarks --quick

lint: .venv/dev ## formatting, lint, types, spelling, missing migrations, the schema
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/typos
	$(BIN)/python manage.py makemigrations --check --dry-run
	$(BIN)/python manage.py spectacular --validate --fail-on-warn --file /dev/null

format: .venv/dev ## put the code in order
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

requirements: .venv/dev ## pin what requirements*.in ask for
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 requirements.in -o requirements.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 requirements-dev.in -o requirements-dev.txt

.venv/run: requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed")'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

.venv/dev: .venv/run requirements-dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@

node_modules/.installed: package.json package-lock.json
	npm ci --no-audit --no-fund
	@touch $@

.PHONY: help run dev test postman bench bench-servers bench-smoke lint format requirements
