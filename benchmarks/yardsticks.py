"""The yardsticks: what every hot path costs, in empty views and beside the straightforward way."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import requests

from .load import PEOPLE
from .measure import Cost, Request, bare, send, through_service
from .processes import AS_SERVED, NAIVELY_SERVED, Database, Server
from .requests import Requests, new_tokens, publication
from .rows import Rows
from .shown import figure, middle, table

EMPTY = "benchmarks.empty_view.settings"
NAIVE = "benchmarks.naive.settings"
PAST = {"little": (100_000, 0), "much": (2_000_000, 1_000_000)}  # timeslots, reservations
WORKER_MIB = 90

Costs = dict[str, list[Cost]]


class Yardstick(NamedTuple):
    path: str
    what: str
    bar: float
    reached: float
    is_counted: bool = False  # the same on any machine and in any run

    @property
    def is_met(self) -> bool:
        return self.reached <= self.bar


@dataclass
class Scale:
    """How much is measured. A smoke run's figures are coarse, but for what it is there for."""

    rounds: int = 3
    requests: float = 1
    past: float = 1

    def times(self, count: int) -> int:
        return max(1, int(count * self.requests))


def yardsticks_tables(database: Database, folder: Path, rows: Rows, scale: Scale) -> Iterator[str]:
    with ExitStack() as stack:

        def served(command: list[str], **environment: str) -> Server:
            return stack.enter_context(Server(folder, command, **environment))

        servers = {
            "ours": served(AS_SERVED),
            "empty": served(AS_SERVED, DJANGO_SETTINGS_MODULE=EMPTY),
            "naive": served(NAIVELY_SERVED, DJANGO_SETTINGS_MODULE=NAIVE),
            "required": served(
                AS_SERVED, AUTHENTICATION="required", RESERVE_RATE="", RESERVE_RATE_PER_ADDRESS=""
            ),
        }
        run = Run(database, rows, servers, scale)
        run.measure()
    figures = [*run.yardsticks(), *sqlite(folder, scale), *memory(run.ask, folder, scale)]
    yield _shown(figures)
    yield run.costs_table()
    broken = [one for one in figures if one.is_counted and not one.is_met]
    if broken:  # what takes long is a matter of the machine, what is counted is not
        sys.exit(f"{_shown(broken)}\n\nMore than may be.")


