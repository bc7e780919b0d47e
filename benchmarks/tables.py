"""The tables that a run shows."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from statistics import median

from django.utils.module_loading import import_string

from .load import PEOPLE
from .measure import Cost, Request, bare, send, through_service
from .processes import AS_SERVED, Database, Server, granian, gunicorn
from .rows import Rows

EMPTY = "benchmarks.empty_view.settings"
ROUNDS = 5  # of a table whose rows are measured in turn


class Requests:
    """The contract's requests, each so many times that it takes some seconds."""

    def __init__(self, rows: Rows, scale: float) -> None:
        self.rows, self.scale = rows, scale
        rows.upcoming(rows.few, 32)
        rows.upcoming(rows.many, 960)
        self.empty = self._request("empty DRF view", "GET", "/empty", range, 10_000)
        self.list_32 = self._list("list 32 bookable", rows.few, 8_000)
        self.list_960 = self._list("list 960 bookable", rows.many, 1_600)
        self.reserve = self._request(
            "reserve",
            "POST",
            "/client/reserve",
            rows.free,
            8_000,
            '{"client_id": {client}, "timeslot_id": {id}}',
        )
        self.confirm = self._request(
            "confirm",
            "PUT",
            "/client/confirm",
            rows.held,
            8_000,
            '{"client_id": 1, "reservation_id": {id}}',
        )
        sweep = "/provider/expiredReservations"
        self.empty_sweep = self._request("sweep of nothing", "PUT", sweep, range, 8_000)
        self.sweep = Request(
            "sweep of 10,000, 1 client",
            "PUT",
            sweep,
            lambda _: rows.overdue(10_000) and range(1),
            requests=1,
            clients=1,
            rounds=max(1, int(8 * scale)),
        )

    def publish(self, timeslots: int, times: int) -> Request:
        start = self.rows.today + timedelta(days=3)
        body = publication("{id}", start, start + timeslots * timedelta(minutes=15))
        return self._request(
            f"publish {timeslots:,}",
            "POST",
            "/provider/availability",
            self.rows.providers,
            times,
            body,
        )

    def _list(self, name: str, providers: range, times: int) -> Request:
        path = "/client/getProviderAvailability?provider_id={id}"
        return self._request(name, "GET", path, lambda _: providers, times)

    def _request(
        self,
        name: str,
        method: str,
        path: str,
        rows: Callable[[int], range],
        times: int,
        body: str = "",
    ) -> Request:
        return Request(name, method, path, rows, max(1, int(times * self.scale)), body)


def publication(provider_id: str, start: datetime, end: datetime) -> str:
    return (
        f'{{"provider_id": {provider_id}, "start_time": "{start:%Y-%m-%dT%H:%MZ}", '
        f'"end_time": "{end:%Y-%m-%dT%H:%MZ}"}}'
    )


