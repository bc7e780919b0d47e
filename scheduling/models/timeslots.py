"""Timeslots: publishing them, and which of them are bookable."""

import json
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import Any, NamedTuple, Self

from django.db import connection, models
from django.db.models import F, Q, Subquery
from django.db.models.functions import Coalesce

from scheduling.calendars import Window

from .people import EVENTS_SINCE, MOST_EVENTS_SINCE, SETTLED_BEFORE, Provider, ProviderState
from .sql import fetch


class TimeslotRow(NamedTuple):
    """A timeslot with its provider's name, as every answer shows it."""

    timeslot_id: int
    provider_id: int
    first_name: str
    last_name: str
    start_time: datetime
    end_time: datetime
    is_free: bool = True


class UseOfDay(NamedTuple):
    """The seconds of a day that are published, held and confirmed, and how often a confirmed one
    begins."""

    published: int = 0
    held: int = 0
    confirmed: int = 0
    appointments: int = 0


class TimeslotQuerySet(models.QuerySet["Timeslot"]):
    def publish(
        self, provider: Provider, windows: Sequence[Window], *, skip: bool = False
    ) -> list[TimeslotRow]:
        """Cut windows into timeslots, all of them by one statement, oldest first.

        Pieces that would overlap a timeslot of the provider's are left out with `skip`; without it
        one such piece raises IntegrityError.
        """
        if connection.vendor == "postgresql":
            pieces = _PIECES_ON_POSTGRESQL
            params: list[Any] = [list(column) for column in zip(*windows, strict=True)]
        else:
            pieces = _PIECES_ON_SQLITE
            seconds = [
                [int(start.timestamp()), int(end.timestamp()), int(slot.total_seconds())]
                for start, end, slot in windows
            ]
            params = [json.dumps(seconds)]
        sql = f"""
            WITH RECURSIVE {pieces}
            INSERT INTO scheduling_timeslot (provider_id, start_time, end_time)
            SELECT %s, start_time, end_time FROM pieces
             WHERE {_OVERLAPS_NOTHING if skip else "TRUE"}
             ORDER BY start_time
            RETURNING id, start_time, end_time
            """  # noqa: S608  no text from outside
        params += [provider.pk] * (3 if skip else 1)
        rows = [
            TimeslotRow(pk, provider.pk, provider.first_name, provider.last_name, start, end)
            for pk, start, end in fetch(sql, params, moments=(1, 2))
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
    ) -> tuple[list[TimeslotRow], ProviderState, datetime | None] | None:
        """The provider's free timeslots that start in [start_from, start_before), oldest first;
        what they were found at; and when the next hold among them lapses.

        None when there is no such provider. What is taken is asked once for the whole span, not
        once for each timeslot. A lapsed hold takes nothing, whether or not a sweep has run.
        """
        span = [provider_id, start_from, start_before]
        sql = _bookable(connection.vendor)
        rows = fetch(sql, [*span, now, provider_id, *span, limit], moments=(1, 2, 5))
        if not rows:
            return None
        _, _, _, first_name, last_name, next_lapse, *state = rows[0]
        found = [
            TimeslotRow(row[0], provider_id, first_name, last_name, row[1], row[2])
            for row in rows[1:]
        ]
        return found, ProviderState(*state), next_lapse

    def find(
        self,
        *,
        start_from: datetime,
        start_before: datetime,
        slot: timedelta | None,
        provider_ids: Collection[int] | None,
        goes_on_at: tuple[datetime, int] | None,
        limit: int,
        now: datetime,
    ) -> list[TimeslotRow]:
        """Free timeslots of all providers that start in [start_from, start_before), in order.

        What is taken is asked for each timeslot on the way, whatever the planner expects: without
        the OFFSET, PostgreSQL may read all reservations of a provider. Few timeslots are read, and
        how many there are of other lengths and providers does not matter.
        """
        free = f"""timeslot.start_time >= %s AND timeslot.start_time < %s
               AND NOT EXISTS ({_LIVE_ON_IT} LIMIT 1 OFFSET 0)"""
        if goes_on_at is not None:
            start_from = max(start_from, goes_on_at[0])
        params: list[Any] = [start_from, start_before, now]
        if slot is not None:
            free += f" AND {_LENGTH[connection.vendor]} = %s"
            params.append(slot if connection.vendor == "postgresql" else int(slot.total_seconds()))
        if goes_on_at is not None:
            # Not of both at once: SQLite would leave the index of lengths for it.
            free += " AND (timeslot.start_time > %s OR timeslot.id >= %s)"
            params += goes_on_at
        if provider_ids is None:
            found = f"""scheduling_timeslot timeslot
              JOIN scheduling_provider provider ON provider.id = timeslot.provider_id
             WHERE {free}"""
        else:
            ids = ", ".join(["%s"] * len(provider_ids))
            found = f"{_OF_EACH[connection.vendor].format(free=free)} AND provider.id IN ({ids})"
            if connection.vendor == "postgresql":
                params.append(limit)
            params += provider_ids
        sql = f"""
            SELECT timeslot.id, provider.id, provider.first_name, provider.last_name,
                   timeslot.start_time, timeslot.end_time
              FROM {found}
             ORDER BY timeslot.start_time, timeslot.id
             LIMIT %s
            """  # noqa: S608  no text from outside
        return [TimeslotRow(*row) for row in fetch(sql, [*params, limit], moments=(4, 5))]

    def of_provider(
        self,
        *,
        provider_id: int,
        start_from: datetime,
        start_before: datetime,
        limit: int,
        now: datetime,
    ) -> list[TimeslotRow] | None:
        """The provider's timeslots that start in [start_from, start_before), oldest first, each
        free or not. None when there is no such provider.

        What is taken is asked for each of the page, whatever the planner expects: of a NOT EXISTS,
        PostgreSQL reads everybody's reservations once a page is long.
        """
        sql = f"""
            SELECT timeslot.id, provider.id, first_name, last_name, start_time, end_time,
                   ({_LIVE_ON_IT}) IS NULL
              FROM scheduling_provider provider
              LEFT JOIN (
                    SELECT * FROM scheduling_timeslot
                     WHERE provider_id = %s AND start_time >= %s AND start_time < %s
                     ORDER BY start_time
                     LIMIT %s) AS timeslot ON TRUE
             WHERE provider.id = %s
             ORDER BY start_time
            """  # noqa: S608  no text from outside
        params = [now, provider_id, start_from, start_before, limit, provider_id]
        rows = fetch(sql, params, moments=(4, 5))
        if not rows:
            return None
        return [
            TimeslotRow._make((*row, bool(is_free)))
            for *row, is_free in rows
            if row[0] is not None  # the provider alone, who has none
        ]

    def first_beyond(self, most: int, *, start_from: datetime) -> datetime | None:
        """When the first timeslot starts that is one too many, of all that start from then on."""
        following = self.filter(start_time__gte=start_from).order_by("start_time", "pk")
        return following.values_list("start_time", flat=True)[most : most + 1].first()

    def use_by_day(
        self, *, start_from: datetime, start_before: datetime, now: datetime
    ) -> dict[int, UseOfDay]:
        """What starts in [start_from, start_before), by days since 1970 in UTC.

        What is taken is asked for each timeslot: of a join, PostgreSQL reads the whole history.
        """
        seconds = _SECONDS_SINCE_1970[connection.vendor].format
        sql = f"""
            WITH used AS MATERIALIZED (
                SELECT {seconds("start_time")} / 86400 AS day,
                       {seconds("end_time")} - {seconds("start_time")} AS length,
                       ({_LIVE_ON_IT}) AS status
                  FROM scheduling_timeslot timeslot
                 WHERE start_time >= %s AND start_time < %s
            )
            SELECT day, SUM(length),
                   SUM(CASE WHEN status = 'held' THEN length ELSE 0 END),
                   SUM(CASE WHEN status = 'confirmed' THEN length ELSE 0 END),
                   COUNT(CASE WHEN status = 'confirmed' THEN 1 END)
              FROM used
             GROUP BY day
            """  # noqa: S608  no text from outside
        rows = fetch(sql, [now, start_from, start_before], ())
        return {day: UseOfDay(*(int(value) for value in used)) for day, *used in rows}

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
        indexes = [
            # The earliest timeslots over all providers.
            models.Index(name="scheduling_timeslot_by_start", fields=["start_time", "id"]),
        ]

    def __str__(self) -> str:
        return f"{self.start_time:%Y-%m-%d %H:%M} UTC"


