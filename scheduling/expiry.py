"""Holds run out by the clock alone; this only writes down that they did."""

import logging
from collections.abc import Callable
from datetime import datetime

from django.utils import timezone

from . import policy
from .models import Provider, Reservation, TimeslotRow

logger = logging.getLogger(__name__)

BATCH = 1000


def expire_overdue(*, should_stop: Callable[[], bool] = lambda: False) -> list[TimeslotRow]:
    """Mark every overdue hold expired, oldest first; return the timeslots that this run released.

    A timeslot that starts within the notice period stays unbookable: it is closed, not released,
    and not returned. Each batch is one statement and commits by itself, so any number of runs may
    meet, and one that is stopped between batches leaves the rest to the next.
    """
    now = timezone.now()
    expired: list[Reservation] = []
    while not should_stop():
        batch = Reservation.objects.expire_oldest(limit=BATCH, now=now)
        expired += batch
        if len(batch) < BATCH:
            break
    if not expired:
        return []
    released = _released(expired, policy.earliest_start(now))
    logger.info("holds expired", extra={"expired": len(expired), "released": len(released)})
    return released


def _released(expired: list[Reservation], earliest_start: datetime) -> list[TimeslotRow]:
    bookable = [reservation for reservation in expired if reservation.start_time >= earliest_start]
    providers = Provider.objects.in_bulk({reservation.provider_id for reservation in bookable})
    return [
        TimeslotRow(
            reservation.timeslot_id,
            reservation.provider_id,
            providers[reservation.provider_id].first_name,
            providers[reservation.provider_id].last_name,
            reservation.start_time,
            reservation.end_time,
        )
        for reservation in sorted(bookable, key=lambda one: (one.expires_at, one.pk))
    ]
