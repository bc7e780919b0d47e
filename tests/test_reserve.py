"""POST /client/reserve."""

from datetime import timedelta

import pytest

from scheduling.models import Reservation

from .factories import make_client, make_hold, make_timeslot


def reserve(api, client, timeslot):
    return api.post("/client/reserve", {"client_id": client.pk, "timeslot_id": timeslot.pk})


def test_it_holds_a_timeslot(api, clock):
    client, timeslot = make_client(), make_timeslot()
    answer = reserve(api, client, timeslot)
    assert answer.status_code == 200
    reservation = Reservation.objects.get()
    assert list(answer.json()) == ["Reservation scheduled"]
    assert list(answer.json()["Reservation scheduled"].items()) == [
        ("reservation_id", reservation.pk),
        ("timeslot_id", timeslot.pk),
        ("provider_id", timeslot.provider_id),
        ("client_id", client.pk),
        ("start_time", "2026-12-02T09:00:00Z"),
        ("end_time", "2026-12-02T09:15:00Z"),
        ("created_at", "2026-11-30T09:00:00Z"),
        ("is_confirmed", False),
    ]
    assert reservation.status == "held"
    assert reservation.expires_at == clock.now + timedelta(minutes=30)


def test_it_costs_one_statement(api, clock, django_assert_num_queries):
    client, timeslot = make_client(), make_timeslot()
    with django_assert_num_queries(1):
        assert reserve(api, client, timeslot).status_code == 200


@pytest.mark.parametrize(
    ("short_of_notice", "status"),
    [(timedelta(microseconds=-1), 200), (timedelta(0), 200), (timedelta(microseconds=1), 409)],
)
def test_notice_is_exactly_24_hours(api, clock, short_of_notice, status):
    timeslot = make_timeslot(starts_in=timedelta(hours=24) - short_of_notice)
    assert reserve(api, make_client(), timeslot).status_code == status


@pytest.mark.parametrize(
    ("age", "status"),
    [
        (timedelta(minutes=30, microseconds=-1), 409),
        (timedelta(minutes=30), 409),
        (timedelta(minutes=30, microseconds=1), 200),
    ],
)
def test_it_takes_over_an_overdue_hold_nobody_swept(api, clock, age, status):
    hold = make_hold(age=age)
    answer = reserve(api, make_client(), hold.timeslot)
    assert answer.status_code == status
    hold.refresh_from_db()
    assert hold.status == ("expired" if status == 200 else "held")
