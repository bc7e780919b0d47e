"""Processes killed at random under load: the service with all that belongs to it, whose processes
are started anew as an init system does it; its callers; its killer; and what there is afterwards.

tests/test_random_kills.py kills thirty, `make bench-kills` a thousand.
"""

import contextlib
import os
import random
import subprocess
import sys
import threading
import time
import uuid
from collections import Counter, deque
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import psutil
import requests

from . import watch
from .aftermath import ADDRESSES, PEOPLE, Asked, Found, complaints, left, look
from .broker import Broker
from .database import PostgreSQL
from .mailbox import Mailbox
from .receiver import Receiver
from .server import ROOT, Server, Worker

CALLERS = 6
PAUSE = 0.5  # seconds between two kills, on average
CONTESTED = 24  # timeslots that everybody wants
REFUSALS = {409, 410}
RECENT = 12  # reservations that everybody changes
BEAT = ("celery", "--quiet", "--app=reservation_system.celery", "beat", "--pidfile=")


# --- The service ---------------------------------------------------------------------------------


class Kept:
    """A process in a group of its own that is started anew whenever it has ended."""

    def __init__(self, command, environment, log):
        self.command, self.environment, self.log = command, environment, log
        self.process = None

    def start(self):
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-W", "ignore:You're running the worker", "-m", *self.command],
                cwd=ROOT,
                env=self.environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def keep(self):
        if self.process.poll() is not None:
            self.end()
            self.start()

    def end(self):
        """Also what it leaves behind, as systemd and containers do."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, 9)
        self.process.wait(timeout=10)


class Database(PostgreSQL):
    """Writes to the disk, and recovers when it is started anew."""

    def __init__(self):
        super().__init__(["fsync=on"])

    def keep(self):
        if self.process.poll() is not None:
            # Killed again before it answered, or what it left behind has not ended yet.
            with contextlib.suppress(RuntimeError):
                self.start()


class Stage(contextlib.ExitStack):
    """A service with those who are told; what `_start` has begun ends, even if it fails midway."""

    def __init__(self):
        super().__init__()
        self.next_day = 3
        self.offered = {}  # timeslots as they were published, by id

    def __enter__(self):
        super().__enter__()
        with contextlib.ExitStack() as unwinding:
            unwinding.push(self)
            self._start()
            unwinding.pop_all()
        return self

    def publish(self, days):
        """The timeslots of so many days, of each provider, after those published before."""
        start = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        start += timedelta(days=self.next_day)
        self.next_day += days
        timeslots = []
        for provider in PEOPLE:
            window = {
                "provider_id": provider,
                "start_time": start.isoformat(),
                "end_time": (start + timedelta(days=days)).isoformat(),
            }
            published = self.ask("POST", "/provider/availability", window)["available timeslots"]
            self.offered |= {one["timeslot_id"]: one for one in published}
            timeslots += [one["timeslot_id"] for one in published]
        return timeslots


class Service(Stage):
    """Two workers, PostgreSQL, a virtual host, Celery's worker and beat, and who is told."""

    def __init__(self, folder):
        super().__init__()
        self.folder = folder

    def _start(self):
        folder = self.folder
        self.database = Database()
        self.callback(self.database.destroy)
        self.database.create()
        self.database.start()
        self.broker = self.enter_context(Broker())
        self.receiver = self.enter_context(Receiver())
        self.mailbox = self.enter_context(Mailbox())
        first = Server(
            folder,
            self.database.url,
            BROKER_URL=self.broker.url,
            EMAIL_URL=f"smtp://127.0.0.1:{self.mailbox.port}",
            EMAIL_FROM="reservations@example.org",
            SECRET_KEY=uuid.uuid4().hex * 2,
            AUTHENTICATION="open",
            HOLD_SECONDS="3",
            REMINDER_SECONDS="0",
            RESERVE_RATE="",
            RESERVE_RATE_PER_ADDRESS="",
            WEBHOOK_ALLOWED_NETWORKS="127.0.0.0/8",
            WEB_CONCURRENCY="2",
        )
        self.base_url = first.base_url
        with first:
            first.manage("shell", "-c", GIVE_ADDRESSES)
        schedule = f"--schedule={folder}/schedule"
        self.kept = {
            name: Kept(command, first.environment, folder / f"{name}.log")
            for name, command in {
                "server": ("reservation_system.serve",),
                "worker": (*Worker.command, "--include=tests.hurry"),
                "beat": (*BEAT, schedule),
            }.items()
        }
        for kept in self.kept.values():
            kept.start()
            self.callback(kept.end)
        self.logs = [first.log, *(kept.log for kept in self.kept.values())]
        is_over = threading.Event()
        for kept in [*self.kept.values(), self.database]:
            thread = threading.Thread(target=_keep, args=(kept, is_over))
            thread.start()
            self.callback(thread.join)
            self.callback(is_over.set)
        self.await_answer()
        self.ask("POST", "/webhooks", {"url": self.receiver.url})

    def await_answer(self):
        until = time.monotonic() + 60
        while True:
            with contextlib.suppress(requests.RequestException):
                if requests.get(f"{self.base_url}/readyz", timeout=5).ok:
                    return
            assert time.monotonic() < until, "the service does not come back"
            time.sleep(0.1)

    def ask(self, method, path, body):
        answer = requests.request(method, self.base_url + path, json=body, timeout=60)
        assert answer.ok, answer.text
        return answer.json()


