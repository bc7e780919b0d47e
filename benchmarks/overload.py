"""Three times the load that it can take: what is answered, what is refused, and how soon after."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from .measure import drive, percentile
from .processes import AS_SERVED, Database, Server
from .requests import Requests
from .rows import Rows
from .shown import figure, table

TIMES = 3
SECONDS = 15


def overload_table(database: Database, folder: Path, rows: Rows, scale: float) -> str:
    request = Requests(rows, scale).reserve
    lines = []
    with Server(folder, AS_SERVED) as server:

        def found(requests: int, rate: float = 0) -> dict[str, Any]:
            rows.settle()
            return drive(replace(request.load(server.port, requests), rate=rate))

        found(request.requests // 10)
        usual = found(request.requests)
        lines.append(["what it can take", *_line(usual)])
        rate = TIMES * request.requests / usual["seconds"]
        lines.append([f"{TIMES} times that", *_line(found(int(rate * SECONDS * scale), rate))])
        lines.append(["right after", *_line(found(request.requests // 4))])
    head = ["load", "asked/s", "answered/s", "p50 ms", "p99 ms"]
    head += ["refused/s", "p50 ms", "p99 ms", "anything else"]
    return table(head, lines)


def _line(found: dict[str, Any]) -> list[str]:
    latencies, seconds = dict(found["latencies"]), found["seconds"]
    line = [figure(sum(map(len, latencies.values())) / seconds)]
    for status in ("200", "503"):
        those = latencies.pop(status, [])
        line.append(figure(len(those) / seconds))
        line += [figure(percentile(those, nth)) if those else "-" for nth in (50, 99)]
    return [*line, str(sum(map(len, latencies.values())))]
