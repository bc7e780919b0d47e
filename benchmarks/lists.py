"""Lists of bookable timeslots by the database, and kept in a Redis: what each costs altogether."""

import subprocess
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from statistics import median

import requests

from tests.database import free_port

from .measure import Cost, Request, through_service
from .processes import AS_SERVED, Database, Server, cpu_seconds
from .requests import Requests
from .rows import Rows
from .shown import figure, middle, speeds, table

ROUNDS = 3
KEPT = {"by the database": "false", "kept in Redis": "true"}


def lists_table(database: Database, folder: Path, rows: Rows, scale: float) -> str:
    """In turn, round by round; medians of the rounds."""
    ask = Requests(rows, scale)
    asked = {
        "list 32": ask.list_32,
        "list 960": ask.list_960,
        "304 of list 960": ask.list_960,
        "reserve": ask.reserve,
    }
    found: dict[tuple[str, str], list[Cost]] = {}
    redis_ms: dict[tuple[str, str], list[float]] = defaultdict(list)
    with ExitStack() as stack:
        redis = stack.enter_context(redis_server())
        servers = {
            how: stack.enter_context(
                Server(folder, AS_SERVED, REDIS_URL=redis.url, CACHE_LISTS=is_kept)
            )
            for how, is_kept in KEPT.items()
        }
        for _ in range(ROUNDS if scale == 1 else 1):
            for name, request in asked.items():
                for how, server in servers.items():
                    rows.settle()
                    if name.startswith("304"):
                        request = _seen(request, server)
                    behind = redis.cpu_seconds()
                    cost = through_service(request, server, database, rows)
                    spent = (redis.cpu_seconds() - behind) * 1000 / (1.1 * len(cost.latencies))
                    redis_ms[name, how].append(spent)
                    found.setdefault((name, how), []).append(cost)
    head = ["request", "how", "statements", "requests/s", "p50 ms", "p99 ms"]
    lines = []
    for key, costs in found.items():
        each = [
            middle(costs, "application_ms"),
            middle(costs, "database_ms"),
            median(redis_ms[key]),
        ]
        each.append(sum(each))
        statements = figure(middle(costs, "statements_each"))
        lines.append([*key, statements, *speeds(costs), *map(figure, each)])
    head += ["application CPU ms", "PostgreSQL CPU ms", "Redis CPU ms", "sum"]
    return table(head, lines)


class RedisServer:
    def __init__(self, folder: str) -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        command = ["redis-server", "--port", str(self.port), "--save", "", "--dir", folder]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL)

    def cpu_seconds(self) -> float:
        return cpu_seconds(self.process.pid)


@contextmanager
def redis_server() -> Iterator[RedisServer]:
    with tempfile.TemporaryDirectory(prefix="redis-") as folder:
        server = RedisServer(folder)
        time.sleep(0.5)
        try:
            yield server
        finally:
            server.process.terminate()
            server.process.wait(timeout=10)


def _seen(request: Request, server: Server) -> Request:
    """By callers who have the list already."""
    tags = [
        requests.get(server.base_url + request.path.replace("{id}", str(pk)), timeout=10).headers[
            "ETag"
        ]
        for pk in request.rows(0)
    ]
    return replace(request, headers=lambda _: [f"If-None-Match: {tag}" for tag in tags])