GIVE_ADDRESSES = f"""
from django.contrib.auth.models import User
from scheduling.models import Client, Provider
for (party, pk), address in {ADDRESSES!r}.items():
    person = {{"client": Client, "provider": Provider}}[party].objects.get(pk=pk)
    person.user = User.objects.create(username=party + str(pk), email=address)
    person.save()
"""


def _keep(kept, is_over):
    while not is_over.wait(0.1):
        kept.keep()


# --- The load ------------------------------------------------------------------------------------


class Load:
    """Callers who reserve, confirm, move and cancel, each other's reservations too, or do nothing
    and let holds lapse; with what they were answered.

    Half of the requests carry a key and are repeated until they are answered. The others are made
    once: without an answer, they may have had their effect or not.
    """

    VERBS = {
        "reserved": ("POST", "/client/reserve"),
        "confirmed": ("PUT", "/client/confirm"),
        "rescheduled": ("PUT", "/client/reschedule"),
        "cancelled": ("PUT", "/client/cancel"),
    }

    def __init__(self, service, seed):
        self.base_url = service.base_url
        self.seed = seed
        self.timeslots = service.publish(days=60)
        self.contested = self.timeslots[:CONTESTED]
        self.recent = deque(maxlen=RECENT)
        self.acknowledged, self.in_doubt = [], []
        self.statuses = Counter()
        self.is_over = threading.Event()

    def play(self, nth):
        chance = random.Random(f"{self.seed} {nth}")
        with requests.Session() as session:
            while not self.is_over.wait(chance.uniform(0, 0.5)):
                self.step(session, chance)

    def step(self, session, chance):
        kind = chance.choices(list(self.VERBS), [40, 22, 22, 16])[0]
        timeslots = self.contested if chance.random() < 0.5 else self.timeslots
        if kind == "reserved" or not self.recent:
            asked = Asked("reserved", None, chance.choice(PEOPLE), chance.choice(timeslots))
        else:
            reservation, client = chance.choice(list(self.recent))
            timeslot = chance.choice(timeslots) if kind == "rescheduled" else None
            asked = Asked(kind, reservation, client, timeslot)
        self.make(session, asked, key=str(uuid.uuid4()) if chance.random() < 0.5 else None)

    def make(self, session, asked, key):
        method, path = self.VERBS[asked.kind]
        body = asked._asdict()
        del body["kind"]
        body = {name: value for name, value in body.items() if value is not None}
        headers = {"Idempotency-Key": key} if key else {}
        until = time.monotonic() + 120
        while time.monotonic() < until:
            try:
                answer = session.request(
                    method, self.base_url + path, json=body, headers=headers, timeout=15
                )
                self.statuses[answer.status_code] += 1
            except requests.RequestException:
                self.statuses["none"] += 1
                answer = None
            if answer is not None and answer.status_code == 200:
                self.keep(asked, answer.json())
                return
            if answer is not None and answer.status_code in REFUSALS:
                if answer.json()["code"] != "still_running":
                    return  # without effect
            elif not key:
                break
            time.sleep(0.1)
        self.in_doubt.append(asked)

    def keep(self, asked, answer):
        if asked.kind == "reserved":
            made = answer["Reservation scheduled"]["reservation_id"]
            asked = asked._replace(reservation_id=made)
            self.recent.append((made, asked.client_id))
        self.acknowledged.append(asked)


