"""What a provider offers: publishing when they work, and the list of what is bookable of it."""

import logging
from datetime import UTC, datetime
from typing import NamedTuple

from django.db import IntegrityError, transaction
from django.utils import timezone

from . import errors, policy
from .models import Provider, Timeslot, TimeslotRow

logger = logging.getLogger(__name__)

THE_END_OF_TIME = datetime.max.replace(tzinfo=UTC)


class Page(NamedTuple):
    """A stretch of a list, and the start to go on from when there is more."""

    timeslots: list[TimeslotRow]
    next_start: datetime | None


def publish(*, provider_id: int, start_time: datetime, end_time: datetime) -> list[TimeslotRow]:
    """Cut a window into timeslots: all of them or, when one would overlap, none."""
    now = timezone.now()
    if end_time > policy.farthest_end(now):
        raise errors.InvalidInput(
            field="end_time",
            code="too_far_ahead",
            detail="Publish at most 5 years ahead.",
        )
    try:
        with transaction.atomic():
            # One publisher at a time for each provider: two that overlap would wait for each
            # other inside the exclusion constraint until one is shot as a deadlock.
            provider = Provider.objects.select_for_update(no_key=True).get(pk=provider_id)
            timeslots = Timeslot.objects.publish(provider, start_time, end_time, policy.SLOT)
    except Provider.DoesNotExist:
        raise errors.ProviderNotFound from None
    except IntegrityError as clash:
        if not any(name in str(clash) for name in Timeslot.OVERLAP_CONSTRAINTS):
            raise
        raise _overlap(provider_id, start_time, end_time) from None
    logger.info(
        "availability published",
        extra={"provider_id": provider_id, "timeslots": len(timeslots)},
    )
    return timeslots


def list_bookable(
    *,
    provider_id: int,
    start_from: datetime | None,
    start_before: datetime | None,
    limit: int,
) -> Page:
    """The provider's free timeslots that start at least the notice period ahead, oldest first."""
    now = timezone.now()
    earliest_start = policy.earliest_start(now)
    found = Timeslot.objects.bookable(
        provider_id=provider_id,
        start_from=max(start_from or earliest_start, earliest_start),
        start_before=start_before or THE_END_OF_TIME,
        limit=limit + 1,
        now=now,
    )
    if found is None:
        raise errors.ProviderNotFound
    if len(found) > limit:
        return Page(found[:limit], next_start=found[limit].start_time)
    return Page(found, next_start=None)


def _overlap(provider_id: int, start_time: datetime, end_time: datetime) -> errors.TimeslotsOverlap:
    first = Timeslot.objects.overlapping(provider_id, start_time, end_time).first()
    if first is None:  # withdrawn since
        return errors.TimeslotsOverlap()
    return errors.TimeslotsOverlap(
        f"Timeslot {first.pk} of this provider already covers {first.start_time:%Y-%m-%d %H:%M} "
        f"to {first.end_time:%H:%M} UTC. Nothing was stored.",
        timeslot_id=first.pk,
        start_time=first.start_time,
        end_time=first.end_time,
    )
