"""The history: what happened to each reservation, written by the database itself."""

from collections.abc import Collection
from datetime import datetime
from typing import Any, Self, TypeVar

from django.db import connection, models
from django.db.models import Count, Min, Q
from django.db.models.expressions import RawSQL

# Of PostgreSQL: the highest number of any that this database has come to.
LAST_TRANSACTION = (
    "GREATEST(pg_snapshot_xmax(pg_current_snapshot()), pg_current_xact_id_if_assigned())"
    "::text::bigint"
)


M = TypeVar("M", bound=models.Model, covariant=True)


class NumberedQuerySet(models.QuerySet[M]):
    """Rows with a place in the order of transactions."""

    def numbered_elsewhere(self) -> Self:
        """Of transactions that this database has not come to: it was restored from a dump."""
        if connection.vendor != "postgresql":
            return self.none()
        return self.filter(transaction_id__gt=RawSQL(LAST_TRANSACTION, []))  # noqa: S611  ours


class EventQuerySet(NumberedQuerySet["ReservationEvent"]):
    def settled(self) -> Self:
        """Those before which no other can appear any more, in the order of their transactions.

        PostgreSQL hands out ids before commit, so an event may become visible after one with a
        higher id. But what a transaction that is over has written is visible for good, and every
        transaction that is not over has a number at or above the oldest that is running.
        """
        ordered = self.order_by("transaction_id", "pk")
        if connection.vendor != "postgresql":  # one writer: ids are in the order of commits
            return ordered
        oldest_running = RawSQL("pg_snapshot_xmin(pg_current_snapshot())::text::bigint", [])
        return ordered.filter(transaction_id__lt=oldest_running)

    def after(self, position: tuple[int, int] | None) -> Self:
        if position is None:
            return self
        transaction, pk = position
        # The first condition is for the index.
        return self.filter(transaction_id__gte=transaction).filter(
            Q(transaction_id__gt=transaction) | Q(pk__gt=pk)
        )

    def of(self, provider_id: int | None, client_id: int | None) -> Self:
        """Of either; of everybody where both are None."""
        if provider_id is None and client_id is None:
            return self
        if provider_id is None:
            return self.filter(client_id=client_id)
        if client_id is None:
            return self.filter(provider_id=provider_id)
        return self.filter(Q(provider_id=provider_id) | Q(client_id=client_id))

    def count_newest(self, kinds: Collection[str], *, since: datetime, most: int) -> dict[str, Any]:
        """How many of each kind have happened since then, among the `most` newest of all; how many
        were looked at, and when the `first` of these happened.

        By the primary key, which goes with time but for the moments that a statement waits.
        """
        counts = {kind: Count("pk", filter=Q(kind=kind, happened_at__gte=since)) for kind in kinds}
        newest = self.order_by("-pk")[:most]
        return newest.aggregate(**counts, seen=Count("pk"), first=Min("happened_at"))


class ReservationEvent(models.Model):
    """One change of a reservation, as the reservation was after it (moved away: before it).

    A trigger writes it within the statement of the change (migration 0009), so nothing can change
    a reservation without leaving its event. It outlasts the rows whose ids it repeats.
    """

    class Kind(models.TextChoices):
        RESERVED = "reserved"
        CONFIRMED = "confirmed"
        EXPIRED = "expired"
        CANCELLED = "cancelled"
        RESCHEDULED = "rescheduled"
        MOVED_AWAY = "moved_away"  # to another provider's timeslot: what it was before
        CHANGED = "changed"  # around the service

    transaction_id = models.BigIntegerField()
    kind = models.CharField(max_length=11, choices=Kind.choices)
    happened_at = models.DateTimeField()
    caused_by = models.CharField(max_length=8)
    reason = models.CharField(max_length=500)
    reservation_id = models.BigIntegerField()
    timeslot_id = models.BigIntegerField()
    provider_id = models.BigIntegerField()
    client_id = models.BigIntegerField()
    start_time = models.DateTimeField()
    end_time = models.DateTimeField()
    version = models.PositiveIntegerField()

    objects = EventQuerySet.as_manager()

    class Meta:
        indexes = [
            # The three ways to read it on: everybody's, a provider's, a client's.
            models.Index(name="scheduling_events_in_order", fields=["transaction_id", "id"]),
            models.Index(
                name="scheduling_events_of_provider", fields=["provider_id", "transaction_id", "id"]
            ),
            models.Index(
                name="scheduling_events_of_client", fields=["client_id", "transaction_id", "id"]
            ),
        ]

    def __str__(self) -> str:
        return f"reservation {self.reservation_id} {self.kind}"

    @property
    def position(self) -> tuple[int, int]:
        return self.transaction_id, self.pk


class ArchivedHistoryQuerySet(NumberedQuerySet["ArchivedHistory"]):
    def reaches_beyond(
        self, position: tuple[int, int], provider_id: int | None, client_id: int | None
    ) -> bool:
        """Whether an event after this position is gone, of whom `EventQuerySet.of` would show."""
        transaction, pk = position
        whose = (("provider", provider_id), ("client", client_id))
        names = [ArchivedHistory.name_of(party, who) for party, who in whose if who is not None]
        beyond = Q(transaction_id__gt=transaction) | Q(transaction_id=transaction, event_id__gt=pk)
        return self.filter(beyond, pk__in=names or [ArchivedHistory.EVERYBODY]).exists()


class ArchivedHistory(models.Model):
    """Up to where events of a provider, a client or anybody have been archived: who reads on from
    before it would miss some."""

    EVERYBODY = "everybody"

    name = models.CharField(max_length=30, primary_key=True)
    transaction_id = models.BigIntegerField()
    event_id = models.BigIntegerField()

    objects = ArchivedHistoryQuerySet.as_manager()

    def __str__(self) -> str:
        return self.name

    @staticmethod
    def name_of(party: str, party_id: int) -> str:
        return f"{party} {party_id}"
