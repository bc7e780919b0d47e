import os
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.conf import settings
from django.db import connections
from rest_framework.test import APIClient

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
