"""Weeks and rules on a wall clock, and the windows that they are in real time."""

import time
import zoneinfo
from bisect import bisect_left
from datetime import UTC, date, datetime, timedelta
from importlib.resources import files
from itertools import islice, pairwise

import pytest
from dateutil.rrule import rrulestr
from hypothesis import assume, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from scheduling import calendars, errors, policy
from scheduling.calendars import Window, zones

pytestmark = pytest.mark.once

MINUTE, HOUR, DAY, WEEK = (timedelta(**{unit: 1}) for unit in ("minutes", "hours", "days", "weeks"))
QUARTER = 15 * MINUTE
MONDAY = date(2027, 3, 1)
NINE = datetime(2027, 3, 1, 9)
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")

# The same examples every time: a failure in CI is a failure on every machine.
property_test = hypothesis_settings(deadline=None, derandomize=True, max_examples=150)


def weekly(
    week,
    from_date=MONDAY,
    until_date=MONDAY,
    except_dates=(),
    zone="UTC",
    slot_minutes=15,
):
    return calendars.weekly_windows(
        week=calendars.read_week(week),
        from_date=from_date,
        until_date=until_date,
        except_dates=except_dates,
        zone=calendars.zone_named(zone),
        slot=slot_minutes * MINUTE,
    )


def recurring(text, start=NINE, length=HOUR, zone="UTC", slot_minutes=15):
    return calendars.recurring_windows(
        start=start,
        end=start + length,
        rule=calendars.read_rule(text),
        zone=calendars.zone_named(zone),
        slot=slot_minutes * MINUTE,
    )


def every_day(*hours):
    return {weekday: list(hours) for weekday in WEEKDAYS}


def spans(windows):
    return [f"{start:%Y-%m-%dT%H:%M}/{end:%Y-%m-%dT%H:%M}" for start, end, _ in windows]


def days(windows):
    return [f"{window.start_time:%m-%d}" for window in windows]


def refusal_of(function, *args, **kwargs):
    with pytest.raises(errors.InvalidInput) as refused:
        function(*args, **kwargs)
    (error,) = refused.value.members["errors"]
    return error


def field_and_code(error):
    assert list(error) == ["field", "code", "detail"]
    return error["field"], error["code"]


def is_taken_or_refused(function, *args):
    """Whether it is taken; anything but the one refusal comes through as what it is."""
    try:
        function(*args)
    except errors.InvalidInput as refusal:
        errors.response(refusal)  # can be rendered
        return False
    return True


# Zones


@pytest.mark.parametrize(
    "name",
    [
        "",
        "../../etc/passwd",
        "/usr/share/zoneinfo/UTC",
        "Europe/../Europe/Berlin",
        "Europe//Berlin",
        "Europe/Berlin ",
        "Europe",
        "europe/berlin",
        "EUROPE/BERLIN",
        "Europe/Berlin\0",
        "\0",
        "\ud800",
        "a" * 10_000,
        "../" * 3_000,
        "localtime",
        "posixrules",
        "posix/Europe/Berlin",
        "right/Europe/Berlin",
        "Factory",
        "zones",
        "tzdata.zi",
        "__init__.py",
        "UTC+1",
        "<+03>-3",
    ],
)
def test_only_names_of_iana_are_zones(name):
    error = refusal_of(calendars.zone_named, name)
    assert field_and_code(error) == ("time_zone", "unknown_time_zone")


@given(st.text())
@property_test
def test_no_name_of_a_zone_does_harm(name):
    is_taken_or_refused(calendars.zone_named, name)


def every_zone():
    listed = files("tzdata").joinpath("zones").read_text().split()
    return [calendars.zone_named(name) for name in listed if name != "Factory"]


def test_every_name_of_iana_is_a_zone():
    found = every_zone()
    assert len(found) > 400
    assert {zone.key for zone in found} >= {"UTC", "Europe/Berlin", "US/Eastern", "Etc/GMT+12"}


@pytest.fixture
def a_machine_that_knows_better(tmp_path):
    """Its New York is our Tokyo."""
    (tmp_path / "America").mkdir()
    tokyo = files("tzdata").joinpath("zoneinfo", "Asia", "Tokyo").read_bytes()
    (tmp_path / "America" / "New_York").write_bytes(tokyo)
    zoneinfo.reset_tzpath([tmp_path])
    zones._zone.cache_clear()
    yield
    zoneinfo.reset_tzpath()


def test_zones_do_not_come_from_the_machine(a_machine_that_knows_better):
    moment = datetime(2027, 1, 1, tzinfo=UTC)
    machines = zoneinfo.ZoneInfo.no_cache("America/New_York")
    assert moment.astimezone(machines).utcoffset() == 9 * HOUR
    ours = calendars.zone_named("America/New_York")
    assert moment.astimezone(ours).utcoffset() == -5 * HOUR


def offset(zone, moment):
    return moment.astimezone(zone).utcoffset()


def changes():
    """Every change of a clock in the five years that can be published, to the minute."""
    begin = datetime(2026, 11, 30, tzinfo=UTC)
    for zone in every_zone():
        weeks = [offset(zone, begin + nth * WEEK) for nth in range(5 * 53)]
        for nth, (before, after) in enumerate(pairwise(weeks)):
            if before != after:
                yield zone, change_in(zone, begin + nth * WEEK), before, after


