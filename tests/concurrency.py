"""Several callers at once, and a look into the database that a server process uses."""

import contextlib
import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import psycopg
from django.db import connection, connections

LONGEST_WAIT = 60


def at_once(*contenders):
    """Call each in a thread with a connection of its own, all from the same moment on."""
    start = threading.Barrier(len(contenders), timeout=LONGEST_WAIT)

    def run(contender):
        connection.ensure_connection()
        try:
            start.wait()
            return contender()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(contenders)) as threads:
        return [
            one.result(LONGEST_WAIT)
            for one in [threads.submit(run, contender) for contender in contenders]
        ]


@contextlib.contextmanager
def right_after(statement, step):
    """Once the first statement that begins so has run, let `step` happen on another connection."""
    steps = [step]

    def wrapper(execute, sql, *args):
        result = execute(sql, *args)
        if steps and sql.strip().startswith(statement):
            at_once(steps.pop())
        return result

    with connection.execute_wrapper(wrapper):
        yield
    assert not steps, f"no statement began with {statement!r}"


@contextlib.contextmanager
def started_after(statement, step):
    """Once the first statement that begins so has run, start `step` on another connection, and go
    on as soon as it waits for this one. SQLite does not say who waits: there, at once."""
    started = []

    def is_waiting():
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT FROM pg_locks WHERE NOT granted"
                " AND pg_backend_pid() = ANY (pg_blocking_pids(pid))"
            )
            return cursor.fetchone() is not None

    def wrapper(execute, sql, *args):
        result = execute(sql, *args)
        if not started and sql.strip().startswith(statement):
            started.append(thread.submit(at_once, step))
            if connection.vendor == "postgresql":
                wait_until(lambda: started[0].done() or is_waiting())
        return result

    with ThreadPoolExecutor(1) as thread, connection.execute_wrapper(wrapper):
        yield started
    assert started, f"no statement began with {statement!r}"


def rows_of(database_url, sql):
    """What a statement on the server's database returns; it is committed."""
    if database_url.startswith("sqlite"):
        path = database_url.removeprefix("sqlite:///").partition("?")[0]
        with contextlib.closing(sqlite3.connect(path, timeout=20)) as database, database:
            return database.execute(sql).fetchall()
    with psycopg.connect(database_url) as database:
        cursor = database.execute(sql)
        return cursor.fetchall() if cursor.description else []


def wait_until(is_so, seconds=LONGEST_WAIT):
    until = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.02)
