"""POST /client/reserve."""

from datetime import timedelta

import pytest

from scheduling.models import Reservation

from .factories import make_client, make_hold, make_timeslot

DAY = timedelta(hours=24)
HOLD = timedelta(minutes=30)
MOMENT = timedelta(microseconds=1)


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
    assert reservation.expires_at == clock.now + HOLD


def test_it_answers_in_whole_seconds(api, clock):
    clock.shift(microseconds=999_999)
    answer = reserve(api, make_client(), make_timeslot())
    assert answer.json()["Reservation scheduled"]["created_at"] == "2026-11-30T09:00:00Z"
    assert Reservation.objects.get().created_at == clock.now


def test_it_takes_ids_as_strings_of_digits(api, clock):
    client, timeslot = make_client(), make_timeslot()
    ids = {"client_id": str(client.pk), "timeslot_id": f"00{timeslot.pk}"}
    answer = api.post("/client/reserve", ids)
    assert answer.status_code == 200
    assert answer.json()["Reservation scheduled"]["timeslot_id"] == timeslot.pk


def test_it_costs_one_statement(api, clock, django_assert_num_queries):
    client, timeslot = make_client(), make_timeslot()
    with django_assert_num_queries(1):
        assert reserve(api, client, timeslot).status_code == 200


@pytest.mark.parametrize(
    ("short_of_notice", "status"), [(-MOMENT, 200), (0 * DAY, 200), (MOMENT, 409)]
)
def test_notice_is_exactly_24_hours(api, clock, short_of_notice, status):
    timeslot = make_timeslot(starts_in=DAY - short_of_notice)
    assert reserve(api, make_client(), timeslot).status_code == status


def test_it_says_from_when_on_timeslots_can_be_reserved(api, clock):
    answer = reserve(api, make_client(), make_timeslot(starts_in=DAY - MOMENT))
    assert answer.json()["code"] == "notice_too_short"
    assert answer.json()["earliest_start"] == "2026-12-01T09:00:00Z"
    assert not Reservation.objects.exists()


@pytest.mark.parametrize(
    ("short_of_grace", "status"), [(-MOMENT, 200), (0 * DAY, 200), (MOMENT, 409)]
)
def test_the_grace_shortens_the_notice(api, clock, settings, short_of_grace, status):
    settings.NOTICE_GRACE = timedelta(minutes=5)
    timeslot = make_timeslot(starts_in=DAY - timedelta(minutes=5) - short_of_grace)
    assert reserve(api, make_client(), timeslot).status_code == status


@pytest.mark.parametrize("status", ["held", "confirmed"])
def test_it_refuses_a_taken_timeslot(api, clock, status):
    taken = make_hold(status=status)
    for client in (make_client(), taken.client):
        answer = reserve(api, client, taken.timeslot)
        assert (answer.status_code, answer.json()["code"]) == (409, "timeslot_taken")
    assert Reservation.objects.get() == taken


@pytest.mark.parametrize("status", ["expired", "cancelled"])
def test_it_holds_a_timeslot_that_was_given_up(api, clock, status):
    given_up = make_hold(status=status)
    assert reserve(api, given_up.client, given_up.timeslot).status_code == 200
    given_up.refresh_from_db()
    assert given_up.status == status


def test_a_confirmed_reservation_never_lapses(api, clock):
    confirmed = make_hold(status="confirmed", age=timedelta(days=300))
    assert reserve(api, make_client(), confirmed.timeslot).status_code == 409
    confirmed.refresh_from_db()
    assert confirmed.status == "confirmed"


@pytest.mark.parametrize(
    ("age", "status"), [(HOLD - MOMENT, 409), (HOLD, 409), (HOLD + MOMENT, 200)]
)
def test_it_takes_over_an_overdue_hold_nobody_swept(api, clock, age, status):
    hold = make_hold(age=age)
    answer = reserve(api, make_client(), hold.timeslot)
    assert answer.status_code == status
    hold.refresh_from_db()
    assert hold.status == ("expired" if status == 200 else "held")


def test_a_client_can_hold_again_what_ran_out(api, clock):
    hold = make_hold(age=HOLD + MOMENT)
    assert reserve(api, hold.client, hold.timeslot).status_code == 200
    assert Reservation.objects.filter(status="held").get() != hold


@pytest.mark.parametrize(
    ("unknown", "starts_in", "code"),
    [("client_id", 2 * DAY, "client_not_found"), ("", DAY - MOMENT, "notice_too_short")],
)
def test_a_refused_takeover_expires_nothing(api, clock, unknown, starts_in, code):
    hold = make_hold(timeslot=make_timeslot(starts_in=starts_in), age=HOLD + MOMENT)
    ids = {"client_id": hold.client_id, "timeslot_id": hold.timeslot_id}
    answer = api.post("/client/reserve", {name: pk + (name == unknown) for name, pk in ids.items()})
    assert answer.json()["code"] == code
    hold.refresh_from_db()
    assert hold.status == "held"


@pytest.mark.parametrize(
    ("unknown", "code"),
    [("client_id", "client_not_found"), ("timeslot_id", "timeslot_not_found")],
)
def test_it_refuses_unknown_ids(api, clock, unknown, code):
    ids = {"client_id": make_client().pk, "timeslot_id": make_timeslot().pk}
    answer = api.post("/client/reserve", ids | {unknown: 2**63 - 1})
    assert (answer.status_code, answer.json()["code"]) == (404, code)
    assert not Reservation.objects.exists()
