"""Everything at once, round after round: what grows that should not."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from statistics import median

from .measure import Request, drive, percentile
from .processes import AS_SERVED, Database, Server
from .requests import SWEEP, Requests
from .rows import Rows
from .shown import figure, table

ROUNDS = 60  # of some four seconds


@dataclass
class Round:
    """What was seen in it, or at its end."""

    mib: float
    connections: int
    dead: float  # rows for each live one, of reservations
    reserve_p50: float
    reserve_p99: float
    list_p50: float
    refused: int


def soak_table(database: Database, folder: Path, rows: Rows, scale: float) -> str:
    """Raises AssertionError where anything was refused or lost."""
    ask = Requests(rows, 1)
    with Server(folder, AS_SERVED) as server:
        found = [_round(ask, server, rows) for _ in range(max(8, int(ROUNDS * scale)))]
    assert not sum(one.refused for one in found)
    quarter = len(found) // 4
    head = ["", "first quarter", "last quarter", "ratio"]
    return table(head, list(_compared(found[:quarter], found[-quarter:])))


def _round(ask: Requests, server: Server, rows: Rows) -> Round:
    def asked(request: Request, times: int) -> dict[str, list[float]]:
        return drive(replace(request, requests=times).load(server.port, times))["latencies"]

    reserved = asked(ask.reserve, 2_000)
    listed = asked(ask.list_32, 2_000)
    others = [
        asked(ask.confirm, 2_000),
        asked(ask.list_960, 100),
        asked(ask.publish(32, 1), 100),
    ]
    # A part of the holds lapses, and is swept.
    rows.overdue(500)
    others.append(asked(Request("sweep", "PUT", SWEEP, range, clients=1), 1))
    all_of_them = chain(reserved, listed, *others)
    (connections,) = rows.connection.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'reservation_system'"
    ).fetchone()
    (dead,) = rows.connection.execute(
        "SELECT n_dead_tup::float / greatest(n_live_tup, 1) FROM pg_stat_user_tables"
        " WHERE relname = 'scheduling_reservation'"
    ).fetchone()
    return Round(
        max(server.workers_mib()),
        connections,
        dead,
        percentile(reserved["200"], 50),
        percentile(reserved["200"], 99),
        percentile(listed["200"], 50),
        sum(status[0] != "2" for status in all_of_them),
    )


def _compared(first: list[Round], last: list[Round]) -> Iterator[list[str]]:
    for name, value in {
        "a worker, MiB": "mib",
        "connections to PostgreSQL": "connections",
        "dead rows of reservations for each live one": "dead",
        "reserve, p50 ms": "reserve_p50",
        "reserve, p99 ms": "reserve_p99",
        "list of 32, p50 ms": "list_p50",
    }.items():
        before, after = (median(getattr(one, value) for one in rounds) for rounds in (first, last))
        yield [name, figure(before), figure(after), f"{after / before:.2f}" if before else "-"]