def change_in(zone, begin):
    """When in the week from then on the clock is changed."""
    before = offset(zone, begin)
    minutes = range(WEEK // MINUTE)
    return begin + MINUTE * bisect_left(
        minutes, True, key=lambda minute: offset(zone, begin + minute * MINUTE) != before
    )


CHANGES = list(changes())


def test_every_clock_stands_on_quarter_hours_from_now_on():
    """So the refusal of windows off the quarter hours is for the past, and for 09:10."""
    assert len({zone.key for zone, *_ in CHANGES}) > 100
    for zone in every_zone():
        assert offset(zone, datetime(2026, 11, 30, tzinfo=UTC)) % QUARTER == timedelta(0)
    for zone, change, before, after in CHANGES:
        assert policy.is_on_the_quarter_hour(change), zone
        assert before % QUARTER == after % QUARTER == timedelta(0), zone


# When the clock shows what


@pytest.mark.parametrize(
    ("zone", "wall", "as_a_start", "as_an_end"),
    [
        # Put forward: 02:00 to 03:00 is left out.
        ("America/New_York", "2027-03-14T01:45", "14T06:45", "14T06:45"),
        ("America/New_York", "2027-03-14T02:00", "14T07:00", "14T07:00"),
        ("America/New_York", "2027-03-14T02:59", "14T07:00", "14T07:00"),
        ("America/New_York", "2027-03-14T03:00", "14T07:00", "14T07:00"),
        ("America/New_York", "2027-03-14T03:15", "14T07:15", "14T07:15"),
        # Put back: 01:00 to 02:00 comes twice.
        ("America/New_York", "2027-11-07T00:59", "07T04:59", "07T04:59"),
        ("America/New_York", "2027-11-07T01:00", "07T05:00", "07T06:00"),
        ("America/New_York", "2027-11-07T01:59", "07T05:59", "07T06:59"),
        ("America/New_York", "2027-11-07T02:00", "07T07:00", "07T07:00"),
        ("Europe/Berlin", "2027-03-28T02:30", "28T01:00", "28T01:00"),
        ("Europe/Berlin", "2027-10-31T02:30", "31T00:30", "31T01:30"),
        ("Australia/Lord_Howe", "2027-10-03T02:15", "02T15:30", "02T15:30"),
        ("Australia/Lord_Howe", "2027-04-04T01:45", "03T14:45", "03T15:15"),
        ("Australia/Lord_Howe", "2027-04-04T01:15", "03T14:15", "03T14:15"),
        ("Africa/Casablanca", "2025-02-23T02:30", "23T01:30", "23T02:30"),
        ("Africa/Casablanca", "2025-04-06T02:30", "06T02:00", "06T02:00"),
        ("America/Nuuk", "2027-03-27T23:30", "28T01:00", "28T01:00"),
        ("America/Nuuk", "2027-03-28T00:00", "28T01:00", "28T01:00"),
        ("America/Nuuk", "2027-10-30T23:30", "31T00:30", "31T01:30"),
        ("Asia/Kathmandu", "2027-03-28T09:00", "28T03:15", "28T03:15"),
        ("Antarctica/Troll", "2027-03-28T01:00", "28T01:00", "28T01:00"),
        ("Antarctica/Troll", "2027-03-28T02:45", "28T01:00", "28T01:00"),
        ("Antarctica/Troll", "2027-10-31T01:30", "30T23:30", "31T01:30"),
        # The day that Samoa never had.
        ("Pacific/Apia", "2011-12-29T23:59", "30T09:59", "30T09:59"),
        ("Pacific/Apia", "2011-12-30T00:00", "30T10:00", "30T10:00"),
        ("Pacific/Apia", "2011-12-30T23:59", "30T10:00", "30T10:00"),
        ("Pacific/Apia", "2011-12-31T00:00", "30T10:00", "30T10:00"),
    ],
)
def test_a_time_comes_once_or_twice_or_never(zone, wall, as_a_start, as_an_end):
    zone, wall = calendars.zone_named(zone), datetime.fromisoformat(wall)
    start, end = (calendars.moment(wall, zone, fold) for fold in (0, 1))
    assert (f"{start:%dT%H:%M}", f"{end:%dT%H:%M}") == (as_a_start, as_an_end)


@given(st.sampled_from(CHANGES), st.integers(-180, 180))
@property_test
def test_around_every_change_a_start_is_the_first_and_an_end_the_second(change, minutes):
    """Against a clock that is watched minute by minute, from six hours before to six after."""
    zone, moment, before, _ = change
    wall = (moment + before).replace(tzinfo=None) + minutes * MINUTE
    watched = [moment + nth * MINUTE for nth in range(-360, 361)]
    shown = [calendars.on_the_wall(each, zone) for each in watched]
    as_shown = [each for each, shows in zip(watched, shown, strict=True) if shows == wall]
    left_out = [each for each, shows in zip(watched, shown, strict=True) if shows > wall][:1]
    start, end = (calendars.moment(wall, zone, fold) for fold in (0, 1))
    assert (start, end) == ((as_shown or left_out)[0], (as_shown or left_out)[-1])
    assert calendars.moment(calendars.on_the_wall(start, zone), zone, fold=0) == start
    assert calendars.moment(calendars.on_the_wall(end, zone), zone, fold=1) == end


@given(
    st.sampled_from(CHANGES),
    st.lists(st.integers(0, 96), unique=True, min_size=2, max_size=12).map(sorted),
    st.booleans(),
)
@property_test
def test_around_every_change_windows_take_the_time_that_passes(change, quarters, is_touching):
    """None overlaps, none is out of order, and together they last as long as the clock ran."""
    zone, moment, before, _ = change
    pairs = list(pairwise(quarters))[:: 1 if is_touching else 2]
    hours = [f"{clock(start)}-{clock(end)}" for start, end in pairs if end - start < 96]
    assume(hours)
    changed = (moment + before).date()
    windows = weekly(every_day(*hours), changed - DAY, changed + DAY, (), zone.key)
    assert windows == sorted(windows)
    assert calendars.first_overlap(windows) is None
    for start, end, _ in windows:
        assert start < end
        elapsed = end - start
        shown = calendars.on_the_wall(end, zone) - calendars.on_the_wall(start, zone)
        assert elapsed == shown - (offset(zone, end) - offset(zone, start))
    worked = {
        each
        for start, end, _ in windows
        for each in [start + nth * QUARTER for nth in range((end - start) // QUARTER)]
    }
    for each in quarter_hours_shown(zone, changed, hours):
        assert each in worked, "a time at which the clock shows that they work"


def test_in_every_zone_each_change_has_its_first_and_its_second():
    """The properties below take samples; here is every change, by the quarter hours it lies on."""
    for zone, change, before, _ in CHANGES:
        wall = (change + before).replace(tzinfo=None)
        watched = [change + nth * QUARTER for nth in range(-24, 25)]
        shown = [calendars.on_the_wall(each, zone) for each in watched]
        for shows in (wall + nth * QUARTER for nth in range(-12, 13)):
            times = [each for each, seen in zip(watched, shown, strict=True) if seen == shows]
            later = [each for each, seen in zip(watched, shown, strict=True) if seen > shows]
            start, end = (calendars.moment(shows, zone, fold) for fold in (0, 1))
            found = times or later[:1]
            assert (start, end) == (found[0], found[-1]), (zone, shows)


def test_in_every_zone_the_days_of_a_change_are_as_much_shorter_or_longer():
    for zone, change, before, after in CHANGES:
        changed = (change + before).date()
        windows = weekly(every_day("00:00-24:00"), changed - DAY, changed + DAY, (), zone.key)
        assert all(one.end_time == other.start_time for one, other in pairwise(windows)), zone
        lasted = windows[-1].end_time - windows[0].start_time
        assert lasted == 3 * DAY - (after - before), (zone, changed)


def clock(quarter):
    return f"{quarter // 4:02}:{quarter % 4 * 15:02}"


def quarter_hours_shown(zone, changed, hours):
    """Each quarter hour of that day and those beside it that the clock shows as worked."""
    midnight = datetime.combine(changed, datetime.min.time(), tzinfo=UTC)
    for each in (midnight + nth * QUARTER for nth in range(-4 * 96, 4 * 96)):
        shown = calendars.on_the_wall(each, zone)
        within = any(
            f"{shown:%H:%M}" >= opens and (f"{shown:%H:%M}" < closes)
            for opens, closes in (text.split("-") for text in hours)
        )
        if within and abs(shown.date() - changed) <= DAY:
            yield each


# Weeks


@pytest.mark.parametrize(
    ("text", "opens", "closes"),
    [
        ("09:00-12:00", 9, 12),
        ("00:00-24:00", 0, 24),
        ("09:00-24:00", 9, 24),
        ("22:00-06:00", 22, 30),
        ("22:00-00:00", 22, 24),
        ("1pm-5pm", 13, 17),
        ("1pm-5:30pm", 13, 17.5),
        ("9am-12pm", 9, 12),
        ("12am-12pm", 0, 12),
        ("12pm-12am", 12, 24),
        ("12:30am-1:45pm", 0.5, 13.75),
        ("10pm-6am", 22, 30),
        ("09:00-5pm", 9, 17),
    ],
)
def test_hours_are_read(text, opens, closes):
    assert calendars.read_hours(text) == (opens * HOUR, closes * HOUR)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "invalid"),
        ("-", "invalid"),
        ("09:00", "invalid"),
        ("09:00-", "invalid"),
        ("9:00-12:00", "invalid"),
        ("9-12", "invalid"),
        ("09:00\u201312:00", "invalid"),
        ("09:00 - 12:00", "invalid"),
        ("09:00-12:00\n", "invalid"),
        ("09:00-12:00-13:00", "invalid"),
        ("09:00-12:60", "invalid"),
        ("09:00-24:15", "invalid"),
        ("24:00-06:00", "invalid"),
        ("09:00:00-12:00:00", "invalid"),
        ("0am-5am", "invalid"),
        ("13pm-5pm", "invalid"),
        ("01pm-5pm", "invalid"),
        ("1PM-5PM", "invalid"),
        ("1-5pm", "invalid"),
        ("\u0660\u0669:00-12:00", "invalid"),
        ("09:00-09:00", "end_before_start"),
        ("12am-00:00", "end_before_start"),
    ],
)
def test_hours_are_refused(text, code):
    error = refusal_of(calendars.read_week, {"friday": [text]})
    assert field_and_code(error) == ("weekly.friday", code)


