"""Reservations: a client's claims on timeslots, from the hold to whatever becomes of it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple, Self

from django.db import connection, models
from django.db.models import F, Q

from .people import Client, Provider
from .sql import fetch
from .timeslots import Timeslot


class ReservationRow(NamedTuple):
    """A reservation as the statements of the hot path return it: a model costs 30 us more."""

    pk: int
    timeslot_id: int
    provider_id: int
    client_id: int
    start_time: datetime
    end_time: datetime
    status: str
    created_at: datetime
    expires_at: datetime
    changed_at: datetime


_ROW = ", ".join(("id", *ReservationRow._fields[1:]))
_MOMENTS = (4, 5, 7, 8, 9)


class ReservationQuerySet(models.QuerySet["Reservation"]):
    def hold(
        self,
        *,
        client_id: int,
        timeslot_id: int,
        earliest_start: datetime,
        deadline: datetime,
        max_holds: int,
        now: datetime,
    ) -> "ReservationRow | None":
        """Hold the timeslot for the client until the deadline; None when the state says no.

        One INSERT that carries its own conditions. The unique index of live reservations is named
        as the conflict's target, so that the statement cannot run at all without its guard.

        With `max_holds`, the client's live holds are counted too. SQLite has one writer, who sees
        everything; PostgreSQL counts by a function that locks the client first (migration 0003).
        """
        limit = ""
        params = [now, deadline, now, timeslot_id, client_id, earliest_start]
        if max_holds:
            limit = f" AND {_LIVE_HOLDS[connection.vendor]} < %s"
            params += [now, max_holds]
        sql = f"""
            INSERT INTO scheduling_reservation (
                provider_id, timeslot_id, client_id, start_time, end_time,
                status, created_at, expires_at, changed_at)
            SELECT timeslot.provider_id, timeslot.id, client.id,
                   timeslot.start_time, timeslot.end_time, 'held', %s, %s, %s
              FROM scheduling_timeslot timeslot, scheduling_client client
             WHERE timeslot.id = %s AND client.id = %s AND timeslot.start_time >= %s{limit}
                ON CONFLICT (provider_id, timeslot_id) WHERE status IN ('held', 'confirmed')
                DO NOTHING
            RETURNING {_ROW}
            """  # noqa: S608  no text from outside
        return self._one(sql, params)

    def confirm(
        self, *, reservation_id: int, client_id: int, now: datetime
    ) -> "ReservationRow | None":
        """Make the client's hold firm; None unless it is still held at this moment.

        The CASE keeps PostgreSQL to the primary key: after an ANALYZE that saw no holds it took
        the index of holds for the shorter way, and read all of them for each confirmation.
        """
        sql = f"""
            UPDATE scheduling_reservation
               SET status = 'confirmed', version = version + 1,
                   changed_at = %s, changed_by = 'client'
             WHERE id = %s AND client_id = %s
               AND CASE WHEN status = 'held' THEN expires_at >= %s END
            RETURNING {_ROW}
            """  # noqa: S608  no text from outside
        return self._one(sql, [now, reservation_id, client_id, now])

    def expire_one(self, *, reservation_id: int, now: datetime) -> "ReservationRow | None":
        """Write down that this hold ran out; None unless it is overdue at this moment.

        The CASE is there as in `confirm`: with many overdue holds, each would read all of them.
        """
        sql = f"""
            UPDATE scheduling_reservation
               SET status = 'expired', version = version + 1,
                   changed_at = %s, changed_by = 'service'
             WHERE id = %s AND CASE WHEN status = 'held' THEN expires_at < %s END
            RETURNING {_ROW}
            """  # noqa: S608  no text from outside
        return self._one(sql, [now, reservation_id, now])

    def expire_oldest(self, *, limit: int, now: datetime) -> "list[ReservationRow]":
        """Write down that up to `limit` overdue holds ran out; only those this call changed.

        Rows that another sweep or a confirm has in hand are passed over.
        """
        skip_locked = (
            "FOR UPDATE SKIP LOCKED"
            if connection.features.has_select_for_update_skip_locked
            else ""
        )
        sql = f"""
            WITH overdue AS MATERIALIZED (
                SELECT id FROM scheduling_reservation
                 WHERE status = 'held' AND expires_at < %s
                 ORDER BY expires_at
                 LIMIT %s {skip_locked}
            )
            UPDATE scheduling_reservation
               SET status = 'expired', version = version + 1,
                   changed_at = %s, changed_by = 'service'
             WHERE id IN (SELECT id FROM overdue)
            RETURNING {_ROW}
            """  # noqa: S608  no text from outside
        return self._rows(sql, [now, limit, now])

    def count_holds(self, now: datetime) -> tuple[int, int, datetime | None]:
        """How many holds are live and how many overdue, and the earliest deadline of them all.

        Finished reservations, however many, are not looked at: an index of holds has it all.
        """
        sql = """
            SELECT COALESCE(SUM(CASE WHEN expires_at >= %s THEN 1 END), 0),
                   COUNT(*), MIN(expires_at)
              FROM scheduling_reservation
             WHERE status = 'held'
            """
        [(live, held, earliest)] = fetch(sql, [now], moments=(2,))
        return live, held - live, earliest

    def expire(self, now: datetime) -> int:
        return self.update(
            status=Reservation.Status.EXPIRED,
            version=F("version") + 1,
            changed_at=now,
            changed_by=Reservation.Party.SERVICE,
        )

    def cancel(self, *, by: "Reservation.Party", reason: str, now: datetime) -> int:
        return self.update(
            status=Reservation.Status.CANCELLED,
            version=F("version") + 1,
            changed_at=now,
            changed_by=by,
            reason=reason,
        )

    def of(self, party: "Reservation.Party", party_id: int | None) -> Self:
        """Of this client or provider; of anybody where that is None."""
        return self if party_id is None else self.filter(**{f"{party.value}_id": party_id})

    def from_key(self, key: tuple[datetime, int] | None) -> Self:
        """By start and id; from this one on."""
        ordered = self.order_by("start_time", "pk")
        if key is None:
            return ordered
        start_time, pk = key
        # The first condition is for the index, which knows nothing of the id.
        return ordered.filter(start_time__gte=start_time).filter(
            Q(start_time__gt=start_time) | Q(pk__gte=pk)
        )

    def on(self, timeslot: "Timeslot") -> Self:
        # By the provider too: the index of live reservations is led by it.
        return self.filter(provider_id=timeslot.provider_id, timeslot_id=timeslot.pk)

    def unfinished(self) -> Self:
        """Held or confirmed as it is written, overdue or not: live to the constraints."""
        return self.filter(status__in=[Reservation.Status.HELD, Reservation.Status.CONFIRMED])

    def live(self, now: datetime) -> Self:
        """Confirmed, or held and not past its deadline: keeps its timeslot from others."""
        confirmed = Q(status=Reservation.Status.CONFIRMED)
        return self.filter(confirmed | Q(status=Reservation.Status.HELD, expires_at__gte=now))

    def overdue(self, now: datetime) -> Self:
        """Held past its deadline: keeps nothing from anybody, not yet written down."""
        return self.filter(status=Reservation.Status.HELD, expires_at__lt=now)

    def lapsing(self, *, until: datetime, now: datetime) -> Self:
        """Held, and not to be confirmed any more after that moment at the latest; soonest first."""
        held = self.filter(status=Reservation.Status.HELD)
        return held.filter(expires_at__gte=now, expires_at__lte=until).order_by("expires_at", "pk")

    def in_status(self, status: str, now: datetime) -> Self:
        """As callers see it: an overdue hold is expired, whether or not that is written down."""
        is_overdue = Q(status=Reservation.Status.HELD, expires_at__lt=now)
        if status == Reservation.Status.HELD:
            return self.filter(Q(status=status) & ~is_overdue)
        if status == Reservation.Status.EXPIRED:
            return self.filter(Q(status=status) | is_overdue)
        return self.filter(status=status)

    def _one(self, sql: str, params: Sequence[Any]) -> "ReservationRow | None":
        found = self._rows(sql, params)
        return found[0] if found else None

    def _rows(self, sql: str, params: Sequence[Any]) -> "list[ReservationRow]":
        return [ReservationRow._make(row) for row in fetch(sql, params, moments=_MOMENTS)]


class Reservation(models.Model):
    """A client's claim on a timeslot.

    It repeats the timeslot's provider, start and end, so that every answer about it is the row
    that the statement returns.
    """

    class Status(models.TextChoices):
        HELD = "held"
        CONFIRMED = "confirmed"
        EXPIRED = "expired"
        CANCELLED = "cancelled"

    class Party(models.TextChoices):
        CLIENT = "client"
        PROVIDER = "provider"
        SERVICE = "service"

    provider = models.ForeignKey(
        Provider, on_delete=models.PROTECT, related_name="reservations", db_index=False
    )
    # The history outlasts a timeslot that is withdrawn; a live reservation's is there, as the
    # triggers of migration 0006 see to.
    timeslot = models.ForeignKey(
        Timeslot,
        on_delete=models.DO_NOTHING,
        related_name="reservations",
        db_index=False,
        db_constraint=False,
    )
    client = models.ForeignKey(
        Client, on_delete=models.PROTECT, related_name="reservations", db_index=False
    )
    start_time = models.DateTimeField()
    end_time = models.DateTimeField()
    status = models.CharField(max_length=10, choices=Status.choices)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    # Counts the changes, for callers who must not overwrite one that they have not seen.
    version = models.PositiveIntegerField(db_default=1)
    # The last change, as the history will have it.
    changed_at = models.DateTimeField()
    changed_by = models.CharField(max_length=8, choices=Party.choices, db_default="client")
    reason = models.CharField(max_length=500, db_default="", blank=True)

    objects = ReservationQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                name="scheduling_reservation_one_live_per_timeslot",
                fields=["provider", "timeslot"],
                condition=Q(status__in=["held", "confirmed"]),
            ),
            models.CheckConstraint(
                name="scheduling_reservation_ends_after_it_starts",
                condition=Q(end_time__gt=F("start_time")),
            ),
            models.CheckConstraint(
                name="scheduling_reservation_deadline_after_creation",
                condition=Q(expires_at__gt=F("created_at")),
            ),
            models.CheckConstraint(
                name="scheduling_reservation_status_known",
                condition=Q(status__in=["held", "confirmed", "expired", "cancelled"]),
            ),
            models.CheckConstraint(
                name="scheduling_reservation_changed_by_a_party",
                condition=Q(changed_by__in=["client", "provider", "service"]),
            ),
            models.CheckConstraint(
                name="scheduling_reservation_reason_when_cancelled",
                condition=Q(status="cancelled") | Q(reason=""),
            ),
        ]
        indexes = [
            # The list asks it which of a provider's timeslots are taken.
            models.Index(
                name="scheduling_live_by_start",
                fields=["provider", "start_time"],
                include=["timeslot", "status", "expires_at"],
                condition=Q(status__in=["held", "confirmed"]),
            ),
            # The sweep reads the oldest deadlines from it; finished reservations are not in it.
            models.Index(
                name="scheduling_held_by_deadline",
                fields=["expires_at"],
                condition=Q(status="held"),
            ),
            # Reserve counts a client's live holds in it. BETWEEN and not =, there as here: else
            # PostgreSQL, after an ANALYZE that saw no holds, takes the index of deadlines for as
            # short a way, and reads everybody's holds for each reserve.
            models.Index(
                name="scheduling_held_by_client",
                fields=["client", "expires_at"],
                condition=Q(status__range=("held", "held")),
            ),
            # A client's and a provider's lists of what they have, whatever became of it.
            models.Index(name="scheduling_of_client", fields=["client", "start_time"]),
            models.Index(name="scheduling_of_provider", fields=["provider", "start_time"]),
        ]

    ON_ITS_TIMESLOT = "scheduling_reservation_on_its_timeslot"

    def __str__(self) -> str:
        return f"reservation {self.pk}"

    @property
    def cancelled_at(self) -> datetime | None:
        return self.changed_at if self.status == self.Status.CANCELLED else None

    @property
    def cancelled_by(self) -> str | None:
        return self.changed_by if self.status == self.Status.CANCELLED else None

    @property
    def settled_at(self) -> datetime:
        """When it came to be as it is: a hold expires at its deadline, whenever it is swept."""
        return self.expires_at if self.status == self.Status.EXPIRED else self.changed_at

    def is_overdue(self, now: datetime) -> bool:
        return self.status == self.Status.HELD and self.expires_at < now

    def as_of(self, now: datetime) -> "Reservation":
        """As callers see it: an overdue hold as the next sweep will write it down."""
        if self.is_overdue(now):
            self.status, self.version = self.Status.EXPIRED, self.version + 1
        return self


_LIVE_HOLDS = {
    "postgresql": "scheduling_live_holds(client.id, %s)",
    "sqlite": """(
                   SELECT COUNT(*) FROM scheduling_reservation
                    WHERE client_id = client.id AND status BETWEEN 'held' AND 'held'
                      AND expires_at >= %s)""",
}
