"""The tables, what the database guarantees of them, and the sets of rows the business speaks of.

Five statements are written out in SQL, because the ORM has no word for them (INSERT ... SELECT,
UPDATE ... RETURNING) or because a listing of a thousand rows is too dear as model instances. Each
is one text for SQLite and PostgreSQL, save the series of starts that a window is cut into.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, Self

from django.db import connection, models
from django.db.models import F, Q, Subquery
from django.db.models.functions import Coalesce, Length, Trim
from django.db.models.lookups import GreaterThan, LessThanOrEqual
from psycopg.pq import Format


class TimeslotRow(NamedTuple):
    """A timeslot with its provider's name, as every answer shows it."""

    timeslot_id: int
    provider_id: int
    first_name: str
    last_name: str
    start_time: datetime
    end_time: datetime


class Person(models.Model):
    first_name = models.CharField(max_length=100)
    last_name = models.CharField(max_length=100)

    class Meta:
        abstract = True
        constraints = [
            models.CheckConstraint(
                name="%(app_label)s_%(class)s_names_not_blank",
                condition=Q(GreaterThan(Length(Trim("first_name")), 0))
                & Q(GreaterThan(Length(Trim("last_name")), 0)),
            ),
            # SQLite does not look at the length of a varchar.
            models.CheckConstraint(
                name="%(app_label)s_%(class)s_names_at_most_100",
                condition=Q(LessThanOrEqual(Length("first_name"), 100))
                & Q(LessThanOrEqual(Length("last_name"), 100)),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.first_name} {self.last_name}"


class Provider(Person):
    """Publishes when they work."""


class Client(Person):
    """Reserves timeslots."""


class TimeslotQuerySet(models.QuerySet["Timeslot"]):
    def publish(
        self, provider: Provider, start_time: datetime, end_time: datetime, slot: timedelta
    ) -> list[TimeslotRow]:
        """Cut a window into timeslots, all of them by one statement, oldest first.

        Raises IntegrityError when one would overlap a timeslot of the provider's.
        """
        if connection.vendor == "postgresql":
            series = "SELECT generate_series(%s, %s - %s, %s) AS start_time"
            sql = f"""
                INSERT INTO scheduling_timeslot (provider_id, start_time, end_time)
                SELECT %s, start_time, start_time + %s FROM ({series}) AS series
                RETURNING id, start_time, end_time
                """  # noqa: S608  no text from outside
            params = [provider.pk, slot, start_time, end_time, slot, slot]
        else:
            seconds = int(slot.total_seconds())
            sql = """
                WITH RECURSIVE series (nth) AS (
                    SELECT 0 UNION ALL SELECT nth + 1 FROM series WHERE nth + 1 < %s
                )
                INSERT INTO scheduling_timeslot (provider_id, start_time, end_time)
                SELECT %s, datetime(%s, (nth * %s) || ' seconds'),
                       datetime(%s, ((nth + 1) * %s) || ' seconds')
                  FROM series
                RETURNING id, start_time, end_time
                """
            count = (end_time - start_time) // slot
            params = [count, provider.pk, start_time, seconds, start_time, seconds]
        rows = [
            TimeslotRow(pk, provider.pk, provider.first_name, provider.last_name, start, end)
            for pk, start, end in _rows(sql, params, moments=(1, 2))
        ]
        return sorted(rows, key=lambda row: row.start_time)

    def bookable(
        self,
        *,
        provider_id: int,
        start_from: datetime,
        start_before: datetime,
        limit: int,
        now: datetime,
    ) -> list[TimeslotRow] | None:
        """The provider's free timeslots that start in [start_from, start_before), oldest first.

        None when there is no such provider. What is taken is asked once for the whole span, not
        once for each timeslot. A lapsed hold takes nothing, whether or not a sweep has run.
        """
        sql = """
            SELECT timeslot.id, provider.id, provider.first_name, provider.last_name,
                   timeslot.start_time, timeslot.end_time
              FROM scheduling_provider provider
              LEFT JOIN (
                    SELECT id, start_time, end_time
                      FROM scheduling_timeslot
                     WHERE provider_id = %s AND start_time >= %s AND start_time < %s
                       AND id NOT IN (
                            SELECT timeslot_id FROM scheduling_reservation
                             WHERE provider_id = %s AND start_time >= %s AND start_time < %s
                               AND status IN ('held', 'confirmed')
                               AND (status = 'confirmed' OR expires_at >= %s))
                     ORDER BY start_time
                     LIMIT %s
                   ) timeslot ON TRUE
             WHERE provider.id = %s
             ORDER BY timeslot.start_time
            """
        span = [provider_id, start_from, start_before]
        found = _rows(sql, [*span, *span, now, limit, provider_id], moments=(4, 5))
        if not found:
            return None
        return [TimeslotRow._make(row) for row in found if row[0] is not None]

    def overlapping(self, provider_id: int, start_time: datetime, end_time: datetime) -> Self:
        """The provider's timeslots that share a moment with [start_time, end_time), oldest first.

        Since none overlap, of those that start before the window only the last can reach into it;
        so this reads no more of the past than that one.
        """
        of_provider = self.filter(provider_id=provider_id)
        last_before = of_provider.filter(start_time__lte=start_time).order_by("-start_time")
        return of_provider.filter(
            start_time__gte=Coalesce(Subquery(last_before.values("start_time")[:1]), start_time),
            start_time__lt=end_time,
            end_time__gt=start_time,
        ).order_by("start_time")


class Timeslot(models.Model):
    """A piece cut from an availability window: [start_time, end_time).

    That a provider's timeslots never overlap is held by an exclusion constraint on PostgreSQL and
    by triggers on SQLite (migration 0002).
    """

    provider = models.ForeignKey(
        Provider, on_delete=models.PROTECT, related_name="timeslots", db_index=False
    )
    start_time = models.DateTimeField()
    end_time = models.DateTimeField()

    OVERLAP_CONSTRAINTS = (
        "scheduling_timeslot_never_overlap",
        "scheduling_timeslot_one_at_a_start",
    )

    objects = TimeslotQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="scheduling_timeslot_ends_after_it_starts",
                condition=Q(end_time__gt=F("start_time")),
            ),
            # Also the index that lists a provider's timeslots in order.
            models.UniqueConstraint(
                name="scheduling_timeslot_one_at_a_start", fields=["provider", "start_time"]
            ),
        ]

    def __str__(self) -> str:
        return f"{self.start_time:%Y-%m-%d %H:%M} UTC"