# --- The killer ----------------------------------------------------------------------------------


class Killer:
    """kill -9 of one process after the other, chosen at random; what was hit, and how often."""

    def __init__(self, service, seed):
        self.service = service
        self.chance = random.Random(seed)
        self.hit = Counter()
        self.victims = {
            "a granian worker": (24, lambda: self.child_of("server")),
            "granian itself": (8, lambda: self.itself("server")),
            "a process of Celery's worker": (32, lambda: self.child_of("worker")),
            "Celery's worker itself": (8, lambda: self.itself("worker")),
            "beat": (10, lambda: self.itself("beat")),
            "a connection's PostgreSQL process": (8, self.backend),
            "PostgreSQL itself": (5, self.postmaster),
        }

    def kill(self, count):
        for _ in range(count):
            time.sleep(min(self.chance.expovariate(1 / PAUSE), 4 * PAUSE))
            self.kill_one()

    def kill_one(self):
        until = time.monotonic() + 60
        while time.monotonic() < until:
            if self.chance.random() < 0.03:
                self.service.broker.close_connections()
                self.hit["all connections of RabbitMQ (closed)"] += 1
                return
            weights = [weight for weight, _ in self.victims.values()]
            [name] = self.chance.choices(list(self.victims), weights)
            # There may be none now, or it has ended in this very moment.
            with contextlib.suppress(psutil.NoSuchProcess, IndexError):
                self.victims[name][1]().kill()
                self.hit[name] += 1
                return
            time.sleep(0.05)
        raise AssertionError("for a minute there was nothing to kill")

    def itself(self, name):
        process = psutil.Process(self.service.kept[name].process.pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            raise IndexError
        return process

    def child_of(self, name):
        return self.chance.choice(self.itself(name).children())

    def postmaster(self):
        process = psutil.Process(self.service.database.process.pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            raise IndexError
        return process

    def backend(self):
        children = self.postmaster().children()
        return self.chance.choice([one for one in children if "127.0.0.1(" in _title(one)])


def _title(process):
    with contextlib.suppress(psutil.NoSuchProcess):
        return " ".join(process.cmdline())
    return ""


# --- All of it -----------------------------------------------------------------------------------


class Run(NamedTuple):
    kills: Counter
    told_amid_them: tuple[int, int]  # messages and letters
    seconds: float
    drained_after: float
    statuses: Counter
    found: Found
    complaints: list[str]


def run(folder, kills, *, seed, patience, sweep=False):
    """Kill so many, let it be for as long as it takes, at most `patience` seconds; then look.

    With `sweep` a caller sweeps at the end, once; else what was not announced waits for beat.
    """
    with Service(folder) as service:
        load, killer = Load(service, seed), Killer(service, seed)
        began = time.monotonic()
        with ThreadPoolExecutor(CALLERS) as threads:
            plays = [threads.submit(load.play, nth) for nth in range(CALLERS)]
            try:
                killer.kill(kills)
            finally:
                load.is_over.set()
            for play in plays:
                play.result(150)
        told = len(service.receiver.received), len(service.mailbox.envelopes)
        seconds = time.monotonic() - began
        service.await_answer()
        if sweep:
            time.sleep(3.1)  # the last holds
            service.ask("PUT", "/provider/expiredReservations", {})
        until = time.monotonic() + patience
        while any(left(service.database.url).values()) and time.monotonic() < until:
            time.sleep(0.5)
        drained_after = time.monotonic() - began - seconds
        found = look(service, load)
        complained = list(complaints(found))
        unknown = load.statuses.keys() - {200, 503, "none", *REFUSALS}
        complained += [f"answered {load.statuses[one]} times: {one}" for one in unknown]
        for log in service.logs:
            watch.check_file(log)
    return Run(killer.hit, told, seconds, drained_after, load.statuses, found, complained)
