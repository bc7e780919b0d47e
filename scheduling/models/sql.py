"""Statements written out in SQL, where the ORM has no word for them.

INSERT ... SELECT, UPDATE ... RETURNING, and listings of a thousand rows, which are too dear as
model instances. Each is one text for SQLite and PostgreSQL, save pieces that are kept by vendor.
"""

import fcntl
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import cache
from typing import Any

from django.db import connections
from psycopg.pq import Format

from scheduling import failover

LARGE = 1000


def fetch(sql: str, params: Sequence[Any], moments: tuple[int, ...]) -> list[Any]:
    """Run one statement to its end; the columns numbered in `moments` come out as UTC datetimes."""
    connection = connections["default"]  # its stand-in takes 3 us for each attribute
    if connection.vendor == "postgresql":
        return failover.once_more(
            lambda: _fetch_in_binary(connection, sql, params), after=failover.was_refused
        )
    # Moments in the database's own form: SQLite would compare two texts of one moment.
    adapt = connection.ops.adapt_datetimefield_value
    with _turn_to_write(connection, sql), connection.cursor() as cursor:
        cursor.execute(sql, [adapt(one) if isinstance(one, datetime) else one for one in params])
        # To its end, because SQLite commits INSERT ... RETURNING only with its last row.
        found = cursor.fetchall()
    return [
        [_utc(value) if nth in moments else value for nth, value in enumerate(row)] for row in found
    ]


def _fetch_in_binary(connection: Any, sql: str, params: Sequence[Any]) -> list[Any]:
    """psycopg reads moments in binary in C. Django's reader of the text is Python and took three
    quarters of a listing of 960 timeslots (10.8 ms of CPU; 2.8 ms in binary).

    The cursor is kept with its connection: to make one each time, wrapped as Django does it, takes
    33 us of 82. Where somebody is to see each statement, in a test or for traces, that is done.
    """
    rows: list[Any]
    if _is_watched(connection):
        with connection.cursor() as wrapped:
            cursor: Any = wrapped.cursor
            cursor.format = Format.BINARY
            wrapped.execute(sql, params)
            rows = cursor.fetchall()
        return rows
    connection.ensure_connection()
    connection.validate_no_broken_transaction()
    cursor = connection.__dict__.get("kept_cursor")
    if cursor is None or cursor.connection is not connection.connection:
        cursor = connection.kept_cursor = connection.connection.cursor(binary=True)
    with connection.wrap_database_errors:
        rows = cursor.execute(sql, params).fetchall()
    if len(rows) > LARGE:  # it would keep them as long
        del connection.kept_cursor
    return rows


def _is_watched(connection: Any) -> bool:
    return bool(connection.execute_wrappers or connection.queries_logged)


@contextmanager
def _turn_to_write(connection: Any, sql: str) -> Iterator[None]:
    """SQLite's writers look now and then whether the other is done, the longer they wait the more
    seldom, and whoever comes at the right moment is next. Here they queue up for a lock that the
    kernel hands on, over all processes. Without it everything is as correct, and 1 in 100 slower.
    """
    is_write = sql.lstrip().startswith(("INSERT", "UPDATE"))
    if connection.in_atomic_block or _is_watched(connection) or not is_write:
        yield
        return
    with _one_of_this_process:
        path, file = f"{connection.settings_dict['NAME']}-turn", None
        with suppress(OSError):
            file = _turn_of(path, os.getpid())
            fcntl.flock(file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            if file is not None:
                fcntl.flock(file, fcntl.LOCK_UN)


_one_of_this_process = threading.Lock()


@cache
def _turn_of(path: str, process: int) -> int:
    """Opened for good, and by each process for itself: a lock is shared with who inherits it."""
    return os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)


def _utc(value: str | datetime | None) -> datetime | None:
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    return value and value.replace(tzinfo=UTC)
