"""docs/operations.md at its word: what an operator does by it, done to a service that is in use."""

import contextlib
import os
import re
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
import requests

from . import watch
from .concurrency import wait_until
from .database import PostgreSQL
from .server import ROOT, Server

GUIDE = (ROOT / "docs/operations.md").read_text()
# A release to come: its settings, and its migrations.
RELEASE = """
from reservation_system.settings import *
INSTALLED_APPS.append("release")
"""
MIGRATION = """
from django.db import migrations
class Migration(migrations.Migration):
    atomic = {atomic}
    dependencies = {dependencies}
    operations = [migrations.RunSQL(sql) for sql in {statements}]
"""


def blocks(title, language):
    """What a section of the guide has to be typed."""
    text = re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", GUIDE, re.MULTILINE | re.DOTALL)[1]
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


class InUse(threading.Thread):
    """Somebody who reserves, confirms and lists, at those instances that are not being restarted,
    and remembers every answer."""

    def __init__(self, *instances, headers=None):
        super().__init__(daemon=True)
        self.instances = list(instances)
        self.headers = headers
        self.confirmed, self.failed, self.slowest = [], [], 0.0
        self.pause = threading.Lock()
        self.is_over = False
        day = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        window = {
            "start_time": f"{day + timedelta(2):%FT%TZ}",
            "end_time": f"{day + timedelta(122):%FT%TZ}",
        }
        published = self.ask("POST", "/provider/availability", {"provider_id": 1, **window})
        self.timeslots = iter([one["timeslot_id"] for one in published["available timeslots"]])

    def ask(self, method, path, body=None):
        with self.pause:
            self.instances.append(self.instances.pop(0))
            begun = time.monotonic()
            answer = requests.request(
                method,
                self.instances[-1].base_url + path,
                json=body,
                headers=self.headers,
                timeout=30,
            )
            self.slowest = max(self.slowest, time.monotonic() - begun)
        if answer.status_code >= 300:
            self.failed.append(answer.text)
            return None
        return answer.json()

    def run(self):
        while not self.is_over:
            time.sleep(0.01)  # there are some 11,000 timeslots
            self.ask("GET", "/client/getProviderAvailability?provider_id=1&limit=10")
            held = self.ask(
                "POST", "/client/reserve", {"client_id": 1, "timeslot_id": next(self.timeslots)}
            )
            if held is None:
                continue
            which = held["Reservation scheduled"]["reservation_id"]
            if self.ask("PUT", "/client/confirm", {"client_id": 1, "reservation_id": which}):
                self.confirmed.append(which)

    def go_on(self, times=20):
        until = len(self.confirmed) + times
        wait_until(lambda: len(self.confirmed) >= until or self.failed)
        assert not self.failed

    def restart(self, **environment):
        """One after another, as a balancer does it that hears of each beforehand."""
        for instance in list(self.instances):
            with self.pause:  # nothing is in hand
                self.instances.remove(instance)
            self.go_on(5)
            restart(instance, **environment)
            with self.pause:
                self.instances.append(instance)
                if self.headers:  # what this one signs, the others take
                    self.headers = signed_in(instance)
            self.go_on(5)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.is_over = True
        self.join(timeout=40)
        counts = f"{len(self.confirmed)} confirmed, {len(self.failed)} failed"
        print(f"{counts}, longest wait {self.slowest:.2f} s")


def restart(instance, **environment):
    instance.stop()
    instance.environment |= environment
    instance.start()


def signed_in(instance):
    account = {"email": "root@example.org", "password": f"{watch.MARK_OF_PASSWORDS}of-root"}
    answer = requests.post(f"{instance.base_url}/auth/token", json=account, timeout=10)
    return {"Authorization": f"Bearer {answer.json()['access']}"}


