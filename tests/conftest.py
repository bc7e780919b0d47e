import os
import uuid
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
import time_machine
from django.conf import settings
from django.db import connections
from rest_framework.test import APIClient

from .server import Server

# SQLite's in-memory database locks whole tables across threads: the tests use a file.
if settings.DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    worker = os.environ.get("PYTEST_XDIST_WORKER", "")
    name = settings.DATABASES["default"]["NAME"]
    connections.settings["default"]["TEST"]["NAME"] = f"{name}.{worker}.test"


class JSONClient(APIClient):
    default_format = "json"


MONDAY = datetime(2026, 11, 30, 9, 0, tzinfo=UTC)


class Clock:
    """The moved clock: it stands still until it is shifted."""

    def __init__(self, traveller):
        self._traveller = traveller

    @property
    def now(self):
        return datetime.now(UTC)

    def shift(self, **duration):
        self._traveller.shift(timedelta(**duration))


@pytest.fixture
def clock():
    with time_machine.travel(MONDAY, tick=False) as traveller:
        yield Clock(traveller)


@pytest.fixture
def api(db):
    """An HTTP client that speaks JSON to the service."""
    return JSONClient(raise_request_exception=False)


@pytest.fixture
def is_postgresql():
    return settings.DATABASES["default"]["ENGINE"].endswith("postgresql")


@pytest.fixture
def empty_database_url(is_postgresql, tmp_path):
    """The address of a new database on the engine under test, for a server process."""
    if not is_postgresql:
        yield f"sqlite:///{tmp_path}/served.sqlite3"
        return
    address = os.environ["DATABASE_URL"].rpartition("/")[0]
    name = f"served_{uuid.uuid4().hex}"
    with psycopg.connect(f"{address}/postgres", autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    yield f"{address}/{name}"
    with psycopg.connect(f"{address}/postgres", autocommit=True) as connection:
        connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture
def server(empty_database_url, tmp_path):
    """The service, started as `make run` starts it, with the fixture's four people."""
    with Server(tmp_path, empty_database_url) as running:
        yield running