class ReservationQuerySet(models.QuerySet["Reservation"]):
    def hold(
        self,
        *,
        client_id: int,
        timeslot_id: int,
        earliest_start: datetime,
        deadline: datetime,
        now: datetime,
    ) -> "Reservation | None":
        """Hold the timeslot for the client until the deadline; None when the state says no.

        One INSERT that carries its own conditions. The unique index of live reservations is named
        as the conflict's target, so that the statement cannot run at all without its guard.
        """
        sql = f"""
            INSERT INTO scheduling_reservation (
                provider_id, timeslot_id, client_id, start_time, end_time,
                status, created_at, expires_at)
            SELECT timeslot.provider_id, timeslot.id, client.id,
                   timeslot.start_time, timeslot.end_time, 'held', %s, %s
              FROM scheduling_timeslot timeslot, scheduling_client client
             WHERE timeslot.id = %s AND client.id = %s AND timeslot.start_time >= %s
                ON CONFLICT (provider_id, timeslot_id) WHERE status IN ('held', 'confirmed')
                DO NOTHING
            RETURNING {_RESERVATION}
            """  # noqa: S608  no text from outside
        params = [now, deadline, timeslot_id, client_id, earliest_start]
        return self._one(sql, params)

    def confirm(
        self, *, reservation_id: int, client_id: int, now: datetime
    ) -> "Reservation | None":
        """Make the client's hold firm; None unless it is still held at this moment.

        The CASE keeps PostgreSQL to the primary key: after an ANALYZE that saw no holds it took
        the index of holds for the shorter way, and read all of them for each confirmation.
        """
        sql = f"""
            UPDATE scheduling_reservation SET status = 'confirmed'
             WHERE id = %s AND client_id = %s
               AND CASE WHEN status = 'held' THEN expires_at >= %s END
            RETURNING {_RESERVATION}
            """  # noqa: S608  no text from outside
        return self._one(sql, [reservation_id, client_id, now])

    def expire_oldest(self, *, limit: int, now: datetime) -> "list[Reservation]":
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
            UPDATE scheduling_reservation SET status = 'expired'
             WHERE id IN (SELECT id FROM overdue)
            RETURNING {_RESERVATION}
            """  # noqa: S608  no text from outside
        return self._reservations(sql, [now, limit])

    def on(self, timeslot: "Timeslot") -> Self:
        # By the provider too: the index of live reservations is led by it.
        return self.filter(provider_id=timeslot.provider_id, timeslot_id=timeslot.pk)

    def live(self, now: datetime) -> Self:
        """Confirmed, or held and not past its deadline: keeps its timeslot from others."""
        confirmed = Q(status=Reservation.Status.CONFIRMED)
        return self.filter(confirmed | Q(status=Reservation.Status.HELD, expires_at__gte=now))

    def overdue(self, now: datetime) -> Self:
        """Held past its deadline: keeps nothing from anybody, not yet written down."""
        return self.filter(status=Reservation.Status.HELD, expires_at__lt=now)

    def _one(self, sql: str, params: Sequence[Any]) -> "Reservation | None":
        found = self._reservations(sql, params)
        return found[0] if found else None

    def _reservations(self, sql: str, params: Sequence[Any]) -> "list[Reservation]":
        rows = _rows(sql, params, moments=_MOMENTS_OF_RESERVATION)
        return [Reservation.from_db(self.db, _RESERVATION_FIELDS, row) for row in rows]


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

    provider = models.ForeignKey(
        Provider, on_delete=models.PROTECT, related_name="reservations", db_index=False
    )
    timeslot = models.ForeignKey(
        Timeslot, on_delete=models.PROTECT, related_name="reservations", db_index=False
    )
    client = models.ForeignKey(
        Client, on_delete=models.PROTECT, related_name="reservations", db_index=False
    )
    start_time = models.DateTimeField()
    end_time = models.DateTimeField()
    status = models.CharField(max_length=10, choices=Status.choices)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()

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
        ]

    def __str__(self) -> str:
        return f"reservation {self.pk}"


_RESERVATION_FIELDS = [field.attname for field in Reservation._meta.concrete_fields]
_RESERVATION = ", ".join(_RESERVATION_FIELDS)
_MOMENTS_OF_RESERVATION = tuple(
    nth
    for nth, field in enumerate(Reservation._meta.concrete_fields)
    if isinstance(field, models.DateTimeField)
)


def _adapted(params: Sequence[Any]) -> list[Any]:
    """Datetimes in the database's own form: SQLite would compare two texts of one moment."""
    return [
        connection.ops.adapt_datetimefield_value(param) if isinstance(param, datetime) else param
        for param in params
    ]


def _rows(sql: str, params: Sequence[Any], moments: tuple[int, ...]) -> list[list[Any]]:
    """Run one statement to its end; the columns numbered in `moments` come out as UTC datetimes.

    To its end, because SQLite commits INSERT ... RETURNING only with its last row. PostgreSQL
    answers in binary: psycopg reads such moments in C, Django's reader of the text is Python and
    took three quarters of a listing of 960 timeslots (10.8 ms of CPU; 2.8 ms in binary).
    """
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.cursor.format = Format.BINARY
        cursor.execute(sql, _adapted(params))
        rows: list[Any] = cursor.fetchall()
    if connection.vendor == "postgresql":
        return rows
    return [
        [_utc(value) if nth in moments else value for nth, value in enumerate(row)] for row in rows
    ]


def _utc(value: str | datetime | None) -> datetime | None:
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    return value and value.replace(tzinfo=UTC)