@pytest.fixture
def postgresql():
    """As the guide has it set up."""
    postgresql = PostgreSQL()
    postgresql.create()
    backup = postgresql.folder / "backup"
    backup.mkdir()
    (backup / "wal").mkdir()
    for folder in (backup, backup / "wal"):
        os.chown(folder, postgresql.user if postgresql.user is not None else -1, -1)
    (settings,) = blocks("Backup and restore", "conf")
    with (postgresql.data / "postgresql.conf").open("a") as file:
        file.write(settings.replace("/backup", str(backup)))
    postgresql.start()
    yield postgresql
    postgresql.destroy()


def typed(postgresql, text, **variables):
    """The block typed into a shell of PostgreSQL's own user."""
    text = text.replace("/backup", str(postgresql.folder / "backup"))
    text = text.replace("/var/lib/postgresql/15/main", str(postgresql.data))
    subprocess.run(
        ["sh", "-euc", text],
        user=postgresql.user,
        cwd=postgresql.folder,
        env={
            "PATH": f"{postgresql.binaries}:{os.environ['PATH']}",
            "PGHOST": "127.0.0.1",
            "PGPORT": str(postgresql.port),
            "PGUSER": "postgres",
            "PGDATABASE": "postgres",
            **variables,
        },
        check=True,
    )


@pytest.mark.services
def test_a_mistake_is_undone_to_the_moment_before_it(postgresql, tmp_path):
    backup, restore, afterwards = blocks("Backup and restore", "sh")
    with Server(tmp_path, postgresql.url) as server, InUse(server) as use:
        use.go_on()
        typed(postgresql, backup)
        use.go_on()
        with use.pause, psycopg.connect(postgresql.url) as database:
            before = list(use.confirmed)
            moment = database.execute("SELECT clock_timestamp()::text").fetchone()[0]
        use.go_on()
        with psycopg.connect(postgresql.url) as database:
            database.execute("TRUNCATE scheduling_reservation CASCADE")
        with use.pause:
            postgresql.stop()
            typed(postgresql, restore, MOMENT=moment)
            postgresql.start()
            wait_until(lambda: not _asked(postgresql, "SELECT pg_is_in_recovery()"))
            typed(postgresql, afterwards)
            found = _asked(postgresql, "SELECT array_agg(id) FROM scheduling_reservation")
            use.failed.clear()
            until = len(use.confirmed) + 20
        assert set(before) <= set(found)
        # One may have been held and not confirmed at that moment.
        assert len(found) <= len(before) + 1
        wait_until(lambda: len(use.confirmed) >= until)
        # But for one that was held after that moment.
        assert len(use.failed) <= 1
        assert all("reservation_not_found" in refusal for refusal in use.failed)


def _asked(postgresql, question):
    with contextlib.suppress(psycopg.OperationalError), psycopg.connect(postgresql.url) as database:
        return database.execute(question).fetchone()[0]
    return True  # not yet


# --- Upgrades ------------------------------------------------------------------------------------


class Release:
    """Migrations that are not there yet, applied as the guide has it."""

    def __init__(self, folder, server):
        self.package = folder / "release" / "migrations"
        self.package.mkdir(parents=True)
        (folder / "release/__init__.py").touch()
        (self.package / "__init__.py").touch()
        (folder / "release_settings.py").write_text(RELEASE)
        self.environment = server.environment | {
            "PYTHONPATH": str(folder),
            "DJANGO_SETTINGS_MODULE": "release_settings",
        }

    def add(self, *statements, atomic=True):
        former = len(list(self.package.glob("0*.py")))
        dependencies = [("release", f"{former:04}")] if former else []
        text = MIGRATION.format(statements=statements, dependencies=dependencies, atomic=atomic)
        (self.package / f"{former + 1:04}.py").write_text(text)

    def migrate(self, command):
        text = command.replace(".venv/bin/python", sys.executable).replace("sleep 10", "sleep 1")
        subprocess.run(["sh", "-euc", text], cwd=ROOT, env=self.environment, check=True)