@given(st.text() | st.text("0123456789:-apm "))
@property_test
def test_no_text_but_hours_is_read_as_hours(text):
    is_taken_or_refused(calendars.read_hours, text)


@pytest.mark.parametrize(
    ("week", "field", "code"),
    [
        (None, "weekly", "invalid"),
        ([], "weekly", "invalid"),
        ({}, "weekly", "invalid"),
        ("monday", "weekly", "invalid"),
        ({"Monday": ["09:00-12:00"]}, "weekly", "unknown_weekday"),
        ({"montag": []}, "weekly", "unknown_weekday"),
        ({"monday": "09:00-12:00"}, "weekly.monday", "invalid"),
        ({"monday": None}, "weekly.monday", "invalid"),
        ({"monday": [9]}, "weekly.monday", "invalid"),
        ({"monday": [["09:00-12:00"]]}, "weekly.monday", "invalid"),
        ({"monday": ["09:00-10:00"] * 97}, "weekly.monday", "too_many_windows"),
        ({"sunday": ["09:00-10:00", "09:00-10:00"]}, "weekly.sunday", "windows_overlap"),
        ({"sunday": ["1pm-5pm", "09:00-13:15"]}, "weekly.sunday", "windows_overlap"),
        ({"sunday": ["22:00-06:00", "23:45-24:00"]}, "weekly.sunday", "windows_overlap"),
    ],
)
def test_a_week_is_refused(week, field, code):
    assert field_and_code(refusal_of(calendars.read_week, week)) == (field, code)


json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(WEEKDAYS) | st.text(), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(json)
@property_test
def test_nothing_but_a_week_is_read_as_a_week(week):
    is_taken_or_refused(calendars.read_week, week)


