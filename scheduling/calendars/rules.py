"""Windows that recur by a rule of RFC 5545: every other Tuesday, the last Friday of a month.

The days of a rule are found here and not by python-dateutil, which cannot be stopped: for a day
that never comes, such as the 31st of February, it searches until the year 9999 and takes seconds.
Which days they are, the tests compare with it.
"""

import re
from calendar import monthrange
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, time, timedelta
from itertools import groupby, islice
from typing import NamedTuple
from zoneinfo import ZoneInfo

from dateutil.parser import isoparse

from scheduling import errors, policy

from .windows import DAY, Wall, Window, require_known_year, windows_of
from .zones import moment

LONGEST_RULE = 1000
WEEKDAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")

_VALUES = {
    "FREQ": r"DAILY|WEEKLY|MONTHLY",
    "INTERVAL": r"0*[1-9][0-9]{0,8}",
    "COUNT": r"0*[1-9][0-9]{0,8}",
    "UNTIL": r"[0-9]{8}(T([01][0-9]|2[0-3])[0-5][0-9][0-5][0-9]Z?)?",
    "WKST": "|".join(WEEKDAYS),
}
_LISTED_VALUES = {
    "BYMONTH": r"0?[1-9]|1[0-2]",
    "BYMONTHDAY": r"[+-]?(0?[1-9]|[12][0-9]|3[01])",
    "BYDAY": rf"([+-]?[1-5])?({'|'.join(WEEKDAYS)})",
    "BYSETPOS": r"[+-]?([1-9][0-9]?|[12][0-9]{2}|3[0-5][0-9]|36[0-6])",
}
_PARTS = {
    **{name: re.compile(value) for name, value in _VALUES.items()},
    **{name: re.compile(f"({value})(,({value}))*") for name, value in _LISTED_VALUES.items()},
}


class Rule(NamedTuple):
    """A rule as it was read. An empty set stands for any."""

    frequency: str
    interval: int
    times: int | None
    until: datetime | None  # in UTC or, without a zone, on the wall clock
    months: frozenset[int]
    month_days: frozenset[int]  # -1 is the last
    weekdays: frozenset[tuple[int, int]]  # which of the month, 0 for every one; Monday is 0
    positions: frozenset[int]  # -1 is the last
    week_start: int


def read_rule(text: str) -> Rule:
    """Read a rule such as FREQ=WEEKLY;BYDAY=MO,WE;COUNT=10, or refuse it."""
    parts = _parts(text)
    _require_sense(parts)
    return Rule(
        frequency=parts["FREQ"],
        interval=int(parts.get("INTERVAL", 1)),
        times=int(parts["COUNT"]) if "COUNT" in parts else None,
        until=_until(parts["UNTIL"]) if "UNTIL" in parts else None,
        months=_numbers(parts, "BYMONTH"),
        month_days=_numbers(parts, "BYMONTHDAY"),
        weekdays=frozenset(
            (int(day[:-2] or 0), WEEKDAYS.index(day[-2:])) for day in _list(parts, "BYDAY")
        ),
        positions=_numbers(parts, "BYSETPOS"),
        week_start=WEEKDAYS.index(parts.get("WKST", "MO")),
    )


def recurring_windows(
    *, start: datetime, end: datetime, rule: Rule, zone: ZoneInfo, slot: timedelta
) -> list[Window]:
    """A window on the wall clock, again on every day that the rule gives from its own day on.

    As python-dateutil has it, its own day is one of them only if the rule gives it.
    """
    require_known_year(start, "start_time")
    if end <= start:
        raise errors.InvalidInput(
            field="end_time", code="end_before_start", detail="The end comes after the start."
        )
    if end - start > DAY:
        raise errors.InvalidInput(
            field="end_time",
            code="window_too_long",
            detail="A window that recurs is at most 24 hours long.",
        )
    return windows_of(
        (Wall(each, each + (end - start)) for each in _starts(rule, start, zone)),
        zone,
        slot,
        field="rrule",
        start_field="start_time",
        end_field="end_time",
    )


def _parts(text: str) -> dict[str, str]:
    if len(text) > LONGEST_RULE or not text.isascii():
        raise _not_a_rule("A rule has at most 1000 characters, of ASCII.")
    pairs = [part.partition("=") for part in text.upper().removeprefix("RRULE:").split(";")]
    parts = {name: value for name, _, value in pairs}
    if len(parts) < len(pairs):
        raise _not_a_rule("A part stands in a rule once.")
    if parts.keys() & {"BYHOUR", "BYMINUTE", "BYSECOND"}:
        raise _not_a_rule("Times of day come from start_time: no BYHOUR, BYMINUTE or BYSECOND.")
    if not parts.keys() <= _PARTS.keys():
        raise _not_a_rule(f"A rule is one line such as FREQ=DAILY;COUNT=5, of {', '.join(_PARTS)}.")
    for name, value in parts.items():
        if not _PARTS[name].fullmatch(value):
            if name == "FREQ":
                raise _not_a_rule("FREQ is DAILY, WEEKLY or MONTHLY.")
            raise _not_a_rule(f"{name} has a value that is not understood.")
    return parts


