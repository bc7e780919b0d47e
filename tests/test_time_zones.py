"""A provider's own zone, and times that are written with a zone's offset."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduling import calendars
from scheduling.models import Timeslot

from .factories import make_provider, make_timeslot

WEEK = {
    "weekly": {"friday": ["09:00-10:00"]},
    "from_date": "2027-03-12",
    "until_date": "2027-03-19",
}
RULE = {
    "start_time": "2027-03-12T09:00",
    "end_time": "2027-03-12T10:00",
    "rrule": "FREQ=WEEKLY;COUNT=2",
}


def starts(answer):
    assert answer.status_code == 201, answer.content
    return [one["start_time"] for one in answer.json()["available timeslots"]]


@pytest.mark.parametrize("form", [WEEK, RULE])
@pytest.mark.parametrize(
    ("own", "given", "expected"),
    [
        (None, None, ["2027-03-12T09:00:00Z", "2027-03-19T09:00:00Z"]),
        ("America/New_York", None, ["2027-03-12T14:00:00Z", "2027-03-19T13:00:00Z"]),
        ("America/New_York", "Asia/Tokyo", ["2027-03-12T00:00:00Z", "2027-03-19T00:00:00Z"]),
    ],
)
def test_hours_are_meant_by_the_providers_own_clock(api, clock, form, own, given, expected):
    """New York puts its clock forward on the 14th."""
    provider = {"provider_id": make_provider().pk}
    if own:
        api.put("/provider/profile", provider | {"time_zone": own})
    zone = {"time_zone": given} if given else {}
    asked = {**provider, **form, **zone, "slot_minutes": 60}
    assert starts(api.post("/provider/availability", asked)) == expected


def test_a_week_for_nobody(api, clock):
    answer = api.post("/provider/availability", {"provider_id": 1, **WEEK})
    assert (answer.status_code, answer.json()["code"]) == (404, "provider_not_found")


@pytest.mark.parametrize(
    ("zone", "start_time"),
    [
        ("America/New_York", "2026-12-02T04:00:00-05:00"),
        ("Asia/Kathmandu", "2026-12-02T14:45:00+05:45"),
        ("Pacific/Kiritimati", "2026-12-02T23:00:00+14:00"),
        ("UTC", "2026-12-02T09:00:00Z"),
    ],
)
def test_the_list_of_what_is_bookable_takes_a_zone(api, clock, zone, start_time):
    timeslot = make_timeslot()
    query = {"provider_id": timeslot.provider_id}
    [plain] = api.get("/client/getProviderAvailability", query).json()["available timeslots"]
    answer = api.get("/client/getProviderAvailability", query | {"time_zone": zone})
    [shown] = answer.json()["available timeslots"]
    assert list(shown) == list(plain)
    assert shown["start_time"] == start_time
    assert datetime.fromisoformat(shown["end_time"]) == timeslot.end_time
    assert {**shown, **{name: plain[name] for name in ("start_time", "end_time")}} == plain


def test_the_next_page_is_in_the_same_zone(api, clock):
    provider = make_provider()
    for nth in range(2):
        make_timeslot(provider, starts_in=timedelta(days=2 + nth))
    query = {"provider_id": provider.pk, "time_zone": "Asia/Tokyo", "limit": 1}
    answer = api.get("/client/getProviderAvailability", query)
    answer = api.get(answer["Link"].partition("<")[2].partition(">")[0])
    [shown] = answer.json()["available timeslots"]
    assert shown["start_time"] == "2026-12-03T18:00:00+09:00"
    assert "Link" not in answer
    assert Timeslot.objects.count() == 2


MOMENTS = st.datetimes(datetime(1900, 1, 2), datetime(2999, 12, 30)).map(
    lambda moment: moment.replace(microsecond=0, tzinfo=UTC)
)
ZONES = st.sampled_from(sorted(calendars.zone_names()))


@given(MOMENTS, ZONES)
def test_an_offset_never_moves_the_moment(moment, name):
    """Offsets are whole minutes in ISO 8601, and were not always so on clocks."""
    zone = calendars.zone_named(name)
    written = calendars.with_offset(moment, zone).isoformat()
    assert datetime.fromisoformat(written) == moment
    real = moment.astimezone(zone).utcoffset()
    assert timedelta(0) <= real - datetime.fromisoformat(written).utcoffset() < timedelta(minutes=1)


def test_monrovia_before_1972():
    moment = datetime(1970, 1, 1, tzinfo=UTC)
    written = calendars.with_offset(moment, ZoneInfo("Africa/Monrovia"))
    assert written.isoformat() == "1969-12-31T23:15:00-00:45"