class Run:
    """The paths in turn, round by round; the figures are medians of the rounds."""

    def __init__(
        self,
        database: Database,
        rows: Rows,
        servers: dict[str, Server],
        scale: Scale,
    ) -> None:
        self.database, self.rows, self.servers = database, rows, servers
        self.scale = scale
        self.ask = Requests(rows, scale.requests / 2)
        self.tokens = new_tokens(PEOPLE)
        self.costs: Costs = {}
        self.alone: Costs = {}

    def measure(self) -> None:
        for name, (timeslots, reservations) in PAST.items():
            self.rows.past(int(timeslots * self.scale.past), int(reservations * self.scale.past))
            for _ in range(self.scale.rounds):
                self._measure("N", self.ask.empty, "empty")
                self._measure(f"list 32, {name} past", self.ask.list_32)
                self._measure(f"reserve, {name} past", self.ask.reserve)
        for _ in range(self.scale.rounds):
            self._round()
        self._once()

    def _round(self) -> None:
        ask, times = self.ask, self.scale.times
        self._measure("N", ask.empty, "empty")
        for name, request in {
            "reserve": ask.reserve,
            "confirm": ask.confirm,
            "list 32": ask.list_32,
            "list 960": ask.list_960,
            "publish 32": ask.publish(32, 800),
            "publish 960": ask.publish(960, 80),
        }.items():
            self._measure(name, request)
            self._measure(f"naive {name}", _fewer(request, 8), "naive")
        self._measure("N", ask.empty, "empty")
        self._measure("304 of list 960", replace(self._seen(ask.list_960), requests=times(4_000)))
        known = replace(ask.list_32, headers=lambda _: self.tokens)
        self._measure("list 32, open", known)
        self._measure("list 32, signed in", known, "required")
        known = replace(ask.reserve, headers=lambda _: self.tokens)
        self._measure("reserve, open", known)
        self._measure("reserve, signed in", known, "required")
        self._measure("sweep of 10,000", ask.sweep(times(10_000)))
        self._measure("naive sweep of 1,000", ask.sweep(times(1_000)), "naive")
        self.rows.held(times(20_000))
        self._measure("sweep of nothing", ask.empty_sweep)
        self.rows.settle()
        self._measure("N", ask.empty, "empty")

    def _once(self) -> None:
        """What takes so long that once must do."""
        year = self.ask.publish(int(35_040 * min(1, self.scale.requests * 2)), 8)
        self._measure("publish 35,040", year)
        self._measure("naive publish 35,040", replace(year, requests=1), "naive")
        for timeslots, name in ((32, "publish 32"), (960, "publish 960")):
            self.alone[name] = [bare(self.ask.publish(timeslots, 400), self.database)]
        self.alone["publish 35,040"] = [bare(year, self.database)]
        for name in ("reserve", "confirm", "list_32", "list_960"):
            request = getattr(self.ask, name)
            self.alone[name.replace("_", " ")] = [bare(request, self.database)]
        self._measure("reserve, 32 clients", replace(self.ask.reserve, clients=32))

    def _measure(self, name: str, request: Request, server: str = "ours") -> None:
        cost = through_service(request, self.servers[server], self.database, self.rows)
        self.costs.setdefault(name, []).append(cost)

    def _seen(self, request: Request) -> Request:
        """By callers who have the list already."""
        base_url = self.servers["ours"].base_url
        tags = [
            requests.get(base_url + request.path.replace("{id}", str(pk)), timeout=10).headers[
                "ETag"
            ]
            for pk in request.rows(0)
        ]
        return replace(request, headers=lambda _: [f"If-None-Match: {tag}" for tag in tags])

    def yardsticks(self) -> Iterator[Yardstick]:
        unit, sum_of = self._application("N"), self._sum

        def in_n(name: str) -> float:
            return sum_of(name) / unit

        def beside(name: str) -> float:
            return sum_of(name) / sum_of(f"naive {name}")

        for name, application, both, naive in (
            ("reserve", 1.3, 1.9, 1 / 5),
            ("confirm", 1.3, 1.8, 1 / 4),
        ):
            yield Yardstick(name, "application / N", application, self._application(name) / unit)
            yield Yardstick(name, "sum / N", both, in_n(name))
            yield Yardstick(name, "sum / O", naive, beside(name))
            yield Yardstick(name, "statements", 1, round(self._statements(name), 1), True)
        yield Yardstick("list 32", "sum / N", 1.6, in_n("list 32"))
        yield Yardstick("list 32", "sum / O", 1 / 8, beside("list 32"))
        yield Yardstick("list 32", "statements", 1, round(self._statements("list 32"), 1), True)
        yield Yardstick("list 960", "sum / O", 1 / 12, beside("list 960"))
        each = (in_n("list 960") - in_n("list 32")) / (960 - 32)
        yield Yardstick("list 960", "each further row / N", 0.007, each)
        yield Yardstick("304 of list 960", "sum / N", 1.5, in_n("304 of list 960"))
        for timeslots, naive in (("32", 1 / 12), ("960", 1 / 15), ("35,040", 1 / 15)):
            name = f"publish {timeslots}"
            yield Yardstick(name, "sum / O", naive, beside(name))
            alone = middle(self.alone[name], "database_ms")
            yield Yardstick(name, "PostgreSQL / S", 1.5, self._database(name) / alone)
        released = (sum_of("sweep of 10,000") / 10) / sum_of("naive sweep of 1,000")
        yield Yardstick("sweep", "sum / O, for each timeslot", 1 / 30, released)
        yield Yardstick("sweep of nothing", "sum / N", 2.5, in_n("sweep of nothing"))
        for name in ("list 32", "reserve"):
            path, times = f"{name}, 20 times the past", partial(self._times, name)
            yield Yardstick(path, "sum / sum before", 1.25, times("total_ms"))
            # A level more of an index is a block more; to read what is past would be thousands.
            yield Yardstick(path, "blocks / blocks before", 1.5, times("blocks_each"), True)
        [many] = self.costs["reserve, 32 clients"]
        yield Yardstick("reserve, 32 clients", "p99 / p50", 3, many.p99 / many.p50)
        yield Yardstick("reserve, 32 clients", "refused or lost", 0, many.errors, True)
        for name in ("list 32", "reserve"):
            more = sum_of(f"{name}, signed in") - sum_of(f"{name}, open")
            yield Yardstick(f"{name}, signed in", "(sum - open) / N", 0.15, more / unit)
            further = self._statements(f"{name}, signed in") - self._statements(f"{name}, open")
            yield Yardstick(f"{name}, signed in", "further statements", 0, round(further, 1), True)

    def costs_table(self) -> str:
        head = ["request", "statements", "requests/s", "p50 ms", "p99 ms"]
        head += ["application CPU ms", "PostgreSQL CPU ms", "S: CPU ms"]
        lines = []
        for name, costs in self.costs.items():
            values = ("per_second", "p50", "p99", "application_ms", "database_ms")
            lines.append([name, figure(middle(costs, "statements_each"))])
            lines[-1] += [figure(middle(costs, value)) for value in values]
            alone = self.alone.get(name)
            lines[-1].append(figure(middle(alone, "database_ms")) if alone else "-")
        return table(head, lines)

    def _times(self, name: str, value: str) -> float:
        much, little = (self.costs[f"{name}, {past} past"] for past in ("much", "little"))
        return middle(much, value) / middle(little, value)

    def _application(self, name: str) -> float:
        return middle(self.costs[name], "application_ms")

    def _database(self, name: str) -> float:
        return middle(self.costs[name], "database_ms")

    def _sum(self, name: str) -> float:
        return middle(self.costs[name], "total_ms")

    def _statements(self, name: str) -> float:
        return middle(self.costs[name], "statements_each")


