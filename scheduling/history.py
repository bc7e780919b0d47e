"""What happened to reservations, in an order in which nothing is ever slipped in before."""

from typing import NamedTuple

from django.db import connection

from . import errors
from .models import ArchivedHistory, ReservationEvent
from .models.events import LAST_TRANSACTION


class Page(NamedTuple):
    """A stretch of the history, and the position after which to go on, now or later."""

    events: list[ReservationEvent]
    position: tuple[int, int] | None
    has_more: bool


def events(
    *,
    after: tuple[int, int] | None,
    provider_id: int | None,
    client_id: int | None,
    limit: int,
) -> Page:
    """The events after this position; of this provider and this client, or of everybody.

    Raises InvalidInput for a position that this database has not come to, and HistoryArchived for
    one after which something is missing.
    """
    asked = ReservationEvent.objects.settled().after(after).of(provider_id, client_id)
    found = list(asked[: limit + 1])
    # Looked at last: what is archived after this was found by the statement before.
    if after is not None and ArchivedHistory.objects.reaches_beyond(after, provider_id, client_id):
        raise errors.HistoryArchived
    if not found and after is not None:
        _require_reached(after)
    events = found[:limit]
    return Page(
        events,
        position=events[-1].position if events else after,
        has_more=len(found) > limit,
    )


def _require_reached(position: tuple[int, int]) -> None:
    """Of a database that was restored elsewhere, transactions are numbered anew: whoever reads on
    at an old position would miss all that comes until the numbers have caught up."""
    if connection.vendor != "postgresql":
        return
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {LAST_TRANSACTION}")
        [last_transaction] = cursor.fetchone()
    if position[0] > last_transaction:
        raise errors.InvalidInput(
            field="after",
            code="unknown_position",
            detail="This database has not come to that position. Read the history anew.",
        )
