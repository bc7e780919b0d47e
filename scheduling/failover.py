"""A database that fails over: what is tried once more, so that nothing is written twice by that.

A connection that broke while nobody used it is found out before anything is sent on it. A server
that was the primary refuses what would write, and has written nothing. When a connection breaks
under a statement, nobody knows what became of it: only what never writes is asked again.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import psycopg
from django.db import Error, connection

Answer = TypeVar("Answer")

READ_ONLY = "25006"
# Ended by an operator or by a crash, not taken yet, and whatever else befalls a connection.
LOST = ("57P01", "57P02", "57P03", "08")


def drop_if_broken(database: Any) -> None:
    """Without asking the server: what it said when it went has arrived by now, and then its end."""
    if database.vendor != "postgresql" or database.connection is None:
        return
    wire = database.connection.pgconn
    try:
        wire.consume_input()
        wire.consume_input()
    except psycopg.OperationalError:
        database.close()


def once_more(ask: Callable[[], Answer], *, after: Callable[[Error], bool]) -> Answer:
    """What `ask` answers, at the second time of asking when it failed as `after` knows.

    The second time is on a new connection. Within a transaction there is none, since that has
    failed as a whole.
    """
    try:
        return ask()
    except Error as failed:
        if connection.in_atomic_block or not after(failed):
            raise
    connection.close()
    return ask()


def was_refused(failed: Error) -> bool:
    """By a server that only reads, as a primary does when it has become a standby."""
    return getattr(failed.__cause__, "sqlstate", None) == READ_ONLY


def was_lost(failed: Error) -> bool:
    """With the connection, under a statement. Who cannot connect had better not ask at once."""
    cause = failed.__cause__
    if not isinstance(cause, psycopg.OperationalError) or cause.pgconn is not None:
        return False
    return cause.sqlstate is None or cause.sqlstate.startswith(LOST)