def test_a_week_recurs_from_its_first_date_to_its_last():
    windows = weekly(
        {"monday": ["1pm-2pm", "09:00-12:00"], "thursday": ["22:00-06:00"], "friday": []},
        from_date=date(2027, 3, 4),
        until_date=date(2027, 3, 15),
        zone="Asia/Kathmandu",
        slot_minutes=20,
    )
    assert spans(windows) == [
        "2027-03-04T16:15/2027-03-05T00:15",
        "2027-03-08T03:15/2027-03-08T06:15",
        "2027-03-08T07:15/2027-03-08T08:15",
        "2027-03-11T16:15/2027-03-12T00:15",
        "2027-03-15T03:15/2027-03-15T06:15",
        "2027-03-15T07:15/2027-03-15T08:15",
    ]
    assert {window.slot for window in windows} == {20 * MINUTE}


def test_a_window_has_the_date_of_its_start_on_the_wall():
    # 20:00 in New York is the next day already in UTC.
    windows = weekly(
        every_day("20:00-04:00"),
        from_date=date(2027, 3, 1),
        until_date=date(2027, 3, 4),
        except_dates=[date(2027, 3, 2), date(2027, 3, 5), date(1999, 1, 1)],
        zone="America/New_York",
    )
    assert spans(windows) == [
        "2027-03-02T01:00/2027-03-02T09:00",
        "2027-03-04T01:00/2027-03-04T09:00",
        "2027-03-05T01:00/2027-03-05T09:00",
    ]


@pytest.mark.parametrize(
    ("zone", "day", "hours", "lengths"),
    [
        ("America/New_York", date(2027, 3, 14), ["00:00-24:00"], [23]),
        ("America/New_York", date(2027, 3, 13), ["22:00-06:00"], [7]),
        ("America/New_York", date(2027, 3, 14), ["01:00-02:30"], [1]),
        ("America/New_York", date(2027, 3, 14), ["02:15-04:00"], [1]),
        ("America/New_York", date(2027, 3, 14), ["02:00-03:00", "04:00-05:00"], [1]),
        ("America/New_York", date(2027, 11, 7), ["00:00-24:00"], [25]),
        ("America/New_York", date(2027, 11, 6), ["22:00-06:00"], [9]),
        ("America/New_York", date(2027, 11, 7), ["01:00-02:00"], [2]),
        ("America/New_York", date(2027, 11, 7), ["00:00-01:30"], [2.5]),
        # Two that touch in the hour that comes twice: the second begins when it first can.
        ("America/New_York", date(2027, 11, 7), ["00:00-01:00", "01:00-03:00"], [1, 3]),
        ("America/New_York", date(2027, 11, 7), ["00:00-01:30", "01:45-03:00"], [1.75, 2.25]),
        ("Australia/Lord_Howe", date(2027, 10, 3), ["00:00-24:00"], [23.5]),
        ("Australia/Lord_Howe", date(2027, 4, 4), ["00:00-24:00"], [24.5]),
        ("Antarctica/Troll", date(2027, 3, 28), ["00:00-24:00"], [22]),
        ("Antarctica/Troll", date(2027, 10, 31), ["00:00-24:00"], [26]),
        ("Pacific/Apia", date(2011, 12, 29), ["22:00-06:00"], [2]),
    ],
)
def test_a_window_lasts_as_long_as_the_clock_takes(zone, day, hours, lengths):
    windows = weekly(every_day(*hours), day, day, zone=zone)
    assert [(end - start) / HOUR for start, end, _ in windows] == lengths


def test_midnight_that_comes_twice_belongs_to_the_new_day():
    windows = weekly(
        every_day("00:00-24:00"), date(2025, 11, 1), date(2025, 11, 3), zone="America/Havana"
    )
    assert [(end - start) / HOUR for start, end, _ in windows] == [24, 25, 24]
    assert all(earlier.end_time == later.start_time for earlier, later in pairwise(windows))


def test_a_window_in_the_hour_that_is_left_out_is_none():
    week = every_day("02:00-03:00")
    windows = weekly(week, date(2027, 3, 13), date(2027, 3, 15), zone="America/New_York")
    assert days(windows) == ["03-13", "03-15"]


@pytest.mark.parametrize(
    ("changed", "field", "code"),
    [
        ({"until_date": date(2027, 2, 28)}, "until_date", "end_before_start"),
        ({"until_date": date(2032, 3, 2)}, "until_date", "too_far_ahead"),
        ({"from_date": date(1899, 12, 31)}, "from_date", "year_out_of_range"),
        ({"from_date": date.min}, "from_date", "year_out_of_range"),
        ({"until_date": date.max}, "until_date", "year_out_of_range"),
        ({"from_date": date.max, "until_date": date.max}, "from_date", "year_out_of_range"),
        ({"except_dates": [MONDAY]}, "weekly", "no_windows"),
        ({"week": {"tuesday": ["09:00-12:00"]}}, "weekly", "no_windows"),
        ({"week": {"monday": []}}, "weekly", "no_windows"),
        ({"week": {"monday": ["09:10-12:00"]}}, "weekly", "quarter_hour"),
        ({"week": {"monday": ["09:00-12:05"]}}, "weekly", "quarter_hour"),
        ({"slot_minutes": 50}, "slot_minutes", "part_of_a_timeslot"),
        (
            {
                "week": {"monday": ["22:00-06:00"], "tuesday": ["05:45-07:00"]},
                "until_date": date(2027, 3, 2),
            },
            "weekly",
            "windows_overlap",
        ),
    ],
)
def test_a_weeks_windows_are_refused(changed, field, code):
    usual = {"week": {"monday": ["09:00-12:00"]}}
    assert weekly(**usual)
    assert field_and_code(refusal_of(weekly, **{**usual, **changed})) == (field, code)


