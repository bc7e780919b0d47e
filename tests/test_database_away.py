"""The database goes away under the running service and comes back: 503, then as before."""

import contextlib
import itertools
import os
import resource
import signal
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
import requests
from django.conf import settings

from .concurrency import rows_of, wait_until
from .database import PostgreSQL
from .server import ROOT, Server

pytestmark = pytest.mark.long


class Stopped:
    """PostgreSQL is shut down and started again, as for an update."""

    can_read = False

    def __init__(self, _):
        self.postgresql = PostgreSQL(options=["fsync=on"])
        self.postgresql.create()
        self.postgresql.start()
        self.url = self.postgresql.url

    def begin(self, _):
        self.postgresql.stop()

    def end(self):
        self.postgresql.start()

    def destroy(self):
        self.postgresql.destroy()


class Killed(Stopped):
    """kill -9 of PostgreSQL: its other processes notice and end, and it recovers from its log."""

    def begin(self, _):
        self.postgresql.process.kill()
        self.postgresql.process.wait(timeout=10)
        self.postgresql.process = None


class ReadOnly(Stopped):
    """What a standby is, until it is promoted."""

    can_read = True

    def begin(self, _):
        self._set("on")

    def end(self):
        self._set("off")

    def _set(self, state):
        with psycopg.connect(self.url, autocommit=True) as database:
            database.execute(f"ALTER SYSTEM SET default_transaction_read_only = {state}")
            database.execute("SELECT pg_reload_conf()")
        # Whoever is connected already has been told of it before anybody new finds it so.
        wait_until(lambda: self._state() == state)

    def _state(self):
        with psycopg.connect(self.url) as database:
            return database.execute("SHOW default_transaction_read_only").fetchone()[0]


class Locked:
    """Another process keeps SQLite's file locked for longer than the busy timeout."""

    can_read = True

    def __init__(self, folder):
        self.path = folder / "served.sqlite3"
        self.url = f"sqlite:///{self.path}?timeout=1"
        self.other = None

    def begin(self, _):
        self.other = sqlite3.connect(self.path, isolation_level=None)
        self.other.execute("BEGIN IMMEDIATE")

    def end(self):
        self.destroy()

    def destroy(self):
        if self.other is not None:
            self.other.close()


class Full(Locked):
    """The file cannot grow: what a full disk does, done by a limit on the worker processes."""

    def begin(self, server):
        self.workers = [int(pid) for pid in children_of(server.process.pid)]
        self._limit(Path(f"{self.path}-wal").stat().st_size)

    def end(self):
        self._limit(resource.RLIM_INFINITY)

    def _limit(self, size):
        for pid in self.workers:
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


IS_POSTGRESQL = settings.DATABASES["default"]["ENGINE"].endswith("postgresql")
FAULTS = [Stopped, Killed, ReadOnly] if IS_POSTGRESQL else [Locked, Full]
# An empty sweep writes nothing, so a full disk does not trouble it.
FAULTS_OF_A_SWEEP = [fault for fault in FAULTS if fault is not Full]


def children_of(pid):
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


@contextlib.contextmanager
def database(fault, folder):
    one = fault(folder)
    try:
        yield one
    finally:
        one.destroy()


def publish(server, hour):
    start_time = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) + timedelta(days=2)
    window = {
        "provider_id": 1,
        "start_time": (start_time + timedelta(hours=hour)).isoformat(),
        "end_time": (start_time + timedelta(hours=hour + 1)).isoformat(),
    }
    return requests.post(f"{server.base_url}/provider/availability", json=window, timeout=30)


def reserve(server, timeslot):
    body = {"client_id": 1, "timeslot_id": timeslot}
    return requests.post(f"{server.base_url}/client/reserve", json=body, timeout=30)


def get(server, path):
    return requests.get(f"{server.base_url}{path}", timeout=30)


def assert_unavailable(answer):
    assert answer.status_code == 503, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert int(answer.headers["Retry-After"]) >= 1
    assert answer.json()["code"] == "unavailable"
    # The busy timeout of the locked file is one second; nothing else makes anybody wait.
    assert answer.elapsed < timedelta(seconds=5)


@pytest.mark.parametrize("fault", FAULTS)
def test_it_answers_503_while_the_database_is_away_and_recovers_by_itself(fault, tmp_path):
    with database(fault, tmp_path) as away, Server(tmp_path, away.url) as server:
        timeslots = [one["timeslot_id"] for one in publish(server, 0).json()["available timeslots"]]
        # Often enough that every worker's every thread has a connection to lose.
        for _ in range(20):
            assert get(server, "/readyz").status_code == 200
        away.begin(server)
        for _ in range(6):
            assert_unavailable(reserve(server, timeslots[0]))
            assert_unavailable(publish(server, 1))
        for path in ("/readyz", "/client/getProviderAvailability?provider_id=1"):
            for _ in range(6):
                answer = get(server, path)
                if not away.can_read:
                    assert_unavailable(answer)
                assert answer.status_code == (200 if away.can_read else 503)
        assert get(server, "/healthz").status_code == 200
        away.end()
        wait_until(lambda: get(server, "/readyz").status_code == 200, seconds=10)
        assert rows_of(away.url, "SELECT count(*) FROM scheduling_reservation") == [(0,)]
        assert rows_of(away.url, "SELECT count(*) FROM scheduling_timeslot") == [(4,)]
        # A connection that broke is made anew before it is used.
        assert reserve(server, timeslots[0]).status_code == 200
        assert publish(server, 1).status_code == 201
        answers = [reserve(server, timeslots[1]).status_code for _ in range(20)]
        assert answers == [200] + [409] * 19
        assert {get(server, "/readyz").status_code for _ in range(20)} == {200}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_was_asked_meanwhile_under_a_key_is_done_once_when_asked_again(fault, tmp_path):
    def create():
        return requests.post(
            f"{server.base_url}/client/create",
            json={"first_name": "Meanwhile", "last_name": "Asked"},
            headers={"Idempotency-Key": "asked-meanwhile"},
            timeout=30,
        )

    answers = []

    def is_answered():
        answers.append(create())
        return answers[-1].status_code == 201

    with database(fault, tmp_path) as away, Server(tmp_path, away.url) as server:
        assert publish(server, 0).status_code == 201
        away.begin(server)
        for _ in range(4):
            assert_unavailable(create())
        away.end()
        for _ in range(10):
            wait_until(is_answered, seconds=10)
        created = [answer for answer in answers if answer.status_code == 201]
        assert {answer.text for answer in created} == {created[0].text}
        is_replayed = ["Idempotent-Replayed" in answer.headers for answer in created]
        assert is_replayed == [False] + [True] * 9
        named = "SELECT count(*) FROM scheduling_client WHERE first_name = 'Meanwhile'"
        assert rows_of(away.url, named) == [(1,)]


