"""The analytics database: whether it can be used, its tables; and how rows are put into either."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pkgutil import iter_modules

from django.core.management import call_command
from django.db import connection, connections, models, router, transaction
from django.db.migrations.recorder import MigrationRecorder

from scheduling import errors

from . import migrations
from .router import DATABASE, LABEL

ONE_MIGRATES = 7_301_985_442  # a lock that nobody else takes


class AnalyticsAway(Exception):
    """It is not known that what was asked of the analytics database has happened there."""


@contextmanager
def reached() -> Iterator[None]:
    """For statements on the analytics database alone. Raises AnalyticsAway."""
    try:
        yield
    except errors.DATABASE_AWAY as away:
        connections[DATABASE].close()
        raise AnalyticsAway(f"The analytics database cannot be used: {away}") from away


def prepare() -> None:
    """Make its tables and views, or bring them up to date: of several at once, one does it.

    They wait for each other in the service's database, whatever the other one is.
    """
    if not _is_behind():
        return
    with transaction.atomic():
        if connection.vendor == "postgresql":  # SQLite has one writer
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_xact_lock(%s)", [ONE_MIGRATES])
        if _is_behind():
            with reached():
                call_command("migrate", LABEL, database=DATABASE, verbosity=0, interactive=False)


def put(rows: Sequence[models.Model], *, unless: str = "FALSE") -> None:
    """Insert rows of one kind, or write them over those with their keys, `unless` that holds.

    In the order of their keys, so that two at once never wait for each other.
    """
    if not rows:
        return
    kind = rows[0]._meta
    database = connections[router.db_for_write(type(rows[0]))]
    columns = [str(field.column) for field in kind.concrete_fields]
    changes = ", ".join(f"{column} = excluded.{column}" for column in columns)
    sql = f"""
        INSERT INTO {kind.db_table} ({", ".join(columns)})
        VALUES ({", ".join(["%s"] * len(columns))})
            ON CONFLICT ({kind.pk.column}) DO UPDATE SET {changes} WHERE NOT ({unless})
        """  # noqa: S608  no text from outside
    values = [
        [one.get_db_prep_save(getattr(row, one.attname), database) for one in kind.concrete_fields]
        for row in sorted(rows, key=lambda row: row.pk)
    ]
    with database.cursor() as cursor:
        cursor.executemany(sql, values)


def _is_behind() -> bool:
    with reached():
        applied = MigrationRecorder(connections[DATABASE]).applied_migrations()
        return any((LABEL, name) not in applied for _, name, _ in iter_modules(migrations.__path__))