@pytest.mark.parametrize(
    ("changed", "count"),
    [
        ({"from_date": date(2027, 2, 28), "until_date": MONDAY}, 1),
        ({"until_date": date(2032, 3, 1)}, 262),
        (
            {
                "week": {"monday": ["22:00-06:00"], "tuesday": ["06:00-07:00"]},
                "until_date": date(2027, 3, 2),
            },
            2,
        ),
    ],
)
def test_a_weeks_windows_are_just_taken(changed, count):
    assert len(weekly(**{"week": {"monday": ["09:00-12:00"]}, **changed})) == count


def test_a_clock_off_the_quarter_hour_is_refused():
    # Monrovia's was 44 minutes and a half behind until 1972.
    week, now, then = every_day("09:00-12:00"), date(1973, 6, 1), date(1971, 6, 1)
    assert weekly(week, now, now, zone="Africa/Monrovia")
    error = refusal_of(weekly, week, then, then, zone="Africa/Monrovia")
    assert field_and_code(error) == ("weekly", "quarter_hour")
    assert "1971-06-01T09:44:30Z" in error["detail"]


def test_a_change_off_the_quarter_hour_moves_a_start_off_it():
    # Newfoundland put its clocks forward at a minute past midnight.
    day = date(2011, 3, 13)
    assert weekly(every_day("00:00-06:00"), day, day, zone="America/St_Johns")
    error = refusal_of(weekly, every_day("00:15-06:00"), day, day, zone="America/St_Johns")
    assert field_and_code(error) == ("weekly", "quarter_hour")
    assert "2011-03-13T03:31:00Z" in error["detail"]


# Rules


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("FREQ=DAILY;COUNT=3", ["03-01", "03-02", "03-03"]),
        ("RRULE:FREQ=DAILY;COUNT=1", ["03-01"]),
        ("freq=daily;count=1", ["03-01"]),
        ("COUNT=1;FREQ=DAILY", ["03-01"]),
        ("FREQ=DAILY;INTERVAL=10;COUNT=3", ["03-01", "03-11", "03-21"]),
        ("FREQ=DAILY;BYDAY=SA,SU;COUNT=3", ["03-06", "03-07", "03-13"]),
        ("FREQ=DAILY;BYSETPOS=-1;BYDAY=FR;COUNT=1", ["03-05"]),
        ("FREQ=WEEKLY;COUNT=2", ["03-01", "03-08"]),
        ("FREQ=WEEKLY;BYDAY=TU,TH;COUNT=3", ["03-02", "03-04", "03-09"]),
        ("FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,SU;COUNT=3", ["03-01", "03-07", "03-15"]),
        ("FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,SU;WKST=SU;COUNT=3", ["03-01", "03-14", "03-15"]),
        ("FREQ=MONTHLY;COUNT=2", ["03-01", "04-01"]),
        ("FREQ=MONTHLY;BYMONTHDAY=31;COUNT=3", ["03-31", "05-31", "07-31"]),
        ("FREQ=MONTHLY;BYMONTHDAY=-1,+15;COUNT=3", ["03-15", "03-31", "04-15"]),
        ("FREQ=MONTHLY;BYDAY=-1FR;COUNT=2", ["03-26", "04-30"]),
        ("FREQ=MONTHLY;BYDAY=+1MO,3WE;COUNT=3", ["03-01", "03-17", "04-05"]),
        ("FREQ=MONTHLY;BYDAY=MO,1TU;COUNT=4", ["03-01", "03-02", "03-08", "03-15"]),
        ("FREQ=MONTHLY;BYDAY=5MO;COUNT=2", ["03-29", "05-31"]),
        ("FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1;COUNT=2", ["03-31", "04-30"]),
        ("FREQ=MONTHLY;BYMONTHDAY=13;BYDAY=FR;COUNT=1", ["08-13"]),
        ("FREQ=MONTHLY;BYMONTH=6,12;BYMONTHDAY=1;UNTIL=20271231", ["06-01", "12-01"]),
        ("FREQ=MONTHLY;BYMONTH=2;BYMONTHDAY=29;COUNT=1", ["02-29"]),
        ("FREQ=DAILY;UNTIL=20270302", ["03-01", "03-02"]),
        ("FREQ=DAILY;UNTIL=20270302T085959", ["03-01"]),
        ("FREQ=DAILY;UNTIL=20270302T090000", ["03-01", "03-02"]),
        ("FREQ=DAILY;UNTIL=20270302T085959Z", ["03-01"]),
        ("FREQ=DAILY;UNTIL=20270302T090000Z", ["03-01", "03-02"]),
    ],
)
def test_a_rule_gives_days(text, found):
    assert days(recurring(text)) == found


@pytest.mark.parametrize(
    ("until", "count"),
    [
        ("20270302T090000", 2),
        ("20270302", 2),
        ("20270302T135959Z", 1),  # 09:00 in New York is 14:00 in UTC.
        ("20270302T140000Z", 2),
    ],
)
def test_until_is_on_the_wall_unless_it_says_utc(until, count):
    windows = recurring(f"FREQ=DAILY;UNTIL={until}", zone="America/New_York")
    assert len(windows) == count


@pytest.mark.parametrize(("until", "count"), [("053000Z", 1), ("060000Z", 1), ("052959Z", None)])
def test_until_in_utc_knows_the_first_of_two_times(until, count):
    # 01:30 comes at 05:30 and at 06:30; a start is the first.
    asked = (f"FREQ=DAILY;UNTIL=20271107T{until}", datetime(2027, 11, 7, 1, 30))
    if count is None:
        assert refusal_of(recurring, *asked, zone="America/New_York")["code"] == "no_windows"
    else:
        assert len(recurring(*asked, zone="America/New_York")) == count


def test_a_rule_keeps_its_time_of_day_when_the_clock_is_changed():
    windows = recurring(
        "FREQ=DAILY;COUNT=2", datetime(2027, 3, 13, 22), 8 * HOUR, zone="America/New_York"
    )
    assert spans(windows) == [
        "2027-03-14T03:00/2027-03-14T10:00",
        "2027-03-15T02:00/2027-03-15T10:00",
    ]


