"""Windows in real time, and what must hold of those that one request publishes."""

import math
from collections.abc import Collection, Iterable, Iterator
from datetime import datetime, timedelta
from itertools import pairwise
from typing import NamedTuple
from zoneinfo import ZoneInfo

from scheduling import errors, policy

from .zones import MINUTE, moment

SLOT_MINUTES = range(5, 481)
# Without a limit the arithmetic would run off the ends of Python's calendar.
YEARS = range(1900, 3000)
DAY = timedelta(days=1)


class Window(NamedTuple):
    """A stretch of real time, and how long each timeslot cut from it is."""

    start_time: datetime
    end_time: datetime
    slot: timedelta


class Wall(NamedTuple):
    """From when to when on the clock on the wall, without a zone."""

    start: datetime
    end: datetime


def windows_of(
    walls: Iterable[Wall],
    zone: ZoneInfo,
    slot: timedelta,
    *,
    field: str,
    start_field: str,
    end_field: str,
) -> list[Window]:
    """The windows that a zone's clock shows so, in real time; the walls come in order."""
    apart = _one_after_another(walls, field)
    windows = _on_quarter_hours(_in_real_time(apart, zone, slot), start_field, end_field)
    few = list(_few(windows, field))
    if not few:
        raise errors.InvalidInput(
            field=field, code="no_windows", detail="There is no window on these dates."
        )
    _require_whole_timeslots(few)
    return few


def require_publishable(windows: Collection[Window], *, field: str) -> None:
    """Refuse windows of too many timeslots, of a part of one, and such as overlap."""
    for _ in _few(windows, field):
        pass
    _require_whole_timeslots(windows)
    overlap = first_overlap(windows)
    if overlap:
        earlier, later = overlap
        raise errors.InvalidInput(
            field=field,
            code="windows_overlap",
            detail=(
                f"The window of {_utc(earlier.start_time)} has not ended when the one of "
                f"{_utc(later.start_time)} starts."
            ),
        )


def first_overlap(windows: Iterable[Window]) -> tuple[Window, Window] | None:
    """The first window, by start, that has not ended when the next starts; with that next."""
    for earlier, later in pairwise(sorted(windows)):
        if later.start_time < earlier.end_time:
            return earlier, later
    return None


def lengths_that_fit(windows: Iterable[Window]) -> list[int]:
    """The slot lengths, in minutes, of which each of these windows holds a whole number."""
    shared = math.gcd(*(_minutes(window) for window in windows))
    return [minutes for minutes in SLOT_MINUTES if shared % minutes == 0]


def require_known_year(day: datetime, field: str) -> None:
    if day.year not in YEARS:
        raise errors.InvalidInput(
            field=field, code="year_out_of_range", detail="Dates are of the years 1900 to 2999."
        )


def _one_after_another(walls: Iterable[Wall], field: str) -> Iterator[Wall]:
    earlier: Wall | None = None
    for wall in walls:
        if earlier and wall.start < earlier.end:
            raise errors.InvalidInput(
                field=field,
                code="windows_overlap",
                detail=f"When {wall.start:%Y-%m-%d %H:%M} comes, another window has not ended.",
            )
        earlier = wall
        yield wall


def _in_real_time(walls: Iterable[Wall], zone: ZoneInfo, slot: timedelta) -> Iterator[Window]:
    held: Window | None = None
    for wall in walls:
        start_time, end_time = moment(wall.start, zone, fold=0), moment(wall.end, zone, fold=1)
        if held:
            # Where the clock is put back, the next may start before this one would have ended.
            yield held._replace(end_time=min(held.end_time, start_time))
        # All of it may lie in the hour that the clock leaves out.
        held = Window(start_time, end_time, slot) if start_time < end_time else None
    if held:
        yield held


def _on_quarter_hours(
    windows: Iterable[Window], start_field: str, end_field: str
) -> Iterator[Window]:
    for window in windows:
        for field, edge in ((start_field, window.start_time), (end_field, window.end_time)):
            if not policy.is_on_the_quarter_hour(edge):
                raise errors.InvalidInput(
                    field=field,
                    code="quarter_hour",
                    detail=(
                        "Timeslots start and end on quarter hours: :00, :15, :30 or :45, in UTC; "
                        f"here is {edge:%Y-%m-%dT%H:%M:%SZ}."
                    ),
                )
        yield window


def _few(windows: Iterable[Window], field: str) -> Iterator[Window]:
    """Each as it comes: years of quarter hours are refused before they are all built."""
    timeslots = 0
    for window in windows:
        timeslots += (window.end_time - window.start_time) // window.slot
        if timeslots > policy.MOST_TIMESLOTS:
            raise errors.InvalidInput(
                field=field,
                code="too_many_timeslots",
                detail="One request makes at most 50,000 timeslots.",
            )
        yield window


def _require_whole_timeslots(windows: Collection[Window]) -> None:
    for window in windows:
        if (window.end_time - window.start_time) % window.slot:
            alike = [other for other in windows if other.slot == window.slot]
            fitting = ", ".join(str(minutes) for minutes in lengths_that_fit(alike))
            raise errors.InvalidInput(
                field="slot_minutes",
                code="part_of_a_timeslot",
                detail=(
                    f"The window of {_utc(window.start_time)} has {_minutes(window)} minutes, "
                    f"no whole number of timeslots of {window.slot // MINUTE} minutes. "
                    f"These lengths fit: {fitting}."
                ),
            )


def _minutes(window: Window) -> int:
    return (window.end_time - window.start_time) // MINUTE


def _utc(edge: datetime) -> str:
    return f"{edge:%Y-%m-%dT%H:%MZ}"
