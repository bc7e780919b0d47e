"""What commands say instead of a traceback."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.core.management.base import CommandError

from scheduling import errors


@contextmanager
def database_is_needed() -> Iterator[None]:
    try:
        yield
    except errors.DATABASE_AWAY as unavailable:
        raise CommandError(f"The database cannot be used: {unavailable}") from unavailable