def _require_sense(parts: Mapping[str, str]) -> None:
    """Refuse what RFC 5545 forbids, and rules without an end."""
    if "FREQ" not in parts:
        raise _not_a_rule("FREQ is required: DAILY, WEEKLY or MONTHLY.")
    if ("COUNT" in parts) == ("UNTIL" in parts):
        raise _not_a_rule("A rule ends by COUNT or by UNTIL: one of the two, and not both.")
    if parts["FREQ"] != "MONTHLY" and re.search("[0-9]", parts.get("BYDAY", "")):
        raise _not_a_rule("A number in BYDAY, such as -1FR, goes with FREQ=MONTHLY only.")
    if parts["FREQ"] == "WEEKLY" and "BYMONTHDAY" in parts:
        raise _not_a_rule("BYMONTHDAY does not go with FREQ=WEEKLY.")
    if "BYSETPOS" in parts and not parts.keys() & {"BYMONTH", "BYMONTHDAY", "BYDAY"}:
        raise _not_a_rule("BYSETPOS chooses among the days of another BY part.")


def _until(text: str) -> datetime:
    try:
        until = isoparse(text)
    except ValueError:
        raise _not_a_rule("UNTIL is a day that there is not.") from None
    require_known_year(until, "rrule")
    if text.endswith("Z"):
        return until.replace(tzinfo=UTC)
    return until if "T" in text else datetime.combine(until, time.max)


def _list(parts: Mapping[str, str], name: str) -> list[str]:
    return parts[name].split(",") if name in parts else []


def _numbers(parts: Mapping[str, str], name: str) -> frozenset[int]:
    return frozenset(int(number) for number in _list(parts, name))


def _not_a_rule(detail: str) -> errors.InvalidInput:
    return errors.InvalidInput(field="rrule", code="invalid_rule", detail=detail)


def _starts(rule: Rule, start: datetime, zone: ZoneInfo) -> list[datetime]:
    """When each window of the rule starts on the wall clock."""
    first = start.date()
    last = first + policy.LONGEST_REACH
    starts = (datetime.combine(day, start.time()) for day in _days(rule, first, last))
    if rule.until:
        if rule.until.date() > last:
            raise _too_far_ahead()
        return [each for each in starts if not _is_over(rule.until, each, zone)]
    found = list(islice(starts, rule.times))
    if found and len(found) != rule.times:
        raise _too_far_ahead()
    return found


def _too_far_ahead() -> errors.InvalidInput:
    return errors.InvalidInput(
        field="rrule",
        code="too_far_ahead",
        detail="A rule ends at most 5 years after start_time.",
    )


def _is_over(until: datetime, wall: datetime, zone: ZoneInfo) -> bool:
    return (moment(wall, zone, fold=0) if until.tzinfo else wall) > until


def _days(rule: Rule, first: date, last: date) -> Iterator[date]:
    """The days of the rule, in order."""
    rule = _with_days_named(rule, first)
    # BYSETPOS counts from the ends of whole months but, as in python-dateutil, not of the
    # week before its first day.
    begin = first.replace(day=1) if rule.frequency == "MONTHLY" else first
    calendar = (begin + nth * DAY for nth in range((last - begin) // DAY + 31))
    matching = (day for day in calendar if _is_a_day_of(rule, day))
    for number, days in groupby(matching, key=lambda day: _period(rule, first, day)):
        if number % rule.interval == 0:
            yield from (day for day in _chosen(rule, list(days)) if first <= day <= last)


def _with_days_named(rule: Rule, first: date) -> Rule:
    """A rule that names no days means the weekday, or the day of the month, of its first."""
    if rule.frequency == "DAILY" or rule.weekdays or rule.month_days:
        return rule
    if rule.frequency == "WEEKLY":
        return rule._replace(weekdays=frozenset({(0, first.weekday())}))
    return rule._replace(month_days=frozenset({first.day}))


def _is_a_day_of(rule: Rule, day: date) -> bool:
    days_left = monthrange(day.year, day.month)[1] - day.day
    nth, nth_from_the_end = (day.day - 1) // 7 + 1, -(days_left // 7) - 1
    weekdays = {(which, day.weekday()) for which in (0, nth, nth_from_the_end)}
    return (
        (not rule.months or day.month in rule.months)
        and (not rule.month_days or bool(rule.month_days & {day.day, -days_left - 1}))
        and (not rule.weekdays or bool(rule.weekdays & weekdays))
    )


def _period(rule: Rule, first: date, day: date) -> int:
    """In which day, week or month of the rule a day lies; the first lies in 0."""
    if rule.frequency == "MONTHLY":
        return (day.year - first.year) * 12 + day.month - first.month
    days = (day - first).days
    if rule.frequency == "WEEKLY":
        return (days + (first.weekday() - rule.week_start) % 7) // 7
    return days


def _chosen(rule: Rule, days: list[date]) -> list[date]:
    if not rule.positions:
        return days
    return [day for nth, day in enumerate(days) if rule.positions & {nth + 1, nth - len(days)}]