def service_tables(
    database: Database, folder: Path, rows: Rows, scale: float, sizes: list[int]
) -> Iterator[str]:
    """What every request costs, and that the past adds nothing to it."""
    ask = Requests(rows, scale)
    with (
        Server(folder, AS_SERVED) as server,
        Server(folder, AS_SERVED, DJANGO_SETTINGS_MODULE=EMPTY) as empty_server,
    ):
        grown: dict[str, list[Cost]] = {}
        for size in sizes:
            rows.over(size)
            for request in (ask.list_32, ask.reserve, ask.confirm, ask.empty_sweep):
                cost = through_service(request, server, database, rows)
                grown.setdefault(request.name, []).append(cost)
        empty, costs = [], {}
        for request in (
            *(ask.publish(32, 1_600), ask.publish(960, 160), ask.publish(35_040, 16)),
            *(ask.list_32, ask.list_960, ask.reserve, ask.confirm, ask.sweep, ask.empty_sweep),
        ):
            # In between, so that it meets the same machine as what it is compared with.
            empty.append(through_service(ask.empty, empty_server))
            cost = through_service(request, server, database, rows)
            costs[request.name] = cost, bare(request, database)
            rows.settle()
    yield _costs(sorted(empty, key=lambda cost: cost.application_ms)[len(empty) // 2], costs)
    yield _growth(sizes, grown)


def _costs(empty: Cost, costs: dict[str, tuple[Cost, Cost]]) -> str:
    head = ["request", "statements", "requests/s", "p50 ms", "p99 ms", "application CPU ms", "/ N"]
    head += ["PostgreSQL CPU ms", "bare: per s", "bare: p50", "bare: p99", "bare: CPU"]
    unit = empty.application_ms
    rows = [["empty DRF view (N)", "0", *_speed(empty), _figure(unit), "1", *"-----"]]
    for name, (cost, alone) in costs.items():
        application = [cost.application_ms, cost.application_ms / unit, cost.database_ms]
        rows.append([name, _figure(cost.statements_each), *_speed(cost)])
        rows[-1] += [*map(_figure, application), *_speed(alone), _figure(alone.database_ms)]
    return _table(head, rows)


def _growth(sizes: list[int], grown: dict[str, list[Cost]]) -> str:
    rows = []
    for name, costs in grown.items():
        for what, values in (
            ("p50 ms", [cost.p50 for cost in costs]),
            ("application CPU ms", [cost.application_ms for cost in costs]),
            ("PostgreSQL CPU ms", [cost.database_ms for cost in costs]),
        ):
            ratios = (f"{_figure(value)} (x {value / values[0]:.2f})" for value in values)
            rows.append([f"{name}: {what}", *ratios])
    return _table(["past timeslots and reservations", *(f"{size:,}" for size in sizes)], rows)


def sqlite_table(folder: Path, scale: float) -> str:
    """Twenty clients that write at once to one file."""
    start = datetime.now(UTC).replace(hour=0, minute=0) + timedelta(days=3)
    body = publication("1", start, start + timedelta(days=60))
    timeslots = iter(range(1, 60 * 96))
    publish = Request("publish", "POST", "/provider/availability", range, 1, body, clients=1)
    reserve = Request(
        "reserve, 20 clients",
        "POST",
        "/client/reserve",
        lambda count: range(next(timeslots), [*islice(timeslots, count - 1)][-1] + 1),
        max(100, int(4000 * scale)),
        '{"client_id": 1, "timeslot_id": {id}}',
        clients=20,
    )
    database_url = f"sqlite:///{folder}/db.sqlite3"
    with Server(folder, [*AS_SERVED, "--prepare"], DATABASE_URL=database_url) as server:
        send(publish, server)
        cost = through_service(reserve, server)
    head = ["on SQLite", "requests/s", "p50 ms", "p99 ms", "p99 / p50", "application CPU ms"]
    last = [_figure(cost.p99 / cost.p50), _figure(cost.application_ms), str(cost.errors)]
    return _table([*head, "errors"], [[reserve.name, *_speed(cost), *last]])


def servers_table(database: Database, folder: Path, rows: Rows, scale: float) -> str:
    """The application servers in turn, round by round; medians of the rounds."""
    ask = Requests(rows, scale / 4)
    commands = {f"granian, threads: {n}": granian(n) for n in (1, 2, 4)}
    commands["gunicorn sync"] = gunicorn("sync")
    commands |= {f"gunicorn gthread, threads: {n}": gunicorn("gthread", n) for n in (2, 4)}
    found: dict[tuple[str, str], list[Cost]] = {}
    with ExitStack() as stack:
        servers = {
            name: stack.enter_context(Server(folder, command)) for name, command in commands.items()
        }
        for _ in range(ROUNDS if scale == 1 else 1):
            for request in (ask.list_32, ask.reserve):
                for name, server in servers.items():
                    cost = through_service(request, server, database)
                    found.setdefault((request.name, name), []).append(cost)
    head = ["request", "server", "requests/s", "p50 ms", "p99 ms", "application CPU ms"]
    values = ("per_second", "p50", "p99", "application_ms", "database_ms")
    return _table(
        [*head, "PostgreSQL CPU ms"],
        [
            [*names, *(_figure(_median(costs, value)) for value in values)]
            for names, costs in found.items()
        ],
    )


def tokens_table(database: Database, folder: Path, rows: Rows, scale: float) -> str:
    """What it costs to know who is calling, in turn, round by round; medians of the rounds."""
    ask = Requests(rows, scale / 2)
    known = _new_tokens(PEOPLE)
    uncounted = dict.fromkeys(["RESERVE_RATE", "RESERVE_RATE_PER_ADDRESS"], "")
    counted = dict.fromkeys(uncounted, "999999999/day")
    required = {"AUTHENTICATION": "required"}
    callers: dict[str, tuple[dict[str, str], Callable[[int], list[str]]]] = {
        # The open service is sent tokens too, so that the load is the same: it ignores them.
        "open": ({}, lambda _: known),
        "known token": (required | uncounted, lambda _: known),
        "known token, counted": (required | counted, lambda _: known),
        "new token": (required | uncounted, _new_tokens),
    }
    empty: list[Cost] = []
    found: dict[tuple[str, str], list[Cost]] = {}
    with ExitStack() as stack:
        empty_server = stack.enter_context(Server(folder, AS_SERVED, DJANGO_SETTINGS_MODULE=EMPTY))
        servers = {
            name: stack.enter_context(Server(folder, AS_SERVED, **environment))
            for name, (environment, _) in callers.items()
        }
        for name, server in servers.items():
            # So often that both workers have seen every token that is to be known.
            times = int(8 * PEOPLE * scale)
            send(replace(ask.list_32, tokens=callers[name][1]), server, times)
        for _ in range(ROUNDS if scale == 1 else 1):
            for request in (ask.list_32, ask.reserve):
                empty.append(through_service(ask.empty, empty_server))
                for name, server in servers.items():
                    asked = replace(request, tokens=callers[name][1])
                    cost = through_service(asked, server, database, rows)
                    found.setdefault((request.name, name), []).append(cost)
    return _tokens(empty, found)


def _tokens(empty: list[Cost], found: dict[tuple[str, str], list[Cost]]) -> str:
    head = ["request", "caller", "statements", "requests/s", "p50 ms", "p99 ms"]
    lines = [["empty DRF view (N)", "-", "0", *_speeds(empty)]]
    unit = _median(empty, "application_ms")
    lines[0] += [_figure(unit), "-", "1"]
    for names, costs in found.items():
        open_costs = found[names[0], "open"]
        statements = _median(costs, "statements_each")
        assert statements == _median(open_costs, "statements_each"), names
        own = _median(costs, "application_ms")
        ratios = [own, own / _median(open_costs, "application_ms"), own / unit]
        lines.append([*names, _figure(statements), *_speeds(costs), *map(_figure, ratios)])
    return _table([*head, "application CPU ms", "/ open", "/ N"], lines)


def _new_tokens(count: int) -> list[str]:
    """No two alike, of the same clients in the same order as the load has them."""
    access_token = import_string("scheduling.tokens.AccessToken")  # not before Django is set up
    made = []
    for nth in range(count):
        client, token = 1 + nth % PEOPLE, access_token()
        token.payload |= {"user_id": str(client), "role": "client", "client_id": client}
        made.append(str(token))
    return made


def _median(costs: list[Cost], value: str) -> float:
    return median(getattr(cost, value) for cost in costs)


def _speeds(costs: list[Cost]) -> list[str]:
    return [_figure(_median(costs, value)) for value in ("per_second", "p50", "p99")]


def _speed(cost: Cost) -> list[str]:
    return [_figure(cost.per_second), _figure(cost.p50), _figure(cost.p99)]


def _figure(value: float) -> str:
    """Three digits: no measurement here is better than that."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