def sqlite(folder: Path, scale: Scale) -> Iterator[Yardstick]:
    """Twenty clients that write at once to one file; the naive form on a file of its own."""
    ours = _on_sqlite(folder / "ours.sqlite3", scale, AS_SERVED)
    naive = _on_sqlite(folder / "naive.sqlite3", scale, NAIVELY_SERVED, NAIVE)
    name = "reserve on SQLite, 20 clients"
    yield Yardstick(name, "p99 / p50", 5, ours.p99 / ours.p50)
    yield Yardstick(name, "refused", 0, ours.errors, True)
    yield Yardstick(name, "seconds / O", 1 / 2, naive.per_second / ours.per_second)


def _on_sqlite(path: Path, scale: Scale, command: list[str], settings: str = "") -> Cost:
    start = datetime.now(UTC).replace(hour=0, minute=0) + timedelta(days=3)
    body = publication("1", start, start + timedelta(days=60))
    timeslots = iter(range(1, 60 * 96))
    publish = Request("publish", "POST", "/provider/availability", range, 1, body, clients=1)
    reserve = Request(
        "reserve",
        "POST",
        "/client/reserve",
        lambda count: range(next(timeslots), [*islice(timeslots, count - 1)][-1] + 1),
        scale.times(4_000),
        '{"client_id": 1, "timeslot_id": {id}}',
        clients=20,
    )
    database_url = f"sqlite:///{path}"
    with Server(path.parent, [*AS_SERVED, "--prepare"], DATABASE_URL=database_url) as server:
        send(publish, server)
        if not settings:
            return through_service(reserve, server)
    environment = {"DATABASE_URL": database_url, "DJANGO_SETTINGS_MODULE": settings}
    with Server(path.parent, command, **environment) as server:
        return through_service(reserve, server)


def memory(ask: Requests, folder: Path, scale: Scale) -> Iterator[Yardstick]:
    """The larger of the workers, over a mix of requests."""
    mixed = [ask.reserve, ask.confirm, ask.list_32, ask.list_32, ask.list_960]
    with Server(folder, AS_SERVED) as server:

        def after(count: int) -> float:
            for request in mixed:
                send(replace(request, requests=count // len(mixed)), server)
            return max(server.workers_mib())

        early = after(scale.times(10_000))
        late = after(scale.times(90_000))
    yield Yardstick("a worker, 100,000 requests", "MiB resident", WORKER_MIB, late)
    yield Yardstick("a worker, 100,000 requests", "MiB / MiB after 10,000", 1.02, late / early)


def _fewer(request: Request, times: int) -> Request:
    return replace(request, requests=max(1, request.requests // times))


def _shown(yardsticks: list[Yardstick]) -> str:
    lines = [
        [one.path, one.what, _ratio(one.bar), _ratio(one.reached), "yes" if one.is_met else "NO"]
        for one in yardsticks
    ]
    return table(["path", "yardstick", "at most", "reached", "met"], lines)


def _ratio(value: float) -> str:
    return f"1/{1 / value:.3g}" if 0.01 < value < 0.4 else f"{value:.3g}"
