"""A provider's week, as it would hang on the door: hours for each weekday, from date to date."""

import re
from collections.abc import Collection, Iterator, Mapping
from datetime import date, datetime, time, timedelta
from itertools import pairwise
from typing import NamedTuple
from zoneinfo import ZoneInfo

from scheduling import errors, policy

from .windows import DAY, Wall, Window, require_known_year, windows_of

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
MOST_HOURS_A_DAY = DAY // policy.QUARTER_HOUR

_TWENTY_FOUR = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")
_TWELVE = re.compile(r"([1-9]|1[0-2])(?::([0-5][0-9]))?(am|pm)")


class Hours(NamedTuple):
    """From when to when on the wall clock, counted from the midnight that begins the day."""

    start: timedelta
    end: timedelta


def read_hours(text: str, field: str = "weekly") -> Hours:
    """`09:00-12:00` or `1pm-5:30pm`; an end that is before the start is the next day's."""
    opens, _, closes = text.partition("-")
    start, end = _time_of_day(opens), DAY if closes == "24:00" else _time_of_day(closes)
    if start is None or end is None:
        raise errors.InvalidInput(
            field=field,
            code="invalid",
            detail="A window is written as 09:00-12:00 or as 1pm-5:30pm.",
        )
    if start == end:
        raise errors.InvalidInput(
            field=field,
            code="end_before_start",
            detail="The end comes after the start; a whole day is 00:00-24:00.",
        )
    return Hours(start, end if start < end else end + DAY)


def read_week(weekly: object) -> dict[int, list[Hours]]:
    """The hours of each weekday, of which Monday is 0, in order; of one day, none overlap."""
    if not isinstance(weekly, dict) or not weekly:
        raise errors.InvalidInput(
            field="weekly",
            code="invalid",
            detail='An object of weekdays is required, such as {"monday": ["09:00-12:00"]}.',
        )
    if not weekly.keys() <= set(WEEKDAYS):
        raise errors.InvalidInput(
            field="weekly",
            code="unknown_weekday",
            detail="Weekdays are monday to sunday, in lower case.",
        )
    return {WEEKDAYS.index(name): _hours_of_a_day(name, texts) for name, texts in weekly.items()}


def weekly_windows(
    *,
    week: Mapping[int, Collection[Hours]],
    from_date: date,
    until_date: date,
    except_dates: Collection[date],
    zone: ZoneInfo,
    slot: timedelta,
) -> list[Window]:
    """The windows of every week from one date to another, both included.

    A window has the date on which it starts, also when it ends on the next.
    """
    first, last = _midnight(from_date), _midnight(until_date)
    require_known_year(first, "from_date")
    require_known_year(last, "until_date")
    if last < first:
        raise errors.InvalidInput(
            field="until_date",
            code="end_before_start",
            detail="until_date is not before from_date.",
        )
    if last > first + policy.LONGEST_REACH:
        raise errors.InvalidInput(
            field="until_date",
            code="too_far_ahead",
            detail="until_date is at most 5 years after from_date.",
        )
    return windows_of(
        _walls(week, first, last, frozenset(except_dates)),
        zone,
        slot,
        field="weekly",
        start_field="weekly",
        end_field="weekly",
    )


def _time_of_day(text: str) -> timedelta | None:
    if of_24 := _TWENTY_FOUR.fullmatch(text):
        return timedelta(hours=int(of_24[1]), minutes=int(of_24[2]))
    if of_12 := _TWELVE.fullmatch(text):
        noon = 12 if of_12[3] == "pm" else 0
        return timedelta(hours=int(of_12[1]) % 12 + noon, minutes=int(of_12[2] or 0))
    return None


def _hours_of_a_day(name: str, texts: object) -> list[Hours]:
    field = f"weekly.{name}"
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise errors.InvalidInput(
            field=field,
            code="invalid",
            detail='A list of windows is required, such as ["09:00-12:00", "1pm-5pm"].',
        )
    if len(texts) > MOST_HOURS_A_DAY:
        raise errors.InvalidInput(
            field=field, code="too_many_windows", detail="A day has at most 96 windows."
        )
    hours = sorted(read_hours(text, field) for text in texts)
    if any(later.start < earlier.end for earlier, later in pairwise(hours)):
        raise errors.InvalidInput(
            field=field, code="windows_overlap", detail="The windows of one day do not overlap."
        )
    return hours


def _walls(
    week: Mapping[int, Collection[Hours]],
    first: datetime,
    last: datetime,
    except_dates: Collection[date],
) -> Iterator[Wall]:
    for midnight in (first + nth * DAY for nth in range((last - first) // DAY + 1)):
        if midnight.date() not in except_dates:
            for hours in week.get(midnight.weekday(), ()):
                yield Wall(midnight + hours.start, midnight + hours.end)


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time.min)