@cache
def _bookable(vendor: str) -> str:
    settled_before = SETTLED_BEFORE[vendor]
    return f"""
            WITH taken AS (
                SELECT timeslot_id, status, expires_at FROM scheduling_reservation
                 WHERE provider_id = %s AND start_time >= %s AND start_time < %s
                   AND status IN ('held', 'confirmed')
                   AND (status = 'confirmed' OR expires_at >= %s)
            )
            SELECT NULL AS id, NULL AS start_time, NULL AS end_time, first_name, last_name,
                   (SELECT MIN(expires_at) FROM taken WHERE status = 'held'),
                   version, availability_version, {settled_before},
                   (SELECT COUNT(*) FROM (
                        {EVENTS_SINCE[vendor].format(settled_before)}
                         LIMIT {MOST_EVENTS_SINCE + 1}) AS since)
              FROM scheduling_provider provider WHERE provider.id = %s
             UNION ALL
            SELECT id, start_time, end_time, NULL, NULL, NULL, NULL, NULL, NULL, NULL FROM (
                SELECT id, start_time, end_time FROM scheduling_timeslot
                 WHERE provider_id = %s AND start_time >= %s AND start_time < %s
                   AND id NOT IN (SELECT timeslot_id FROM taken)
                 ORDER BY start_time
                 LIMIT %s) AS free
             ORDER BY start_time NULLS FIRST
            """  # noqa: S608  no text from outside


