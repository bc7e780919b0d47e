"""Holds run out by the clock alone; this only writes down that they did, and purges old rows."""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import NamedTuple

from django.utils import timezone

from . import metrics, policy
from .models import (
    Notification,
    Provider,
    Reservation,
    ReservationRow,
    SignIn,
    StoredAnswer,
    TimeslotRow,
    WebhookDelivery,
)

logger = logging.getLogger(__name__)

BATCH = 1000


class Holds(NamedTuple):
    """How many there are, and how long ago the oldest of those overdue ran out."""

    live: int
    overdue: int
    oldest: timedelta


def expire_overdue(*, should_stop: Callable[[], bool] = lambda: False) -> list[TimeslotRow]:
    """Mark every overdue hold expired, oldest first; return the timeslots that this run released.

    A timeslot that starts within the notice period stays unbookable: it is closed, not released,
    and not returned. Each batch is one statement and commits by itself, so any number of runs may
    meet, and one that is stopped between batches leaves the rest to the next.
    """
    now = timezone.now()
    expired: list[ReservationRow] = []
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


def expire_hold(*, reservation_id: int) -> ReservationRow | None:
    """Write down that this hold ran out, if it did and nobody has yet; otherwise do nothing.

    None for what is not overdue: confirmed, cancelled, expired, not yet due or unknown.
    """
    reservation = Reservation.objects.expire_one(reservation_id=reservation_id, now=timezone.now())
    if reservation is not None:
        lateness = reservation.changed_at - reservation.expires_at
        metrics.EXPIRY_LATENESS.observe(lateness.total_seconds())
        logger.info("hold expired", extra={"reservation_id": reservation_id})
    return reservation


def count_holds() -> Holds:
    """By one statement, whose cost goes with the holds and not with the history."""
    now = timezone.now()
    live, overdue, earliest = Reservation.objects.count_holds(now)
    return Holds(live, overdue, now - earliest if overdue and earliest else timedelta(0))


def purge() -> dict[str, int]:
    """Delete what is kept for a time only and has no effect any more; how much of what."""
    now = timezone.now()
    answers = StoredAnswer.objects.filter(created_at__lte=policy.oldest_answer(now))
    sign_ins = SignIn.objects.filter(expires_at__lt=now)
    done = {"finished_at__lte": policy.oldest_delivery(now)}
    purged = {
        "stored answers": answers.delete()[0],
        "sign-ins": sign_ins.delete()[0],
        "deliveries": WebhookDelivery.objects.filter(**done).delete()[0],
        "notifications": Notification.objects.filter(**done).delete()[0],
    }
    logger.info("purged", extra={"purged": purged})
    return purged


def _released(expired: list[ReservationRow], earliest_start: datetime) -> list[TimeslotRow]:
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