def test_whole_days_one_after_another_cover_every_hour_once():
    windows = recurring(
        "FREQ=DAILY;UNTIL=20271231", datetime(2027, 1, 1), DAY, zone="Antarctica/Troll"
    )
    assert all(earlier.end_time == later.start_time for earlier, later in pairwise(windows))
    assert {(end - start) / HOUR for start, end, _ in windows} == {22, 24, 26}


def test_count_counts_days_that_the_clock_leaves_out():
    windows = recurring(
        "FREQ=DAILY;COUNT=3", datetime(2027, 3, 13, 2), HOUR, zone="America/New_York"
    )
    assert days(windows) == ["03-13", "03-15"]


BAD_RULES = [
    "",
    ";",
    "=",
    "FREQ",
    "FREQ=",
    "COUNT=1",
    "FREQ=DAILY",
    "FREQ=DAILY;",
    "FREQ=DAILY;COUNT=1;",
    "FREQ=DAILY;COUNT=1;COUNT=1",
    "FREQ=DAILY;FREQ=WEEKLY;COUNT=1",
    "FREQ=DAILY;COUNT=0",
    "FREQ=DAILY;COUNT=-1",
    "FREQ=DAILY;COUNT=+1",
    "FREQ=DAILY;COUNT=1.5",
    "FREQ=DAILY;COUNT=1e3",
    "FREQ=DAILY;COUNT=1_0",
    "FREQ=DAILY;COUNT= 1",
    "FREQ=DAILY;COUNT=" + "9" * 900,
    "FREQ=DAILY;COUNT=" + "9" * 100_000,
    "FREQ=DAILY;COUNT=\u0661",
    "FREQ=DA\u0131LY;COUNT=1",
    "FREQ=DAILY;COUNT=1;UNTIL=20270303",
    "FREQ=DAILY;COUNT=1;INTERVAL=0",
    "FREQ=DAILY;COUNT=1;INTERVAL=-1",
    "FREQ=YEARLY;COUNT=1",
    "FREQ=HOURLY;COUNT=1",
    "FREQ=MINUTELY;COUNT=1",
    "FREQ=SECONDLY;COUNT=1",
    "FREQ=NEVER;COUNT=1",
    "FREQ=DAILY,WEEKLY;COUNT=1",
    "FREQ=DAILY;COUNT=1;BYHOUR=9",
    "FREQ=DAILY;COUNT=1;BYMINUTE=0,1,2",
    "FREQ=DAILY;COUNT=1;BYSECOND=0",
    "FREQ=DAILY;COUNT=1;BYYEARDAY=1",
    "FREQ=DAILY;COUNT=1;BYWEEKNO=1",
    "FREQ=DAILY;COUNT=1;BYEASTER=0",
    "FREQ=DAILY;COUNT=1;BYWEEKDAY=MO",
    "FREQ=DAILY;COUNT=1;RSCALE=GREGORIAN",
    "FREQ=DAILY;COUNT=1;BYMONTH=0",
    "FREQ=DAILY;COUNT=1;BYMONTH=13",
    "FREQ=DAILY;COUNT=1;BYMONTH=-1",
    "FREQ=DAILY;COUNT=1;BYMONTH=",
    "FREQ=DAILY;COUNT=1;BYMONTH=1,",
    "FREQ=DAILY;COUNT=1;BYMONTHDAY=0",
    "FREQ=DAILY;COUNT=1;BYMONTHDAY=32",
    "FREQ=WEEKLY;COUNT=1;BYMONTHDAY=1",
    "FREQ=DAILY;COUNT=1;BYDAY=XX",
    "FREQ=DAILY;COUNT=1;BYDAY=MO(+1)",
    "FREQ=DAILY;COUNT=1;BYDAY=1MO",
    "FREQ=WEEKLY;COUNT=1;BYDAY=-1FR",
    "FREQ=MONTHLY;COUNT=1;BYDAY=0MO",
    "FREQ=MONTHLY;COUNT=1;BYDAY=6MO",
    "FREQ=MONTHLY;COUNT=1;BYSETPOS=1",
    "FREQ=MONTHLY;COUNT=1;BYDAY=MO;BYSETPOS=0",
    "FREQ=MONTHLY;COUNT=1;BYDAY=MO;BYSETPOS=367",
    "FREQ=DAILY;COUNT=1;WKST=XX",
    "FREQ=DAILY;UNTIL=",
    "FREQ=DAILY;UNTIL=20270230",
    "FREQ=DAILY;UNTIL=20271301",
    "FREQ=DAILY;UNTIL=00000101",
    "FREQ=DAILY;UNTIL=2027-03-03",
    "FREQ=DAILY;UNTIL=20270303Z",
    "FREQ=DAILY;UNTIL=20270303T09",
    "FREQ=DAILY;UNTIL=20270303T240000",
    "FREQ=DAILY;UNTIL=20270303T090060",
    "FREQ=DAILY;UNTIL=20270303T090000+0100",
    "FREQ=DAILY;UNTIL=tomorrow",
    " FREQ=DAILY;COUNT=1",
    "FREQ=DAILY;COUNT=1\n",
    "FREQ=DAILY;COUNT=1\nFREQ=DAILY;COUNT=2",
    "FREQ=DAILY;COUNT=1\r\nEXDATE:20270302T090000",
    "DTSTART:20270301T090000\nRRULE:FREQ=DAILY;COUNT=1",
    "EXRULE:FREQ=DAILY;COUNT=1",
    "RDATE:20270301T090000",
    "RRULE:RRULE:FREQ=DAILY;COUNT=1",
    "RRULE;X-A=B:FREQ=DAILY;COUNT=1",
    "FREQ=DAILY;COUNT=1\0",
    "\ud800",
    ";" * 1_000_000,
]


@pytest.mark.parametrize("text", BAD_RULES, ids=range(len(BAD_RULES)))
def test_a_rule_is_refused(text):
    error = refusal_of(calendars.read_rule, text)
    assert field_and_code(error) == ("rrule", "invalid_rule")
    assert len(error["detail"]) < 200


