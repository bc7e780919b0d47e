"""Passing the history on: each reader follows it at its own pace, by one process at a time."""

import logging
import random
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from django.db import models, transaction
from django.db.models import F, Max, Value
from django.utils import timezone

from . import policy
from .models import ArchivedHistory, EventReader, ReservationEvent
from .models.events import EventQuerySet

logger = logging.getLogger(__name__)

BATCH = 500
LEASE = timedelta(seconds=60)
STRETCH = 1.1  # of the waits between attempts, at random up to this


class Lease:
    """The right to work as a reader, which has to be kept alive."""

    def __init__(self, reader: str) -> None:
        self.reader = reader
        self.holder = uuid.uuid4()
        self.until: datetime | None = None

    def keep(self) -> bool:
        """Whether it is had for the next half minute at least."""
        now = timezone.now()
        if self.until is None or self.until - now < LEASE / 2:
            until = now + LEASE
            is_had = EventReader.objects.lease(self.reader, self.holder, until, now)
            self.until = until if is_had else None
        return self.until is not None


@contextmanager
def lease(reader: str) -> Iterator[Lease | None]:
    """None: another process has it. One that was killed is followed after a minute."""
    EventReader.objects.get_or_create(name=reader)
    mine = Lease(reader)
    if not mine.keep():
        yield None
        return
    try:
        yield mine
    finally:
        EventReader.objects.release(reader, mine.holder)


def has_news(reader: str) -> bool:
    return _news(reader).exists()


def lock(reader: str) -> EventReader:
    """Until the transaction ends, nobody else moves it on."""
    EventReader.objects.get_or_create(name=reader)
    return EventReader.objects.select_for_update().get(pk=reader)


def follow(reader: str, pass_on: Callable[[list[ReservationEvent]], None]) -> None:
    """Hand all that has happened since to `pass_on`, in batches, each in the very transaction that
    moves the reader on: what is passed on is kept with it or not at all."""
    while has_news(reader):
        with transaction.atomic():
            position = lock(reader)
            events = list(_news(reader)[:BATCH])
            if events:
                pass_on(events)
                position.transaction_id, position.event_id = events[-1].position
                position.save(update_fields=["transaction_id", "event_id"])


def lags() -> dict[str, timedelta]:
    """How long the oldest event has been waiting for each reader, in one statement."""
    now = timezone.now()
    found = EventReader.objects.oldest_unread()
    return {name: now - oldest if oldest else timedelta(0) for name, oldest in found}


def next_attempt(attempts_made: int) -> datetime | None:
    """When to try again what failed so often; None: not any more."""
    stretch = random.uniform(1, STRETCH)  # noqa: S311  nobody is kept out by it
    return policy.next_attempt(attempts_made, timezone.now(), stretch)


def renumber() -> int:
    """Let the history go on in a database that was restored from a dump; how many were renumbered.

    Its transactions are numbered anew, from below: what is written now would come before all that
    was read already, and not be read. So what was there goes below zero, in the order it had. Of
    the positions that readers had, none is good any more: what had been archived, none can miss.
    """
    ArchivedHistory.objects.numbered_elsewhere().delete()
    if not _numbered_elsewhere():
        return 0
    with transaction.atomic():
        list(EventReader.objects.select_for_update().order_by("pk"))
        ends = _numbered_elsewhere()
        if not ends:
            return 0
        last, highest = max(last for last, _ in ends), max(highest for _, highest in ends)
        # Said to be of 64 bits: an integer is sent as one of 32 otherwise, and cut off.
        below_zero = F("transaction_id") - Value(highest + 1, models.BigIntegerField())
        count = ReservationEvent.objects.filter(pk__lte=last).update(transaction_id=below_zero)
        EventReader.objects.filter(event_id__lte=last).update(transaction_id=below_zero)
        ArchivedHistory.objects.all().delete()
    logger.warning("history renumbered", extra={"renumbered": count})
    return count


def _numbered_elsewhere() -> list[tuple[int, int]]:
    """The last event and the highest transaction of such, where there are any: of the history, and
    of its readers, since the event that one has come to may be archived."""
    found = (
        ReservationEvent.objects.numbered_elsewhere().aggregate(
            last=Max("pk"), highest=Max("transaction_id")
        ),
        EventReader.objects.numbered_elsewhere().aggregate(
            last=Max("event_id"), highest=Max("transaction_id")
        ),
    )
    return [(end["last"], end["highest"]) for end in found if end["last"] is not None]


def _news(reader: str) -> EventQuerySet:
    found = EventReader.objects.filter(pk=reader).first()
    return ReservationEvent.objects.settled().after(found.position if found else None)