# --- The sweep on a schedule ---------------------------------------------------------------------


@contextlib.contextmanager
def scheduled_sweep(url, folder):
    """`manage.py expire_reservations`, every 0.2 seconds; its process and its log."""
    path = folder / "sweep.log"
    with path.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "manage.py", "expire_reservations", "--every", "0.2"],
            cwd=ROOT,
            env=os.environ | {"DATABASE_URL": url},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        yield process, path
    finally:
        process.kill()
        process.wait(timeout=10)


def migrate(url):
    subprocess.run(
        [sys.executable, "manage.py", "migrate", "--verbosity", "0"],
        cwd=ROOT,
        env=os.environ | {"DATABASE_URL": url},
        check=True,
        timeout=60,
    )


HOURS = itertools.count(48)


def add_lapsed_hold(url):
    """Straight into the tables, since over HTTP a hold is never made lapsed."""
    now = datetime.now(UTC).replace(tzinfo=None)
    start_time = now + timedelta(hours=next(HOURS))
    end_time = start_time + timedelta(minutes=15)
    created_at, expires_at = now - timedelta(hours=2), now - timedelta(hours=1)
    zone = "+00" if url.startswith("postgresql") else ""
    moments = [f"'{one}{zone}'" for one in (start_time, end_time, created_at, expires_at)]
    start_time, end_time, created_at, expires_at = moments
    for table in ("provider", "client"):
        rows_of(
            url,
            f"INSERT INTO scheduling_{table} (id, first_name, last_name) VALUES (7, 'Ada', 'L') "
            "ON CONFLICT DO NOTHING",
        )
    rows_of(
        url,
        "INSERT INTO scheduling_timeslot (provider_id, start_time, end_time) "
        f"VALUES (7, {start_time}, {end_time})",
    )
    rows_of(
        url,
        "INSERT INTO scheduling_reservation (provider_id, timeslot_id, client_id, start_time, "
        "end_time, status, created_at, expires_at, changed_at) "
        f"SELECT 7, id, 7, start_time, end_time, 'held', {created_at}, {expires_at}, {created_at} "
        f"FROM scheduling_timeslot WHERE start_time = {start_time}",
    )


def count_of_expired(url):
    sql = "SELECT count(*) FROM scheduling_reservation WHERE status = 'expired'"
    return rows_of(url, sql)[0][0]


def stop_at_once(process):
    """Within a second on an idle machine; one that waited for the database takes 5 and more."""
    process.send_signal(signal.SIGTERM)
    return process.wait(timeout=4)


@pytest.mark.parametrize("fault", FAULTS_OF_A_SWEEP)
def test_the_scheduled_sweep_outlives_the_database(fault, tmp_path):
    with database(fault, tmp_path) as away:
        migrate(away.url)
        add_lapsed_hold(away.url)
        with scheduled_sweep(away.url, tmp_path) as (process, log):
            # What the database has done the sweep may not have said yet: then it never would.
            wait_until(lambda: log.read_text().count("released timeslot") == 1, seconds=20)
            assert count_of_expired(away.url) == 1
            away.begin(None)
            wait_until(lambda: "database unavailable" in log.read_text(), seconds=10)
            away.end()
            add_lapsed_hold(away.url)
            wait_until(lambda: log.read_text().count("released timeslot") == 2, seconds=10)
            assert count_of_expired(away.url) == 2
            assert stop_at_once(process) == 0
            assert log.read_text().count("released timeslot") == 2


@pytest.mark.parametrize("fault", FAULTS_OF_A_SWEEP)
def test_the_scheduled_sweep_stops_at_once_while_the_database_is_away(fault, tmp_path):
    with database(fault, tmp_path) as away:
        migrate(away.url)
        with scheduled_sweep(away.url, tmp_path) as (process, log):
            away.begin(None)
            wait_until(lambda: "database unavailable" in log.read_text(), seconds=20)
            assert stop_at_once(process) == 0


def test_the_scheduled_sweep_waits_for_the_first_migration(empty_database_url, tmp_path):
    with scheduled_sweep(empty_database_url, tmp_path) as (process, log):
        wait_until(lambda: log.read_text(), seconds=20)
        migrate(empty_database_url)
        add_lapsed_hold(empty_database_url)
        wait_until(lambda: count_of_expired(empty_database_url) == 1, seconds=10)
        assert stop_at_once(process) == 0
