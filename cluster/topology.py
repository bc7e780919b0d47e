"""How a cluster comes up, what Patroni and HAProxy say of it, and how it ends."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterable
from itertools import groupby
from pathlib import Path
from typing import Any

import psycopg

from .configuration import (
    COORDINATION,
    FRONT,
    INSTANCES,
    NODES,
    SERVICE,
    STORAGE,
    WAYS,
    Configuration,
    require_free,
    require_packages,
)
from .programs import ROOT, Program, end, save, wait_until

PATIENCE = 120.0  # seconds for any part to come up, on a machine that is busy


class Cluster(Configuration):
    def start(self, layers: Iterable[int]) -> None:
        for program in sorted(self.programs.values(), key=by_layer):
            if program.layer in layers:
                program.start()
        self.save()

    def up(self) -> None:
        """Everything, each part once what it needs is there. Raises TimeoutError in the name of
        what does not come."""
        self.configure(require_packages())
        require_free(self.ports)
        self.start({COORDINATION, STORAGE, WAYS})
        self.await_part("PostgreSQL", self.has_synchronous_standby)
        self.await_part("RabbitMQ", lambda: listens(self.port_of("rabbitmq")))
        self._prepare_database()
        self.start({SERVICE, FRONT})
        for name in INSTANCES:
            self.await_part(name, lambda name=name: answers(self.url(name, "/readyz")))
        self.await_part("worker", lambda: answers(self.url("worker", "/")))
        for name in INSTANCES:
            self.await_part("haproxy", lambda name=name: is_up(name, self.folder))

    def await_part(self, part: str, is_there: Any) -> None:
        wait_until(is_there, PATIENCE, f"{part} does not come up: see {self.folder}")

    def url(self, name: str, path: str) -> str:
        return f"http://127.0.0.1:{self.port_of(name)}{path}"

    def _prepare_database(self) -> None:
        """What an operator does once: the role, its database, the tables, the first people."""
        password = self.passwords["reservations_password"]
        with psycopg.connect(self.administrators_url("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE ROLE reservations LOGIN PASSWORD '{password}'")
            connection.execute("CREATE DATABASE reservations OWNER reservations")
        # Not by PgBouncer: a migration may want a session to itself.
        url = f"postgresql://reservations:{password}@127.0.0.1:{self.port_of('primary')}"
        for command in ("migrate",), ("loaddata", "prepopulate_db.json"):
            self.manage(*command, DATABASE_URL=f"{url}/reservations")

    def manage(self, *command: str, **environment: str) -> None:
        subprocess.run(
            [sys.executable, "manage.py", *command, "--verbosity=0"],
            cwd=ROOT,
            env=os.environ | self.environment(**environment),
            check=True,
        )

    def administrators_url(self, database: str) -> str:
        password = self.passwords["postgres_password"]
        return f"postgresql://postgres:{password}@127.0.0.1:{self.port_of('primary')}/{database}"

    # --- What Patroni says -------------------------------------------------------------------

    def members(self) -> list[dict[str, Any]]:
        """As the first node that answers sees them."""
        for node in NODES:
            with contextlib.suppress(OSError, ValueError):
                url = self.url(f"patroni-{node}", "/cluster")
                with urllib.request.urlopen(url, timeout=2) as answer:
                    return list(json.load(answer)["members"])
        return []

    def in_role(self, role: str) -> list[str]:
        """The names of those who are leader, sync_standby or replica, and run."""
        return [
            member["name"]
            for member in self.members()
            if member["role"] == role and member["state"] in ("running", "streaming")
        ]

    def has_synchronous_standby(self) -> bool:
        return bool(self.in_role("leader") and self.in_role("sync_standby"))

    def is_whole(self) -> bool:
        """Two standbys follow, one of them synchronously."""
        return self.has_synchronous_standby() and len(self.in_role("replica")) == 1


def down(programs: Iterable[Program]) -> None:
    """What asks before what is asked."""
    for layer, together in groupby(sorted(programs, key=by_layer, reverse=True), by_layer):
        if layer == COORDINATION:
            # At once, each would wait for another to take the lead over.
            for program in together:
                program.stop()
        else:
            end(together)


def by_layer(program: Program) -> int:
    return program.layer


def restart_instances(programs: list[Program], folder: Path) -> None:
    """One after the other, each by SIGTERM, and the next only once HAProxy has the last again."""
    for program in programs:
        if program.name in INSTANCES:
            program.stop()
            program.start()
            save(programs, folder / "programs.json")
            wait_until(
                lambda program=program: is_up(program.name, folder),
                *(PATIENCE, f"{program.name} does not come back"),
            )


def is_up(instance: str, folder: Path) -> bool:
    """Whether HAProxy sends requests to it."""
    try:
        with socket.socket(socket.AF_UNIX) as asked:
            asked.connect(str(folder / "haproxy.sock"))
            asked.sendall(b"show stat\n")
            told = asked.makefile().read()
    except OSError:
        return False
    lines = [line.split(",") for line in told.splitlines()]
    statuses = {line[1]: line[17] for line in lines if "-unready" not in line[0] and len(line) > 17}
    return statuses.get(instance) == "UP"


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except OSError:
        return False


def listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0
