import os
import uuid
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import psycopg
import pytest
import redis
import time_machine
from django.conf import settings
from django.contrib.auth.hashers import ScryptPasswordHasher
from django.core.cache import cache
from django.db import connection, connections
from rest_framework.test import APIClient

from scheduling.models import ReservationEvent

from .broker import Broker
from .server import Server

# SQLite's in-memory database locks whole tables across threads: the tests use a file.
if settings.DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    worker = os.environ.get("PYTEST_XDIST_WORKER", "")
    for database in connections.settings.values():
        database["TEST"]["NAME"] = f"{database['NAME']}.{worker}.test"


# The same algorithm with a thousandth of the work: a sign-in is to take time only in earnest.
ScryptPasswordHasher.work_factor = 2**4


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


@pytest.fixture(autouse=True)
def _nobody_has_asked_yet():
    """What a test was counted for (throttles) is not held against the next."""
    cache.clear()


@pytest.fixture
def anything_settled(monkeypatch):
    """A test's own transaction is not over, and nothing that it wrote is settled."""
    monkeypatch.setattr(
        type(ReservationEvent.objects.all()),
        "settled",
        lambda self: self.order_by("transaction_id", "pk"),
    )


@pytest.fixture
def is_postgresql():
    return settings.DATABASES["default"]["ENGINE"].endswith("postgresql")


@pytest.fixture
def database_url(transactional_db, is_postgresql):
    """The address of the tests' own database, whose rows another process can see."""
    name, port = connection.settings_dict["NAME"], connection.settings_dict["PORT"]
    if is_postgresql:
        return f"postgresql://postgres@127.0.0.1:{port}/{name}"
    return f"sqlite:///{name}"


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
def redis_url():
    """A Redis that is emptied: where there is none, the test fails. Tests that run at the same time
    have a database each."""
    given = urlsplit(os.environ.get("TEST_REDIS_URL", "redis://127.0.0.1:6379/0"))
    beside = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    url = given._replace(path=f"/{(int(given.path[1:] or 0) + beside) % 16}").geturl()
    with redis.from_url(url) as connection:
        connection.flushdb()
    return url


@pytest.fixture
def broker():
    """A virtual host on a RabbitMQ: where there is none, the test fails."""
    with Broker() as broker:
        yield broker


@pytest.fixture
def server(empty_database_url, tmp_path):
    """The service, started as `make run` starts it, with the fixture's four people."""
    with Server(tmp_path, empty_database_url) as running:
        yield running
