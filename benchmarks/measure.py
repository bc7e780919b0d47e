"""One request measured: through the service, and its statements alone."""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from statistics import quantiles
from typing import Any

from tests.server import ROOT

from . import floor
from .load import Load
from .processes import Database, Server
from .rows import Rows

CLIENTS = 8


@dataclass(frozen=True)
class Request:
    """A request of the contract, and how to write the rows, and the headers, that so many of it
    need. `{id}` stands for the id of one of those rows."""

    name: str
    method: str
    path: str
    rows: Callable[[int], range]
    requests: int = 1
    body: str = ""
    clients: int = CLIENTS
    rounds: int = 1
    headers: Callable[[int], list[str]] = lambda _: []

    def load(self, port: int, requests: int) -> Load:
        ids = self.rows(requests)
        clients, headers = min(self.clients, requests), self.headers(requests)
        asked = self.method, self.path, self.body
        return Load(port, clients, requests, *asked, ids[0], len(ids), headers)


@dataclass
class Cost:
    """What all the requests of a measurement took."""

    seconds: float = 0
    latencies: list[float] = field(default_factory=list)
    statuses: Counter[str] = field(default_factory=Counter)
    application_cpu: float = 0
    database_cpu: float = 0
    statements: int = 0
    blocks: int = 0

    @property
    def per_second(self) -> float:
        return len(self.latencies) / self.seconds

    @property
    def p50(self) -> float:
        return self._percentile(50)

    @property
    def p99(self) -> float:
        return self._percentile(99)

    @property
    def application_ms(self) -> float:
        return self.application_cpu * 1000 / len(self.latencies)

    @property
    def database_ms(self) -> float:
        return self.database_cpu * 1000 / len(self.latencies)

    @property
    def total_ms(self) -> float:
        return self.application_ms + self.database_ms

    @property
    def statements_each(self) -> float:
        return self.statements / len(self.latencies)

    @property
    def blocks_each(self) -> float:
        return self.blocks / len(self.latencies)

    @property
    def errors(self) -> int:
        return sum(count for status, count in self.statuses.items() if status[0] not in "23")

    def _percentile(self, nth: int) -> float:
        return percentile(self.latencies, nth)


def percentile(seconds: list[float], nth: int) -> float:
    """In milliseconds."""
    if len(seconds) == 1:
        return seconds[0] * 1000
    return quantiles(seconds, n=100, method="inclusive")[nth - 1] * 1000


def through_service(
    request: Request, server: Server, database: Database | None = None, rows: Rows | None = None
) -> Cost:
    cost = Cost()
    # Connections are opened and statements prepared before anything counts.
    if request.requests >= 10:
        send(request, server, request.requests // 10)
    for _ in range(request.rounds):
        load = request.load(server.port, request.requests)
        if rows:
            rows.forget_statements()
        application, behind = server.cpu_seconds(), database.cpu_seconds() if database else 0
        found = drive(load)
        cost.application_cpu += server.cpu_seconds() - application
        if database:
            cost.database_cpu += database.cpu_seconds() - behind
        if rows:
            statements, blocks = rows.statements()
            cost.statements += statements
            cost.blocks += blocks
        cost.seconds += found["seconds"]
        for status, latencies in found["latencies"].items():
            cost.latencies += latencies
            cost.statuses[status] += len(latencies)
    # Refusals are cheaper than what was asked; on SQLite they are what is counted.
    assert database is None or not cost.errors, cost.statuses
    return cost


def bare(request: Request, database: Database) -> Cost:
    """The floor: the request's statements with nothing around them."""
    cost = Cost()
    statements = floor.statements_of(request.load(0, 1))
    for _ in range(request.rounds):
        load = request.load(0, request.requests)
        behind, processes = database.cpu_seconds(), database.processes()
        seconds, latencies = floor.run(database, load, statements)
        database.await_processes(processes)
        cost.database_cpu += database.cpu_seconds() - behind
        cost.seconds += seconds
        cost.latencies += latencies
    return cost


def send(request: Request, server: Server, requests: int | None = None) -> dict[str, Any]:
    return drive(request.load(server.port, requests or request.requests))


def drive(load: Load) -> dict[str, Any]:
    ran = subprocess.run(
        [sys.executable, "-m", "benchmarks.load"],
        cwd=ROOT,
        input=json.dumps(asdict(load)),
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return json.loads(ran.stdout)
