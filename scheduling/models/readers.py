"""Who reads the history to pass it on: how far each has come, and which process is at it."""

import uuid
from datetime import datetime

from django.db import models
from django.db.models import OuterRef, Q, Subquery

from .events import NumberedQuerySet, ReservationEvent


class EventReaderQuerySet(NumberedQuerySet["EventReader"]):
    def lease(self, name: str, holder: uuid.UUID, until: datetime, now: datetime) -> bool:
        """Whether this holder has the reader until then: it had it before, or nobody has.

        One statement, so that of several who ask at once one is told yes.
        """
        free = Q(holder=holder) | Q(holder=None) | Q(leased_until__lt=now)
        return self.filter(free, pk=name).update(holder=holder, leased_until=until) == 1

    def oldest_unread(self) -> list[tuple[str, datetime | None]]:
        """Each reader, and when the first event happened that it has not passed on, if any."""
        unread = (
            ReservationEvent.objects.settled()
            .filter(transaction_id__gte=OuterRef("transaction_id"))
            .filter(
                Q(transaction_id__gt=OuterRef("transaction_id")) | Q(pk__gt=OuterRef("event_id"))
            )
        )
        oldest = Subquery(unread.values("happened_at")[:1])
        return list(self.values_list("name", oldest))

    def release(self, name: str, holder: uuid.UUID) -> None:
        self.filter(pk=name, holder=holder).update(holder=None)


class EventReader(models.Model):
    """Has passed on every event up to its position, in the transaction that moved it there."""

    name = models.CharField(max_length=20, primary_key=True)
    transaction_id = models.BigIntegerField(default=0)
    event_id = models.BigIntegerField(default=0)
    # A process that was killed holds it until then, no longer.
    holder = models.UUIDField(null=True)
    leased_until = models.DateTimeField(null=True)

    objects = EventReaderQuerySet.as_manager()

    def __str__(self) -> str:
        return self.name

    @property
    def position(self) -> tuple[int, int]:
        return self.transaction_id, self.event_id
