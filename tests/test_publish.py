"""POST /provider/availability."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from scheduling.models import Timeslot

from .factories import QUARTER, make_provider, make_timeslot

# The clock's Monday, five years on.
FARTHEST = datetime(2031, 11, 30, 9, 0, tzinfo=UTC)


def publish(api, provider, start_time="2026-12-30T10:00:00Z", end_time="2026-12-30T11:30:00Z"):
    return api.post(
        "/provider/availability",
        {"provider_id": provider.pk, "start_time": start_time, "end_time": end_time},
    )


def starts(answer):
    return [timeslot["start_time"] for timeslot in answer.json()["available timeslots"]]


def test_it_cuts_a_window_into_quarter_hours(api, clock):
    provider = make_provider()
    answer = publish(api, provider)
    assert answer.status_code == 201
    assert list(answer.json()) == ["available timeslots"]
    stored = list(Timeslot.objects.order_by("start_time"))
    assert len(stored) == 6
    assert list(answer.json()["available timeslots"][0].items()) == [
        ("timeslot_id", stored[0].pk),
        ("provider_id", provider.pk),
        ("first_name", "Ada"),
        ("last_name", "Lovelace"),
        ("start_time", "2026-12-30T10:00:00Z"),
        ("end_time", "2026-12-30T10:15:00Z"),
        ("is_available", True),
    ]
    assert [
        (timeslot["timeslot_id"], timeslot["start_time"], timeslot["end_time"])
        for timeslot in answer.json()["available timeslots"]
    ] == [
        (
            timeslot.pk,
            f"{timeslot.start_time:%Y-%m-%dT%H:%M:%SZ}",
            f"{timeslot.end_time:%Y-%m-%dT%H:%M:%SZ}",
        )
        for timeslot in stored
    ]
    assert stored[-1].end_time == datetime(2026, 12, 30, 11, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("start_time", "end_time"),
    [
        ("2026-12-30T10:00:00", "2026-12-30T10:15:00"),
        ("2026-12-30T10:00", "2026-12-30T10:15"),
        ("2026-12-30 10:00:00", "2026-12-30 10:15:00"),
        ("2026-12-30T10:00:00.000Z", "2026-12-30T10:15:00.000Z"),
        ("2026-12-30T12:00:00+02:00", "2026-12-30T12:15:00+02:00"),
        ("2026-12-30T04:15:00-05:45", "2026-12-30T10:15:00Z"),
        ("2026-12-31T00:00:00+14:00", "2026-12-30T10:15:00"),
        ("20261230T100000Z", "20261230T101500Z"),
    ],
)
def test_every_offset_becomes_utc_and_none_is_utc(api, clock, start_time, end_time):
    answer = publish(api, make_provider(), start_time, end_time)
    assert answer.status_code == 201
    assert starts(answer) == ["2026-12-30T10:00:00Z"]
    assert Timeslot.objects.get().start_time == datetime(2026, 12, 30, 10, tzinfo=UTC)


def test_a_window_in_the_past_is_recorded_and_not_bookable(api, clock):
    provider = make_provider()
    answer = publish(api, provider, "2023-08-13T10:00:00", "2023-08-13T11:30:00")
    assert (answer.status_code, len(starts(answer))) == (201, 6)
    listed = api.get("/client/getProviderAvailability", {"provider_id": provider.pk})
    assert listed.json() == {"available timeslots": []}


def test_a_window_over_midnight_and_new_year_is_one_series(api, clock):
    answer = publish(api, make_provider(), "2026-12-31T23:45:00Z", "2027-01-01T00:15:00Z")
    assert starts(answer) == ["2026-12-31T23:45:00Z", "2027-01-01T00:00:00Z"]


def test_published_timeslots_can_be_reserved_at_the_edge_of_the_notice(api, clock):
    """What the publishing statement writes compares with what the reserving one asks."""
    client = api.post("/client/create", {"first_name": "Alan", "last_name": "Turing"}).json()
    answer = publish(api, make_provider(), "2026-12-01T08:45:00Z", "2026-12-01T09:15:00Z")
    for timeslot, status in zip(answer.json()["available timeslots"], [409, 200], strict=True):
        ids = {"client_id": client["client_id"], "timeslot_id": timeslot["timeslot_id"]}
        assert api.post("/client/reserve", ids).status_code == status


@pytest.mark.parametrize(
    ("field", "moment", "code"),
    [
        ("start_time", "2026-12-30T10:05:00Z", "quarter_hour"),
        ("start_time", "2026-12-30T10:00:01Z", "quarter_hour"),
        ("start_time", "2026-12-30T10:00:00.000001Z", "quarter_hour"),
        ("start_time", "2026-12-30T10:00:00+00:20", "quarter_hour"),
        ("end_time", "2026-12-30T10:59:59.999999Z", "quarter_hour"),
        ("end_time", "2026-12-30T10:00:00Z", "end_before_start"),
        ("end_time", "2026-12-30T09:45:00Z", "end_before_start"),
        ("end_time", "2026-12-30T12:00:00+02:00", "end_before_start"),
        ("start_time", "2026-12-30", "invalid"),
        ("start_time", "2026-13-30T10:00:00Z", "invalid"),
        ("start_time", "2026-02-29T10:00:00Z", "invalid"),
        ("start_time", "2026-12-30T25:00:00Z", "invalid"),
        ("start_time", "tomorrow", "invalid"),
        ("start_time", "10:00", "invalid"),
        ("start_time", "", "invalid"),
        ("start_time", "\u0662\u0660\u0662\u0666-12-30T10:00:00Z", "invalid"),
        ("start_time", "2026-12-30T10:00:00Z" + " " * 100, "invalid"),
        ("start_time", "0001-01-01T00:00:00+14:00", "invalid"),
        ("end_time", "9999-12-31T23:45:00-14:00", "invalid"),
        ("end_time", 1798624800, "invalid"),
        ("end_time", True, "invalid"),
        ("end_time", ["2026-12-30T11:00:00Z"], "invalid"),
        ("end_time", None, "null"),
    ],
)
def test_it_refuses_times_that_are_none(api, clock, field, moment, code):
    answer = publish(api, make_provider(), **{field: moment})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid")
    assert [(error["field"], error["code"]) for error in answer.json()["errors"]] == [(field, code)]
    assert not Timeslot.objects.exists()


@pytest.mark.parametrize(("timeslots", "status"), [(50_000, 201), (50_001, 400)])
def test_one_request_makes_at_most_50000_timeslots(api, clock, timeslots, status):
    start_time = datetime(2026, 12, 30, 10, tzinfo=UTC)
    end_time = start_time + timeslots * QUARTER
    answer = publish(api, make_provider(), start_time.isoformat(), end_time.isoformat())
    assert answer.status_code == status
    assert Timeslot.objects.count() == (timeslots if status == 201 else 0)
    if status == 400:
        assert answer.json()["errors"][0]["code"] == "too_many_timeslots"


@pytest.mark.parametrize(
    ("shift", "end_time", "status"),
    [
        (timedelta(0), FARTHEST - QUARTER, 201),
        (timedelta(0), FARTHEST, 201),
        (timedelta(microseconds=-1), FARTHEST, 400),
        (timedelta(0), FARTHEST + QUARTER, 400),
    ],
)
def test_it_reaches_at_most_five_years_ahead(api, clock, shift, end_time, status):
    clock.shift(microseconds=shift / timedelta(microseconds=1))
    start_time = end_time - QUARTER
    answer = publish(api, make_provider(), start_time.isoformat(), end_time.isoformat())
    assert answer.status_code == status
    if status == 400:
        error = answer.json()["errors"][0]
        assert (error["field"], error["code"]) == ("end_time", "too_far_ahead")
    assert Timeslot.objects.exists() == (status == 201)


def test_the_far_past_is_published_in_years_and_not_refused_by_the_years_between(api, clock):
    answer = publish(api, make_provider(), "1990-01-01T10:00:00Z", "1990-01-01T10:15:00Z")
    assert answer.status_code == 201


@pytest.mark.parametrize(
    ("starts_in", "length"),
    [
        (timedelta(0), QUARTER),
        (3 * QUARTER, QUARTER),
        (5 * QUARTER, QUARTER),
        (-QUARTER, 2 * QUARTER),
        (-QUARTER, 9 * QUARTER),
        (6 * QUARTER - timedelta(seconds=1), QUARTER),
        (timedelta(minutes=-15, seconds=1), QUARTER),
        (timedelta(minutes=5), timedelta(minutes=5)),
    ],
)
def test_an_overlap_stores_nothing_and_names_the_first_clash(api, clock, starts_in, length):
    clock.shift(days=30, hours=1)  # to 2026-12-30T10:00:00Z
    provider = make_provider()
    make_timeslot(provider, starts_in=-10 * QUARTER)
    clash = make_timeslot(provider, starts_in=starts_in, length=length)
    stored = list(Timeslot.objects.values_list("pk"))
    answer = publish(api, provider)
    assert (answer.status_code, answer.json()["code"]) == (409, "timeslots_overlap")
    assert answer.json()["timeslot_id"] == clash.pk
    assert answer.json()["start_time"] == f"{clash.start_time:%Y-%m-%dT%H:%M:%SZ}"
    assert list(Timeslot.objects.values_list("pk")) == stored


def test_of_several_clashes_the_first_in_time_is_named(api, clock):
    provider = make_provider()
    publish(api, provider, "2026-12-30T11:00:00Z", "2026-12-30T12:00:00Z")
    publish(api, provider, "2026-12-30T10:30:00Z", "2026-12-30T10:45:00Z")
    assert publish(api, provider).json()["start_time"] == "2026-12-30T10:30:00Z"


def test_the_same_window_twice_is_an_overlap(api, clock):
    provider = make_provider()
    assert [publish(api, provider).status_code for _ in range(2)] == [201, 409]
    assert Timeslot.objects.count() == 6


@pytest.mark.parametrize("starts_in", [-QUARTER, 6 * QUARTER])
def test_windows_may_touch(api, clock, starts_in):
    clock.shift(days=30, hours=1)  # to 2026-12-30T10:00:00Z
    provider = make_provider()
    make_timeslot(provider, starts_in=starts_in)
    assert publish(api, provider).status_code == 201


def test_two_providers_may_work_at_the_same_time(api, clock):
    assert publish(api, make_provider()).status_code == 201
    assert publish(api, make_provider()).status_code == 201


def test_it_refuses_an_unknown_provider(api, clock):
    provider = make_provider()
    provider.pk = 2**63 - 1
    answer = publish(api, provider)
    assert (answer.status_code, answer.json()["code"]) == (404, "provider_not_found")
    assert not Timeslot.objects.exists()


@pytest.mark.parametrize("timeslots", [1, 960])
def test_it_costs_the_same_statements_however_many_timeslots(
    api, clock, django_assert_num_queries, timeslots
):
    provider = make_provider()
    start_time = datetime(2026, 12, 30, 10, tzinfo=UTC)
    end_time = start_time + timeslots * QUARTER
    with django_assert_num_queries(4) as statements:
        answer = publish(api, provider, start_time.isoformat(), end_time.isoformat())
    assert len(starts(answer)) == timeslots
    kinds = [statement["sql"].split()[0] for statement in statements]
    assert (kinds[0], kinds[1], kinds[-1]) == ("SAVEPOINT", "UPDATE", "RELEASE")


def test_a_refusal_costs_the_same_however_many_timeslots_clash(api, clock):
    provider = make_provider()
    publish(api, provider, "2026-12-30T10:00:00Z", "2027-01-09T10:00:00Z")
    counts = []
    for end_time in ("2026-12-30T10:15:00Z", "2027-01-09T10:00:00Z"):
        with CaptureQueriesContext(connection) as statements:
            assert publish(api, provider, end_time=end_time).status_code == 409
        counts.append(len(statements))
    assert counts[0] == counts[1]


@pytest.mark.parametrize(
    ("start_time", "end_time", "status"),
    [
        ("0001-01-01T00:00:00Z", "0001-01-01T01:00:00Z", 201),
        ("0001-01-01T00:00:00+14:00", "0001-01-01T01:00:00Z", 400),
        ("0001-01-01T00:00:00.000001Z", "0001-01-01T01:00:00Z", 400),
        ("1900-02-28T23:45:00Z", "1900-03-01T00:15:00Z", 201),
        ("9999-12-31T23:45:00Z", "9999-12-31T24:00:00Z", 400),
    ],
)
def test_it_has_an_answer_for_the_ends_of_time(api, start_time, end_time, status):
    window = {"start_time": start_time, "end_time": end_time}
    answer = api.post("/provider/availability", {"provider_id": make_provider().pk, **window})
    assert answer.status_code == status
    if status == 201:
        assert answer.json()["available timeslots"][0]["start_time"] == start_time
