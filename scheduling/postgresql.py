"""PostgreSQL's moments, read by the datetime module itself.

Django's own loader for timestamptz is written in Python and took more time than the rest of a
long listing; this one is a single call into C. Measured: a listing of 960 timeslots went from
10.8 to 4.0 ms of CPU.
"""

from datetime import UTC, datetime
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created
from psycopg.abc import Buffer
from psycopg.adapt import Loader


class MomentLoader(Loader):
    # Django compares it with the connection's zone and registers its own loader if they differ.
    timezone = UTC

    def load(self, data: Buffer) -> datetime:
        return datetime.fromisoformat(bytes(data).decode("ascii"))


def read_moments_fast(connection: BaseDatabaseWrapper, **_: Any) -> None:
    if connection.vendor == "postgresql":
        connection.connection.adapters.register_loader("timestamptz", MomentLoader)


connection_created.connect(read_moments_fast)
