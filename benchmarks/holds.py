"""Holds that expire by message: how late, and whether each does, once."""

import time
from pathlib import Path
from statistics import quantiles

from tests.broker import Broker
from tests.server import Worker

from .measure import Request, send
from .processes import AS_SERVED, Database, Server
from .rows import Rows

HOLD_SECONDS = 60
PATIENCE = 90  # seconds after which a hold counts as lost: there is no sweep here


def holds_table(database: Database, folder: Path, rows: Rows, scale: float) -> str:
    head = ["connections", "holds", "reserves/s", "late p50 s", "p99 s", "most s", "lost"]
    head += ["expired twice"]
    lines = [head, ["---:"] * len(head)]
    with Broker() as broker:
        version = broker.version()
        environment = {"BROKER_URL": broker.url, "HOLD_SECONDS": str(HOLD_SECONDS)}
        with Server(folder, AS_SERVED, **environment) as server, Worker(server):
            for clients in (1, 8):
                lines.append([str(clients), *_measured(server, broker, rows, clients, scale)])
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return f"RabbitMQ {version}; a worker of 8 processes; holds of {HOLD_SECONDS} s.\n\n{table}"


def _measured(server: Server, broker: Broker, rows: Rows, clients: int, scale: float) -> list[str]:
    count = int(10_000 * scale)
    reserve = Request(
        "reserve",
        "POST",
        "/client/reserve",
        rows.free,
        count,
        '{"client_id": {client}, "timeslot_id": {id}}',
        clients=clients,
    )
    [before] = _one(rows, "SELECT coalesce(max(id), 0) FROM scheduling_reservation")
    ours = f"FROM scheduling_reservation WHERE id > {before}"
    still_held = f"SELECT count(*) {ours} AND status = 'held'"
    found = send(reserve, server)
    assert list(found["latencies"]) == ["200"], list(found["latencies"])
    until = time.monotonic() + HOLD_SECONDS + PATIENCE
    # What comes a second time has come once the queue is empty.
    while time.monotonic() < until and (_one(rows, still_held)[0] or broker.count("reservations")):
        time.sleep(0.5)
    late = rows.connection.execute(
        f"SELECT extract(epoch FROM changed_at - expires_at)::float {ours} AND status = 'expired'"
    )
    lateness = [seconds for (seconds,) in late]
    percentiles = quantiles(lateness, n=100, method="inclusive")
    [twice] = _one(rows, f"SELECT count(*) {ours} AND version > 2")
    return [
        *(f"{count:,}", f"{count / found['seconds']:,.0f}"),
        *(f"{percentiles[49]:.3f}", f"{percentiles[98]:.3f}", f"{max(lateness):.3f}"),
        *(str(_one(rows, still_held)[0]), str(twice)),
    ]


def _one(rows: Rows, sql: str) -> list[int]:
    return list(rows.connection.execute(sql).fetchone())