@pytest.mark.parametrize("frequency", ["YEARLY", "HOURLY", "MINUTELY", "SECONDLY", "OFTEN", ""])
def test_a_refused_frequency_says_which_there_are(frequency):
    error = refusal_of(calendars.read_rule, f"FREQ={frequency};COUNT=1")
    assert error["detail"] == "FREQ is DAILY, WEEKLY or MONTHLY."


def test_a_rule_has_at_most_1000_characters():
    longest = "FREQ=DAILY;COUNT=1;BYMONTH=3" + ",3" * 486
    assert len(longest) == 1000
    assert days(recurring(longest)) == ["03-01"]
    error = refusal_of(calendars.read_rule, longest.replace("H=3", "H=03"))
    assert field_and_code(error) == ("rrule", "invalid_rule")


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("FREQ=DAILY;UNTIL=99991231", "year_out_of_range"),
        ("FREQ=DAILY;UNTIL=00010101T000000Z", "year_out_of_range"),
        ("FREQ=DAILY;UNTIL=29991231T235959Z", "too_far_ahead"),
        ("FREQ=DAILY;UNTIL=20320302", "too_far_ahead"),
        ("FREQ=DAILY;COUNT=1829", "too_far_ahead"),
        ("FREQ=DAILY;COUNT=999999999", "too_far_ahead"),
        ("FREQ=DAILY;INTERVAL=999999999;COUNT=2", "too_far_ahead"),
        ("FREQ=MONTHLY;INTERVAL=999999999;COUNT=2", "too_far_ahead"),
        # Days that never come: python-dateutil searches for them for 2 to 18 seconds.
        ("FREQ=MONTHLY;BYMONTHDAY=31;BYMONTH=2;COUNT=1", "no_windows"),
        ("FREQ=MONTHLY;BYMONTHDAY=31;BYMONTH=2;UNTIL=20271231", "no_windows"),
        ("FREQ=DAILY;BYMONTHDAY=31;BYMONTH=2;COUNT=999999999", "no_windows"),
        ("FREQ=DAILY;INTERVAL=7;BYDAY=TU;COUNT=1", "no_windows"),
        ("FREQ=WEEKLY;BYDAY=MO,TU;BYSETPOS=3;COUNT=1", "no_windows"),
        ("FREQ=MONTHLY;BYDAY=FR;BYSETPOS=366;COUNT=1", "no_windows"),
        ("FREQ=DAILY;UNTIL=20270228", "no_windows"),
    ],
)
def test_a_rule_without_an_end_in_reach_is_refused_at_once(text, code):
    before = time.process_time()
    error = refusal_of(recurring, text)
    # About 8 ms; the rest is for a machine that is busy.
    assert time.process_time() - before < 0.25
    assert field_and_code(error) == ("rrule", code)


@pytest.mark.parametrize("text", ["FREQ=DAILY;COUNT=1828", "FREQ=DAILY;UNTIL=20320301"])
def test_a_rule_reaches_just_five_years(text):
    assert spans(recurring(text))[-1] == "2032-03-01T09:00/2032-03-01T10:00"


@pytest.mark.parametrize(
    ("changed", "field", "code"),
    [
        ({"length": timedelta(0)}, "end_time", "end_before_start"),
        ({"length": -HOUR}, "end_time", "end_before_start"),
        ({"length": DAY + QUARTER}, "end_time", "window_too_long"),
        ({"length": HOUR + MINUTE}, "end_time", "quarter_hour"),
        ({"start": datetime(2027, 3, 1, 9, 1)}, "start_time", "quarter_hour"),
        ({"start": datetime(2027, 3, 1, 9, 0, 0, 1)}, "start_time", "quarter_hour"),
        ({"start": datetime(1, 1, 1)}, "start_time", "year_out_of_range"),
        ({"start": datetime(9999, 12, 31)}, "start_time", "year_out_of_range"),
        ({"slot_minutes": 25}, "slot_minutes", "part_of_a_timeslot"),
        ({"text": "FREQ=DAILY;COUNT=1000", "length": DAY}, "rrule", "too_many_timeslots"),
    ],
)
def test_a_recurring_window_is_refused(changed, field, code):
    usual = {"text": "FREQ=DAILY;COUNT=2"}
    assert recurring(**usual)
    assert field_and_code(refusal_of(recurring, **{**usual, **changed})) == (field, code)


def lists_of(values):
    return st.lists(st.sampled_from(values), unique=True, max_size=4)


WEEKDAYS_OF_RULES = ["MO", "TU", "WE", "TH", "FR", "SA", "SU"]


@st.composite
def rules(draw):
    frequency = draw(st.sampled_from(["DAILY", "WEEKLY", "MONTHLY"]))
    nth = st.just("")
    if frequency == "MONTHLY":
        # One sort of them in a rule: for MO,1TU python-dateutil finds no day at all.
        nth = draw(st.sampled_from([nth, st.sampled_from(["1", "+2", "4", "5", "-1", "-2"])]))
    lists = {
        "BYMONTH": draw(lists_of(list(range(1, 13)))),
        "BYMONTHDAY": draw(lists_of([1, 2, 13, 28, 29, 30, 31, -1, -2, -30, -31])),
        "BYDAY": [draw(nth) + day for day in draw(lists_of(WEEKDAYS_OF_RULES))],
    }
    if frequency == "WEEKLY":
        del lists["BYMONTHDAY"]
    if any(lists.values()):
        lists["BYSETPOS"] = draw(lists_of([1, 2, 3, 5, -1, -2, -4]))
    parts = [f"FREQ={frequency}", f"INTERVAL={draw(st.integers(1, 4))}"]
    parts += [f"WKST={draw(st.sampled_from(WEEKDAYS_OF_RULES))}"]
    parts += [f"{name}={','.join(map(str, values))}" for name, values in lists.items() if values]
    return ";".join(parts)


