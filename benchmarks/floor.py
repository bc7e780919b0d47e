"""The floor of the database's cost: a request's own statements, sent by pgbench."""

import subprocess
import tempfile
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from django.db import connection
from django.test import Client

from .load import PEOPLE, Load
from .processes import Database

CASTS = {int: "bigint", str: "text", datetime: "timestamptz", timedelta: "interval"}

# The same ids in the same order as the load has them.
NEXT = [
    r"\set n :n + 1",
    r"\set nth :client_id + :clients * :n",
    r"\set id :first + :nth % :ids",
    rf"\set client 1 + :nth % {PEOPLE}",
]


class Statement(NamedTuple):
    sql: str
    params: list[Any]
    in_transaction: bool


def statements_of(load: Load) -> list[Statement]:
    """What the load's first request sends to the database, found by making it in this process.

    Where it sends the id or the client that it was made with, the statement has a variable.
    """
    found: list[Statement] = []
    variables = {load.first: ":id"}
    if "{client}" in load.body:
        variables[1] = ":client"

    def note(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        params_or_names = [
            param if isinstance(param, list) else variables.get(param, param)
            for param in params or []
        ]
        found.append(Statement(sql, params_or_names, connection.in_atomic_block))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(note):
        answer = Client(SERVER_NAME="localhost").generic(
            load.method,
            load.filled(load.path, 0),
            load.filled(load.body, 0),
            content_type="application/json",
        )
    assert answer.status_code < 300, answer.content
    return found


def run(database: Database, load: Load, statements: list[Statement]) -> tuple[float, list[float]]:
    """Send them as often as the load says; the seconds that it took, and that each one took."""
    lines, params = _script(statements)
    folder = Path(tempfile.mkdtemp(prefix="pgbench-", dir=database.folder))
    (folder / "script").write_text("\n".join([*NEXT, *lines]))
    given = {"n": -1, "first": load.first, "ids": load.ids, "clients": load.clients, **params}
    subprocess.run(
        [
            *(database.binaries / "pgbench", "--no-vacuum", "--protocol=prepared"),
            *(f"--client={load.clients}", f"--transactions={load.requests // load.clients}"),
            *(f"--define={name}={value}" for name, value in given.items()),
            *("--file=script", "--log", database.url),
        ],
        cwd=folder,
        check=True,
        capture_output=True,
    )
    log = next(folder.glob("pgbench_log.*")).read_text()
    # Client, number, microseconds, script, and the moment of its end in seconds and microseconds.
    rounds = [[float(word) / 1e6 for word in line.split()] for line in log.splitlines()]
    latencies = [one[2] for one in rounds]
    ends = [one[4] * 1e6 + one[5] for one in rounds]
    return max(ends) - min(ends) + latencies[ends.index(min(ends))], latencies


def _script(statements: list[Statement]) -> tuple[list[str], dict[str, str]]:
    lines, params = [], {}
    for statement in statements:
        names = []
        for param in statement.params:
            if param in (":id", ":client"):
                names.append(f"{param}::bigint")
                continue
            name = f"param{len(params)}"
            params[name] = _text(param)
            names.append(f":{name}::{_type(param)}")
        lines.append((statement.sql % tuple(names)).strip() + ";")
    if any(statement.in_transaction for statement in statements):
        return ["BEGIN;", *lines, "COMMIT;"], params
    return lines, params


def _type(param: Any) -> str:
    return f"{_type(param[0])}[]" if isinstance(param, list) else CASTS[type(param)]


def _text(param: Any) -> str:
    if isinstance(param, list):
        return "{" + ",".join(map(_text, param)) + "}"
    return f"{param.total_seconds()} seconds" if isinstance(param, timedelta) else str(param)
