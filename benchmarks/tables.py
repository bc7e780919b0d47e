"""The tables of the application servers and of who is calling."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from .load import PEOPLE
from .measure import Cost, send, through_service
from .processes import AS_SERVED, Database, Server, granian, gunicorn
from .requests import Requests, new_tokens
from .rows import Rows
from .shown import figure, middle, speeds, table

EMPTY = "benchmarks.empty_view.settings"
ROUNDS = 5  # of a table whose rows are measured in turn


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
    return table(
        [*head, "PostgreSQL CPU ms"],
        [
            [*names, *(figure(middle(costs, value)) for value in values)]
            for names, costs in found.items()
        ],
    )


def tokens_table(database: Database, folder: Path, rows: Rows, scale: float) -> str:
    """What it costs to know who is calling, in turn, round by round; medians of the rounds."""
    ask = Requests(rows, scale / 2)
    known = new_tokens(PEOPLE)
    uncounted = dict.fromkeys(["RESERVE_RATE", "RESERVE_RATE_PER_ADDRESS"], "")
    counted = dict.fromkeys(uncounted, "999999999/day")
    required = {"AUTHENTICATION": "required"}
    callers: dict[str, tuple[dict[str, str], Callable[[int], list[str]]]] = {
        # The open service is sent tokens too, so that the load is the same: it ignores them.
        "open": ({}, lambda _: known),
        "known token": (required | uncounted, lambda _: known),
        "known token, counted": (required | counted, lambda _: known),
        "new token": (required | uncounted, new_tokens),
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
            send(replace(ask.list_32, headers=callers[name][1]), server, times)
        for _ in range(ROUNDS if scale == 1 else 1):
            for request in (ask.list_32, ask.reserve):
                empty.append(through_service(ask.empty, empty_server))
                for name, server in servers.items():
                    asked = replace(request, headers=callers[name][1])
                    cost = through_service(asked, server, database, rows)
                    found.setdefault((request.name, name), []).append(cost)
    return _tokens(empty, found)


def _tokens(empty: list[Cost], found: dict[tuple[str, str], list[Cost]]) -> str:
    head = ["request", "caller", "statements", "requests/s", "p50 ms", "p99 ms"]
    lines = [["empty DRF view (N)", "-", "0", *speeds(empty)]]
    unit = middle(empty, "application_ms")
    lines[0] += [figure(unit), "-", "1"]
    for names, costs in found.items():
        open_costs = found[names[0], "open"]
        statements = middle(costs, "statements_each")
        assert statements == middle(open_costs, "statements_each"), names
        own = middle(costs, "application_ms")
        ratios = [own, own / middle(open_costs, "application_ms"), own / unit]
        lines.append([*names, figure(statements), *speeds(costs), *map(figure, ratios)])
    return table([*head, "application CPU ms", "/ open", "/ N"], lines)
