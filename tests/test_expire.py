"""PUT /provider/expiredReservations: the sweep."""

from datetime import timedelta

import pytest

from scheduling.calendars import Window
from scheduling.models import Reservation, Timeslot

from .factories import QUARTER, make_client, make_hold, make_provider, make_timeslot

ANSWER = "Expired reservations deleted and corresponding timeslots released"
DAY = timedelta(hours=24)
HOLD = timedelta(minutes=30)
MOMENT = timedelta(microseconds=1)
OVERDUE = HOLD + MOMENT


def sweep(api):
    answer = api.put("/provider/expiredReservations")
    assert (answer.status_code, list(answer.json())) == (200, [ANSWER])
    return [timeslot["timeslot_id"] for timeslot in answer.json()[ANSWER]]


def test_it_answers_with_the_released_timeslots(api, clock):
    hold = make_hold(age=OVERDUE)
    answer = api.put("/provider/expiredReservations")
    assert [list(timeslot.items()) for timeslot in answer.json()[ANSWER]] == [
        [
            ("timeslot_id", hold.timeslot_id),
            ("provider_id", hold.provider_id),
            ("first_name", "Ada"),
            ("last_name", "Lovelace"),
            ("start_time", "2026-12-02T09:00:00Z"),
            ("end_time", "2026-12-02T09:15:00Z"),
            ("is_available", True),
        ]
    ]
    hold.refresh_from_db()
    assert hold.status == "expired"


@pytest.mark.parametrize(
    ("age", "status"), [(HOLD - MOMENT, "held"), (HOLD, "held"), (HOLD + MOMENT, "expired")]
)
def test_a_hold_runs_out_after_exactly_30_minutes(api, clock, age, status):
    hold = make_hold(age=age)
    assert sweep(api) == ([hold.timeslot_id] if status == "expired" else [])
    hold.refresh_from_db()
    assert hold.status == status


@pytest.mark.parametrize("status", ["confirmed", "expired", "cancelled"])
def test_it_leaves_alone_what_is_not_held(api, clock, status):
    reservation = make_hold(status=status, age=300 * DAY)
    assert sweep(api) == []
    reservation.refresh_from_db()
    assert reservation.status == status


def test_it_returns_a_timeslot_once_over_all_sweeps(api, clock):
    hold = make_hold(age=OVERDUE)
    assert [sweep(api) for _ in range(3)] == [[hold.timeslot_id], [], []]


def test_a_timeslot_held_again_is_released_again(api, clock):
    hold = make_hold(age=OVERDUE)
    assert sweep(api) == [hold.timeslot_id]
    make_hold(hold.timeslot, hold.client)
    assert sweep(api) == []
    clock.shift(minutes=30, microseconds=1)
    assert sweep(api) == [hold.timeslot_id]


def test_a_timeslot_that_was_taken_over_is_not_released(api, clock):
    hold = make_hold(age=OVERDUE)
    ids = {"client_id": make_client().pk, "timeslot_id": hold.timeslot_id}
    assert api.post("/client/reserve", ids).status_code == 200
    assert sweep(api) == []


@pytest.mark.parametrize("grace", [timedelta(0), timedelta(minutes=5)])
@pytest.mark.parametrize(
    ("short_of_notice", "is_released"), [(-MOMENT, True), (DAY * 0, True), (MOMENT, False)]
)
def test_it_closes_what_starts_within_the_notice(
    api, clock, settings, grace, short_of_notice, is_released
):
    settings.NOTICE_GRACE = grace
    timeslot = make_timeslot(starts_in=DAY - short_of_notice)
    hold = make_hold(timeslot, age=OVERDUE)
    assert sweep(api) == ([timeslot.pk] if is_released else [])
    hold.refresh_from_db()
    assert hold.status == "expired"
    assert sweep(api) == []


def test_it_answers_the_oldest_deadline_first(api, clock):
    provider = make_provider()
    by_age = {
        age: make_hold(make_timeslot(provider, starts_in=2 * DAY + age), age=age).timeslot_id
        for age in (HOLD * 3, HOLD * 9, HOLD * 2)
    }
    assert sweep(api) == [by_age[age] for age in sorted(by_age, reverse=True)]


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"", ""),
        (b"{}", "application/json"),
        (b"[[[", "application/json"),
        (b"\x00\xff", "text/plain"),
        (b"a=b", "application/x-www-form-urlencoded"),
    ],
)
def test_it_ignores_any_body(api, clock, body, content_type):
    hold = make_hold(age=OVERDUE)
    answer = api.generic("PUT", "/provider/expiredReservations", body, content_type=content_type)
    assert answer.status_code == 200
    assert [timeslot["timeslot_id"] for timeslot in answer.json()[ANSWER]] == [hold.timeslot_id]


def test_an_empty_sweep_costs_one_statement(api, clock, django_assert_num_queries):
    make_hold()
    make_hold(status="confirmed", age=OVERDUE)
    with django_assert_num_queries(1):
        assert sweep(api) == []


def test_a_sweep_costs_two_statements_for_any_number_of_holds(
    api, clock, django_assert_num_queries
):
    for count in (1, 20):
        for _ in range(count):
            make_hold(age=OVERDUE)
        with django_assert_num_queries(2):
            assert len(sweep(api)) == count


def test_it_works_in_batches_until_nothing_is_overdue(api, clock, django_assert_num_queries):
    provider, client = make_provider(), make_client()
    start_time = clock.now + 2 * DAY
    window = Window(start_time, start_time + 1001 * QUARTER, QUARTER)
    timeslots = Timeslot.objects.publish(provider, [window])
    Reservation.objects.bulk_create(
        Reservation(
            provider=provider,
            timeslot_id=timeslot.timeslot_id,
            client=client,
            start_time=timeslot.start_time,
            end_time=timeslot.end_time,
            status="held",
            created_at=clock.now - OVERDUE,
            expires_at=clock.now - MOMENT,
            changed_at=clock.now - OVERDUE,
        )
        for timeslot in timeslots
    )
    with django_assert_num_queries(3):  # two batches and the providers' names
        released = sweep(api)
    assert sorted(released) == sorted(timeslot.timeslot_id for timeslot in timeslots)