_PIECES_ON_POSTGRESQL = """pieces (start_time, end_time) AS (
                SELECT piece, piece + slot
                  FROM unnest(%s::timestamptz[], %s::timestamptz[], %s::interval[])
                       AS availability (opens, closes, slot),
                       generate_series(opens, closes - slot, slot) AS piece
            )"""
# In seconds since 1970, one piece behind the other; [opens, closes, slot] is a window.
_PIECES_ON_SQLITE = """series (piece, closes, slot) AS (
                SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'),
                       json_extract(value, '$[2]')
                  FROM json_each(%s)
                UNION ALL
                SELECT piece + slot, closes, slot FROM series WHERE piece + slot < closes
            ),
            pieces (start_time, end_time) AS (
                SELECT datetime(piece, 'unixepoch'), datetime(piece + slot, 'unixepoch') FROM series
            )"""
# Its status: one or none. By provider and start: the covering index of live reservations is led by
# them, and by the provider alone all of theirs would be read.
_LIVE_ON_IT = """
                    SELECT reservation.status FROM scheduling_reservation reservation
                     WHERE reservation.provider_id = timeslot.provider_id
                       AND reservation.start_time = timeslot.start_time
                       AND reservation.timeslot_id = timeslot.id
                       AND reservation.status IN ('held', 'confirmed')
                       AND (reservation.status = 'confirmed' OR reservation.expires_at >= %s)"""
# A whole number of them, of a column.
_SECONDS_SINCE_1970 = {
    "postgresql": "date_part('epoch', {})::bigint",
    "sqlite": "CAST(strftime('%%s', {}) AS integer)",
}
# As the index has it (migration 0013).
_LENGTH = {
    "postgresql": "(timeslot.end_time - timeslot.start_time)",
    "sqlite": "(strftime('%%s', timeslot.end_time) - strftime('%%s', timeslot.start_time))",
}
# The providers first, in this order whatever the planner expects: where those who are asked for
# have nothing free, the index of all starts would be read to its end. SQLite keeps to the order of
# a CROSS JOIN, and has no LATERAL.
_OF_EACH = {
    "postgresql": """scheduling_provider provider
             CROSS JOIN LATERAL (
                    SELECT * FROM scheduling_timeslot timeslot
                     WHERE timeslot.provider_id = provider.id AND {free}
                     ORDER BY timeslot.start_time
                     LIMIT %s) AS timeslot
             WHERE TRUE""",
    "sqlite": """scheduling_provider provider
             CROSS JOIN scheduling_timeslot timeslot
             WHERE timeslot.provider_id = provider.id AND {free}""",
}
# The neighbours on either side are all that can be in the way, since no two timeslots overlap: two
# looks into the index, however many timeslots there are.
_OVERLAPS_NOTHING = """NOT EXISTS (
                    SELECT 1 FROM (
                        SELECT end_time FROM scheduling_timeslot timeslot
                         WHERE provider_id = %s AND timeslot.start_time <= pieces.start_time
                         ORDER BY timeslot.start_time DESC LIMIT 1
                    ) AS previous WHERE previous.end_time > pieces.start_time)
               AND NOT EXISTS (
                    SELECT 1 FROM scheduling_timeslot timeslot
                     WHERE provider_id = %s AND timeslot.start_time > pieces.start_time
                       AND timeslot.start_time < pieces.end_time)"""