@given(rules(), st.dates(date(2027, 1, 1), date(2028, 12, 31)))
@hypothesis_settings(property_test, max_examples=300)
def test_the_days_of_a_rule_are_those_of_dateutil(text, first):
    start = datetime.combine(first, NINE.time())
    rule = calendars.read_rule(f"{text};COUNT=1")
    found = list(islice(calendars.rules._days(rule, first, first + 730 * DAY), 100))
    # No more than were found: for one that never comes it would search until the year 9999.
    expected = islice(rrulestr(text, dtstart=start), len(found))
    assert found == [each.date() for each in expected]


names_of_parts = st.sampled_from(
    ["FREQ", "COUNT", "UNTIL", "INTERVAL", "BYDAY", "BYMONTH", "BYMONTHDAY", "BYSETPOS", "WKST"]
)
values = st.sampled_from(
    ["DAILY", "WEEKLY", "MONTHLY", "1", "999999999", "-1", "0", "31", "MO", "-1FR", "20270401"]
)
near_rules = st.lists(
    st.tuples(names_of_parts | st.text(max_size=3), values | st.text(max_size=3)), max_size=6
).map(lambda parts: ";".join(f"{name}={value}" for name, value in parts))


@given(
    st.text()
    | near_rules
    | near_rules.map("FREQ=MONTHLY;COUNT=2;{}".format)
    | rules().map("{};COUNT=2".format)
)
@hypothesis_settings(property_test, max_examples=500)
def test_no_text_but_a_rule_is_read_as_a_rule(text):
    if is_taken_or_refused(recurring, text):
        rrulestr(text, dtstart=NINE)


# What must hold of the windows of one request


def window(start, end, slot_minutes=15):
    return Window(
        datetime(2027, 3, 1, tzinfo=UTC) + start * HOUR,
        datetime(2027, 3, 1, tzinfo=UTC) + end * HOUR,
        slot_minutes * MINUTE,
    )


@pytest.mark.parametrize(
    ("windows", "fitting"),
    [
        ([window(9, 10.5)], [5, 6, 9, 10, 15, 18, 30, 45, 90]),
        ([window(9, 9.25)], [5, 15]),
        ([window(9, 9.5), window(10, 10.75)], [5, 15]),
        ([window(0, 8)], [n for n in range(5, 481) if 480 % n == 0]),
    ],
)
def test_the_lengths_that_fit_hold_for_every_window(windows, fitting):
    assert calendars.lengths_that_fit(windows) == fitting


def test_a_part_of_a_timeslot_is_refused_with_the_lengths_that_fit():
    windows = [window(9, 9.75), window(11, 12.5, 60), window(14, 16.5, 60)]
    error = refusal_of(calendars.require_publishable, windows, field="ranges")
    assert error == {
        "field": "slot_minutes",
        "code": "part_of_a_timeslot",
        "detail": "The window of 2027-03-01T11:00Z has 90 minutes, no whole number of timeslots "
        "of 60 minutes. These lengths fit: 5, 6, 10, 15, 30.",
    }


def test_the_night_that_is_an_hour_shorter_has_its_own_lengths():
    week = every_day("22:00-06:00")
    usual = {"until_date": date(2027, 3, 14), "zone": "America/New_York"}
    assert weekly(week, date(2027, 3, 14), slot_minutes=480, **usual)
    error = refusal_of(weekly, week, date(2027, 3, 12), slot_minutes=480, **usual)
    assert error["detail"].endswith("These lengths fit: 5, 6, 10, 12, 15, 20, 30, 60.")


@pytest.mark.parametrize(
    ("windows", "overlap"),
    [
        ([], None),
        ([(9, 10)], None),
        ([(9, 10), (10, 11)], None),
        ([(10, 11), (9, 10)], None),
        ([(10, 11), (9, 10.25)], [(9, 10.25), (10, 11)]),
        ([(9, 10), (9, 10)], [(9, 10), (9, 10)]),
        ([(0, 24), (9, 10)], [(0, 24), (9, 10)]),
        ([(12, 13), (1, 2), (12.5, 14), (1.5, 3)], [(1, 2), (1.5, 3)]),
    ],
)
def test_the_first_overlap_is_found(windows, overlap):
    found = calendars.first_overlap([window(*each) for each in windows])
    assert found == (tuple(window(*each) for each in overlap) if overlap else None)


def test_overlapping_ranges_are_refused():
    calendars.require_publishable([window(9, 10), window(10, 11, 30)], field="ranges")
    error = refusal_of(
        calendars.require_publishable, [window(9.75, 11, 25), window(9, 10, 30)], field="ranges"
    )
    assert error == {
        "field": "ranges",
        "code": "windows_overlap",
        "detail": "The window of 2027-03-01T09:00Z has not ended when the one of "
        "2027-03-01T09:45Z starts.",
    }


@pytest.mark.parametrize(("slot_minutes", "count"), [(15, 50_000), (5, 16_666.67)])
def test_one_request_makes_at_most_50_000_timeslots(slot_minutes, count):
    hours = policy.MOST_TIMESLOTS * slot_minutes / 60
    calendars.require_publishable([window(0, hours, slot_minutes)], field="ranges")
    error = refusal_of(
        calendars.require_publishable,
        [window(0, hours, slot_minutes), window(hours, hours + 0.25, slot_minutes)],
        field="ranges",
    )
    assert field_and_code(error) == ("ranges", "too_many_timeslots")


def test_years_of_quarter_hours_are_refused_before_they_are_built():
    all_day = [f"{clock(quarter)}-{clock(quarter + 1)}" for quarter in range(96)]
    before = time.process_time()
    error = refusal_of(
        weekly, every_day(*all_day), until_date=date(2032, 3, 1), slot_minutes=5, zone="Asia/Tokyo"
    )
    assert time.process_time() - before < 2
    assert field_and_code(error) == ("weekly", "too_many_timeslots")
