"""Time zones, and when the clock on a wall shows what."""

from bisect import bisect_left
from datetime import UTC, datetime, timedelta, timezone
from functools import cache
from importlib.resources import files
from zoneinfo import ZoneInfo

from scheduling import errors

SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)
DAYS_IN_A_YEAR = 366


def zone_named(name: str) -> ZoneInfo:
    """The zone of this IANA name, from the tzdata package whatever the machine has."""
    # The list first: what is not in it never becomes a part of a path.
    if name not in zone_names():
        raise errors.InvalidInput(
            field="time_zone",
            code="unknown_time_zone",
            detail="The name of an IANA time zone is required, such as America/New_York.",
        )
    return _zone(name)


def moment(wall: datetime, zone: ZoneInfo, fold: int) -> datetime:
    """When the clock shows this: of two times the first (fold 0) or the second (fold 1).

    A time that the clock leaves out becomes the first after it that there is.
    """
    moment = _read(wall, zone, fold)
    if on_the_wall(moment, zone) == wall:
        return moment
    # PEP 495: of a time left out, the two readings lie on either side of the change.
    before, after = _read(wall, zone, fold=1), _read(wall, zone, fold=0)
    seconds = range((after - before) // SECOND)
    change = bisect_left(
        seconds, wall, key=lambda second: on_the_wall(before + second * SECOND, zone)
    )
    return before + change * SECOND


def on_the_wall(moment: datetime, zone: ZoneInfo) -> datetime:
    """What the clock shows at a moment."""
    return moment.astimezone(zone).replace(tzinfo=None, fold=0)


def with_offset(moment: datetime, zone: ZoneInfo) -> datetime:
    """The same moment at the zone's offset then, in whole minutes: ISO 8601 has no seconds there,
    which clocks once had (Monrovia until 1972: 44 minutes and 30 seconds behind)."""
    try:
        offset = moment.astimezone(zone).utcoffset() or timedelta(0)
        return moment.astimezone(timezone(offset - offset % MINUTE))
    except OverflowError:  # in the first hours of the year 1, which that clock never showed
        return moment


def changes_around(moment: datetime, zone: ZoneInfo) -> tuple[datetime | None, datetime | None]:
    """The last change of the clock up to a moment and the first after it, if within a year."""
    moment = moment.replace(microsecond=0)
    before = (_change(moment - nth * DAY, zone) for nth in range(1, DAYS_IN_A_YEAR))
    after = (_change(moment + nth * DAY, zone) for nth in range(DAYS_IN_A_YEAR))
    return next(filter(None, before), None), next(filter(None, after), None)


@cache
def zone_names() -> frozenset[str]:
    listed = files("tzdata").joinpath("zones").read_text(encoding="utf-8")
    return frozenset(listed.split()) - {"Factory"}  # of a machine nobody has set up


@cache
def _zone(name: str) -> ZoneInfo:
    # ZoneInfo(name) would ask the machine's own files first.
    with files("tzdata").joinpath("zoneinfo", *name.split("/")).open("rb") as file:
        return ZoneInfo.from_file(file, key=name)


def _read(wall: datetime, zone: ZoneInfo, fold: int) -> datetime:
    return wall.replace(tzinfo=zone, fold=fold).astimezone(UTC)


def _change(start: datetime, zone: ZoneInfo) -> datetime | None:
    """When the clock changes in the day after a moment."""
    offset = start.astimezone(zone).utcoffset()
    if (start + DAY).astimezone(zone).utcoffset() == offset:
        return None
    seconds = range(1, DAY // SECOND)
    change = bisect_left(
        seconds,
        True,
        key=lambda second: (start + second * SECOND).astimezone(zone).utcoffset() != offset,
    )
    return start + (change + 1) * SECOND


UTC_ZONE = zone_named("UTC")
