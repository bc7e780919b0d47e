"""The settings start from an empty environment, and name what stops them."""

import os
import runpy
import subprocess
import sys
from datetime import timedelta

import pytest
from django.core.checks import run_checks
from django.core.exceptions import ImproperlyConfigured

from .server import ROOT

NAMES = [
    *("DATABASE_URL", "DATABASE_HEALTH_CHECKS", "HOST", "PORT", "WEB_CONCURRENCY", "LOG_LEVEL"),
    *("HOLD_SECONDS", "NOTICE_SECONDS", "NOTICE_GRACE_SECONDS"),
    *("DEBUG", "SECRET_KEY", "ALLOWED_HOSTS"),
]
SERVER = "postgresql://somebody:secret@db.example:5433/reservations"


@pytest.fixture
def read(monkeypatch):
    """The settings, read afresh with nothing but the given values in the environment."""

    def read(**environment):
        for name in NAMES:
            monkeypatch.delenv(name, raising=False)
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        return runpy.run_path(str(ROOT / "reservation_system" / "settings.py"))

    return read


def test_nothing_needs_to_be_set(read):
    settings = read()
    assert settings["DATABASES"]["default"]["ENGINE"] == "django.db.backends.sqlite3"
    assert str(settings["DATABASES"]["default"]["NAME"]) == str(ROOT / "db.sqlite3")
    assert settings["ALLOWED_HOSTS"] == ["127.0.0.1", "localhost", "[::1]"]
    assert settings["SECRET_KEY"]
    assert settings["DEBUG"] is False
    assert (settings["HOST"], settings["PORT"]) == ("127.0.0.1", 8000)
    assert settings["HOLD"] == timedelta(minutes=30)
    assert settings["NOTICE"] == timedelta(hours=24)
    assert settings["NOTICE_GRACE"] == timedelta(0)


def test_what_is_set_is_taken(read):
    settings = read(
        DATABASE_URL=SERVER,
        SECRET_KEY="ours",
        HOST="0.0.0.0",
        PORT="9000",
        WEB_CONCURRENCY="4",
        HOLD_SECONDS="60",
        NOTICE_SECONDS="3600",
        NOTICE_GRACE_SECONDS="300",
        DEBUG="true",
        ALLOWED_HOSTS="reservations.example,localhost",
    )
    database = settings["DATABASES"]["default"]
    assert database["ENGINE"] == "django.db.backends.postgresql"
    assert (database["HOST"], str(database["PORT"])) == ("db.example", "5433")
    assert (database["NAME"], database["PASSWORD"]) == ("reservations", "secret")
    assert (settings["HOST"], settings["PORT"]) == ("0.0.0.0", 9000)
    assert settings["WEB_CONCURRENCY"] == 4
    assert settings["HOLD"] == timedelta(minutes=1)
    assert settings["NOTICE"] == timedelta(hours=1)
    assert settings["NOTICE_GRACE"] == timedelta(minutes=5)
    assert settings["DEBUG"] is True
    assert settings["SECRET_KEY"] == "ours"
    assert settings["ALLOWED_HOSTS"] == ["reservations.example", "localhost"]


@pytest.mark.parametrize(
    "environment",
    [
        {"DATABASE_URL": SERVER},
        {"DATABASE_URL": "postgresql://127.0.0.1/reservations"},
        {"ALLOWED_HOSTS": "reservations.example"},
        {"ALLOWED_HOSTS": "localhost,reservations.example"},
        {"ALLOWED_HOSTS": "*"},
        {"ALLOWED_HOSTS": "0.0.0.0"},
    ],
)
def test_a_key_is_demanded_as_soon_as_others_can_reach_it(read, environment):
    with pytest.raises(ImproperlyConfigured, match="SECRET_KEY") as refused:
        read(**environment)
    assert next(iter(environment)) in str(refused.value)
    with pytest.raises(ImproperlyConfigured, match="SECRET_KEY"):
        read(**environment, SECRET_KEY="")
    assert read(**environment, SECRET_KEY="ours")["SECRET_KEY"] == "ours"


def test_the_published_key_is_not_taken_for_a_servers(read):
    published = read()["SECRET_KEY"]
    with pytest.raises(ImproperlyConfigured, match="SECRET_KEY"):
        read(DATABASE_URL=SERVER, SECRET_KEY=published)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("HOLD_SECONDS", value) for value in ("soon", "", "0", "-1", "1.5", "9" * 5000)),
        *(("NOTICE_SECONDS", value) for value in ("a day", "", "-1", "1e5")),
        *(("NOTICE_GRACE_SECONDS", value) for value in ("x", "", "-1", "0.5")),
        *(("PORT", value) for value in ("http", "", "0", "-1", "65536")),
        *(("WEB_CONCURRENCY", value) for value in ("all", "", "0", "-1")),
        *(("DEBUG", value) for value in ("perhaps", "", "2")),
        *(("DATABASE_HEALTH_CHECKS", value) for value in ("perhaps", "2")),
        *(("LOG_LEVEL", value) for value in ("LOUD", "", "10")),
        ("DATABASE_URL", ""),
        ("DATABASE_URL", "reservations"),
        ("DATABASE_URL", "mysql://localhost/reservations"),
        ("DATABASE_URL", "postgresql://localhost:port/reservations"),
        ("DATABASE_URL", "sqlite://:memory:"),
        ("DATABASE_URL", "sqlite:///"),
    ],
)
@pytest.mark.filterwarnings("ignore:Engine not recognized")  # django-environ's own
def test_what_cannot_be_read_is_named(read, name, value):
    environment = {name: value}
    if name == "DATABASE_HEALTH_CHECKS":
        environment["DATABASE_URL"] = SERVER
    with pytest.raises(ImproperlyConfigured, match=name):
        read(**environment, SECRET_KEY="ours")


@pytest.mark.parametrize(
    ("hold", "notice", "grace", "expected"),
    [
        (1800, 86400, 0, []),
        (1800, 86400, 86400, []),
        (1800, 86400, 86401, ["scheduling.E002"]),
        (3599, 3600, 0, []),
        (3600, 3600, 0, ["scheduling.E001"]),
        (3601, 3600, 0, ["scheduling.E001"]),
        (3600, 3600, 3601, ["scheduling.E001", "scheduling.E002"]),
    ],
)
def test_durations_that_contradict_each_other_are_found(settings, hold, notice, grace, expected):
    settings.HOLD = timedelta(seconds=hold)
    settings.NOTICE = timedelta(seconds=notice)
    settings.NOTICE_GRACE = timedelta(seconds=grace)
    assert [found.id for found in run_checks() if found.id.startswith("scheduling")] == expected


def test_a_contradiction_stops_the_start():
    run = subprocess.run(
        [sys.executable, "manage.py", "check"],
        cwd=ROOT,
        env=os.environ | {"HOLD_SECONDS": "3600", "NOTICE_SECONDS": "3600"},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert run.returncode == 1
    assert "HOLD_SECONDS must be less than NOTICE_SECONDS" in run.stderr


def test_sqlite_waits_its_turn_and_writes_ahead(read):
    options = read()["DATABASES"]["default"]["OPTIONS"]
    assert options["transaction_mode"] == "IMMEDIATE"
    assert options["timeout"] >= 5
    assert "journal_mode=WAL" in options["init_command"]