@contextlib.contextmanager
def somebody_reads(postgresql):
    """A transaction that has read reservations; it goes on for two seconds after somebody who
    changes the table has begun to wait for it."""
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"

    def end():
        wait_until(lambda: _asked(postgresql, waiting) > 0)
        time.sleep(2)
        reader.rollback()

    with psycopg.connect(postgresql.url) as reader:
        reader.execute("SELECT count(*) FROM scheduling_reservation")
        ending = threading.Thread(target=end)
        ending.start()
        yield
        ending.join()


@pytest.mark.drills
def test_the_schema_changes_under_load(postgresql, tmp_path):
    (migrate,) = blocks("Upgrades", "sh")
    with (
        Server(tmp_path, postgresql.url) as one,
        Server(tmp_path, postgresql.url) as other,
        InUse(one, other) as use,
    ):
        release = Release(tmp_path, one)
        use.go_on()
        # Expanded, in the statements that the guide names; the old code runs on.
        release.add(
            "ALTER TABLE scheduling_reservation ADD COLUMN note text NOT NULL DEFAULT ''",
            "ALTER TABLE scheduling_reservation ADD CONSTRAINT note_is_short "
            "CHECK (length(note) <= 200) NOT VALID",
        )
        release.add(
            "SET lock_timeout = 0",
            "CREATE INDEX CONCURRENTLY by_note ON scheduling_reservation (note)",
            "ALTER TABLE scheduling_reservation VALIDATE CONSTRAINT note_is_short",
            "RESET lock_timeout",
            atomic=False,
        )
        with somebody_reads(postgresql):
            release.migrate(migrate)
        use.restart()
        # Contracted, once nobody knows the column any more.
        release.add("ALTER TABLE scheduling_reservation DROP COLUMN note")
        release.migrate(migrate)
        use.go_on()
        print(f"longest wait {use.slowest:.2f} s")
        patiently = use.slowest

        # The control: without the bound, everybody stands behind who waits for the table.
        release.add("ALTER TABLE scheduling_reservation ADD COLUMN note text")
        with somebody_reads(postgresql):
            release.migrate(".venv/bin/python manage.py migrate")
        use.go_on()
    assert patiently < 1.5
    assert use.slowest > 1.5


# --- Secrets -------------------------------------------------------------------------------------


@pytest.mark.drills
def test_passwords_and_keys_change_under_load(postgresql, tmp_path):
    begin, add, drop = blocks("Secrets", "sh")
    access = postgresql.data / "pg_hba.conf"
    access.write_text("host all +reservations 127.0.0.1/32 scram-sha-256\n" + access.read_text())
    typed(postgresql, begin, PASSWORD="first")
    url = f"postgresql://reservations_1:first@127.0.0.1:{postgresql.port}/reservations"
    settings = {
        "AUTHENTICATION": "required",
        "SECRET_KEY": "a" * 50,
        "RESERVE_RATE": "",
        "RESERVE_RATE_PER_ADDRESS": "",
    }
    with Server(tmp_path, url, **settings) as one, Server(tmp_path, url, **settings) as other:
        one.staff_token()
        with InUse(one, other, headers=signed_in(one)) as use:
            typed(postgresql, add, PASSWORD="second")
            use.restart(DATABASE_URL=url.replace("_1:first", "_2:second"))
            typed(postgresql, drop)
            use.go_on()

            steps = re.findall(r"`SECRET_KEY=(\w+)` with `SECRET_KEY_FALLBACKS=(\w+)`", GUIDE)
            assert steps == [("OLD", "NEW"), ("NEW", "OLD")]
            keys = {"OLD": "a" * 50, "NEW": "b" * 50}
            for key, fallback in steps:
                use.restart(SECRET_KEY=keys[key], SECRET_KEY_FALLBACKS=keys[fallback])

        # The control: in one step, those that come later do not know what the first one signs.
        restart(one, SECRET_KEY="c" * 50, SECRET_KEY_FALLBACKS=keys["NEW"])
        where = f"{other.base_url}/provider/reservations?provider_id=1"
        assert requests.get(where, headers=signed_in(other), timeout=5).status_code == 200
        assert requests.get(where, headers=signed_in(one), timeout=5).status_code == 401
