"""The business's numbers and the arithmetic on them."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from scheduling import policy

pytestmark = pytest.mark.once

MONDAY = datetime(2026, 11, 30, 9, 0, tzinfo=UTC)
MOMENT = timedelta(microseconds=1)


def test_the_numbers_are_the_contracts(settings):
    assert timedelta(minutes=15) == policy.SLOT
    assert policy.MOST_TIMESLOTS == 50_000
    assert timedelta(minutes=30) == settings.HOLD
    assert timedelta(hours=24) == settings.NOTICE
    assert timedelta(0) == settings.NOTICE_GRACE
    assert policy.max_holds_per_client() == 0


@pytest.mark.parametrize(
    ("notice", "grace", "earliest", "earliest_reservable"),
    [
        (86400, 0, datetime(2026, 12, 1, 9, tzinfo=UTC), datetime(2026, 12, 1, 9, tzinfo=UTC)),
        (
            86400,
            300,
            datetime(2026, 12, 1, 9, tzinfo=UTC),
            datetime(2026, 12, 1, 8, 55, tzinfo=UTC),
        ),
        (3600, 3600, datetime(2026, 11, 30, 10, tzinfo=UTC), MONDAY),
        (0, 0, MONDAY, MONDAY),
    ],
)
def test_the_notice_is_counted_from_now(settings, notice, grace, earliest, earliest_reservable):
    settings.NOTICE = timedelta(seconds=notice)
    settings.NOTICE_GRACE = timedelta(seconds=grace)
    assert policy.earliest_start(MONDAY) == earliest
    assert policy.earliest_reservable_start(MONDAY) == earliest_reservable


@pytest.mark.parametrize(
    ("hold", "deadline"),
    [(1800, datetime(2026, 11, 30, 9, 30, tzinfo=UTC)), (1, MONDAY + timedelta(seconds=1))],
)
def test_a_hold_ends_the_hold_period_from_now(settings, hold, deadline):
    settings.HOLD = timedelta(seconds=hold)
    assert policy.hold_deadline(MONDAY) == deadline


@pytest.mark.parametrize(
    ("now", "farthest"),
    [
        (MONDAY, datetime(2031, 11, 30, 9, 0, tzinfo=UTC)),
        (datetime(2028, 2, 29, tzinfo=UTC), datetime(2033, 2, 28, tzinfo=UTC)),
        (datetime(2027, 2, 28, tzinfo=UTC), datetime(2032, 2, 28, tzinfo=UTC)),
    ],
)
def test_five_years_are_calendar_years(now, farthest):
    assert policy.farthest_end(now) == farthest


@pytest.mark.parametrize(
    ("moment", "is_on_it"),
    [
        (MONDAY, True),
        (MONDAY + timedelta(minutes=15), True),
        (MONDAY + timedelta(minutes=30), True),
        (MONDAY + timedelta(minutes=45), True),
        (MONDAY + timedelta(minutes=14), False),
        (MONDAY + timedelta(seconds=1), False),
        (MONDAY + MOMENT, False),
        (MONDAY - MOMENT, False),
        (datetime(2026, 11, 30, 9, tzinfo=timezone(timedelta(hours=5, minutes=45))), True),
        (datetime(2026, 11, 30, 9, tzinfo=timezone(timedelta(minutes=20))), False),
        (datetime(1969, 12, 31, 23, 45, tzinfo=UTC), True),
        (datetime(1969, 12, 31, 23, 45, 0, 1, tzinfo=UTC), False),
        (datetime(1, 1, 1, tzinfo=UTC), True),
        (datetime(1, 1, 1, 0, 0, 0, 1, tzinfo=UTC), False),
        (datetime.max.replace(tzinfo=UTC), False),
    ],
)
def test_quarter_hours_are_those_of_utc(moment, is_on_it):
    assert policy.is_on_the_quarter_hour(moment) is is_on_it


@pytest.mark.parametrize(
    ("length", "count"),
    [
        (timedelta(minutes=90), 6),
        (timedelta(minutes=15), 1),
        (timedelta(days=1), 96),
        (timedelta(minutes=15 * 50_000), 50_000),
        (timedelta(minutes=15 * 50_001), 50_001),
    ],
)
def test_a_window_is_counted_in_timeslots(length, count):
    assert policy.count_of_timeslots(MONDAY, MONDAY + length) == count
