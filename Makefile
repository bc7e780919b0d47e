PYTHON ?= python3
BIN := .venv/bin

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

run: .venv/run ## serve on http://127.0.0.1:8000 (PORT, HOST, DATABASE_URL, WEB_CONCURRENCY ...)
	@exec $(BIN)/python -m reservation_system.serve --prepare

dev: .venv/run ## Django's own server, reloading on every change
	@DEBUG=true exec $(BIN)/python -m reservation_system.serve --prepare --development

worker: .venv/run ## run tasks from RabbitMQ (BROKER_URL; WORKER_CONCURRENCY processes, else 8)
	@exec $(BIN)/python -m celery --quiet --app reservation_system.celery worker --concurrency $${WORKER_CONCURRENCY:-8} --without-gossip --without-mingle --without-heartbeat

beat: .venv/run ## send the periodic tasks (BROKER_URL); one of it is enough
	@exec $(BIN)/python -m celery --quiet --app reservation_system.celery beat --schedule "$$(mktemp -d)/schedule" --pidfile=

test: .venv/dev ## the whole suite, on SQLite and on PostgreSQL, save what only one of them can show
	$(BIN)/python -m pytest --dist worksteal --database sqlite -m "not services and not drills and not browser and not fuzz"
	$(BIN)/python -m pytest --database postgresql -m "not services and not drills and not browser and not once"

test-services: .venv/dev ## what needs a Redis, a RabbitMQ (TEST_REDIS_URL, TEST_BROKER_URL) and other programs
	$(BIN)/python -m pytest --database postgresql -m services
	$(BIN)/python -m pytest --database pgbouncer --reuse-db $(patsubst %,tests/test_%.py,reserve confirm list_bookable publish expire)

test-browser: .venv/dev node_modules/.installed ## the pages for people, in Debian's Chromium (apt-get install chromium-headless-shell); pictures in .ci/screenshots
	$(BIN)/python -m pytest --database sqlite -m browser $(wildcard tests/test_web_*.py)

drills: .venv/dev ## what docs/operations.md says of upgrades, backups and secrets, done to a service in use
	$(BIN)/python -m pytest -n0 -s --database postgresql tests/test_operations.py

postman: .venv/dev node_modules/.installed ## the Postman collection, by newman, against servers of its own
	$(BIN)/python postman/run

clients: .venv/dev node_modules/.installed ## clients for TypeScript and Python made from /schema, and an appointment booked with each
	$(BIN)/python clients/run

bench: .venv/dev ## what every request costs beside its yardstick, into benchmarks/README.md
	$(BIN)/python -m benchmarks --write

bench-servers: .venv/dev ## granian against gunicorn under this service
	$(BIN)/python -m benchmarks servers --write

bench-tokens: .venv/dev ## what it costs to know who is calling
	$(BIN)/python -m benchmarks tokens --write

bench-lists: .venv/dev ## lists by the database, and kept in a Redis that it starts
	$(BIN)/python -m benchmarks lists --write

bench-holds: .venv/dev ## how late 10,000 holds expire by message (TEST_BROKER_URL)
	$(BIN)/python -m benchmarks holds --write

bench-kills: .venv/dev ## what 1,000 random kills lose (TEST_BROKER_URL)
	$(BIN)/python -m benchmarks kills --write

bench-overload: .venv/dev ## three times the load that it can take
	$(BIN)/python -m benchmarks overload --write

bench-soak: .venv/dev ## four minutes of everything: memory, connections, bloat, latency
	$(BIN)/python -m benchmarks soak --write

bench-pages: .venv/dev ## how soon the pages for people can be used (needs Chromium)
	$(BIN)/python -m benchmarks pages --write

capacity: .venv/dev ## what so many clients need, by these figures, into docs/capacity.md
	$(BIN)/python -m benchmarks.capacity

bench-smoke: .venv/dev ## the benchmark in under a minute; fails on what is counted
	$(BIN)/python -m benchmarks --quick

cluster: .venv/dev ## the whole production topology on this machine (CLUSTER_PORT, CLUSTER_FOLDER; Debian packages)
	@exec $(BIN)/python -m cluster up

cluster-restart: .venv/dev ## restart its instances one by one
	@exec $(BIN)/python -m cluster restart

cluster-down: .venv/dev ## end it, and nothing else
	@exec $(BIN)/python -m cluster down

chaos: .venv/dev ## break a cluster in every way, and count what that costs, into docs/operations.md (as root)
	@exec $(BIN)/python -m cluster chaos --write

chaos-smoke: .venv/dev ## the same in three minutes; fails on any loss, and on what takes too long
	@exec $(BIN)/python -m cluster chaos --smoke

lint: .venv/dev ## formatting, lint, types, spelling, the Dockerfile, missing migrations, the schema, known vulnerabilities
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/typos
	$(BIN)/hadolint deploy/Dockerfile
	$(BIN)/python manage.py makemigrations --check --dry-run
	$(BIN)/python manage.py spectacular --validate --fail-on-warn --file /dev/null
	$(BIN)/python .ci/audit.py requirements.txt
	$(BIN)/python .ci/audit.py requirements-tracing.txt
	$(BIN)/python .ci/audit.py requirements-reports.txt

format: .venv/dev ## put the code in order
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

texts: .venv/dev ## collect what the pages say, and compile its translations (needs gettext)
	cd web && ../$(BIN)/python ../manage.py makemessages --all --no-location --no-obsolete
	cd web && ../$(BIN)/python ../manage.py makemessages --all --no-location --no-obsolete --domain djangojs
	cd web && ../$(BIN)/python ../manage.py compilemessages

requirements: .venv/dev ## pin what requirements*.in ask for
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 requirements.in -o requirements.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 requirements-tracing.in -o requirements-tracing.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 requirements-reports.in -o requirements-reports.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 requirements-dev.in -o requirements-dev.txt

.venv/run: requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed")'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

.venv/dev: .venv/run requirements-dev.txt requirements-tracing.txt requirements-reports.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@

node_modules/.installed: package.json package-lock.json
	npm ci --no-audit --no-fund
	@touch $@

.PHONY: help run dev worker beat test test-services test-browser drills postman clients bench bench-servers bench-tokens bench-lists bench-holds bench-kills bench-overload bench-soak bench-pages capacity bench-smoke cluster cluster-restart cluster-down chaos chaos-smoke lint format texts requirements
