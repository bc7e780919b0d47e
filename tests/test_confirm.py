"""PUT /client/confirm."""

from datetime import timedelta

import pytest
from django.db import connection

from scheduling.models import Reservation

from .factories import make_client, make_hold, make_timeslot

HOLD = timedelta(minutes=30)
MOMENT = timedelta(microseconds=1)


def confirm(api, reservation, client=None):
    client = client or reservation.client
    return api.put("/client/confirm", {"client_id": client.pk, "reservation_id": reservation.pk})


def test_it_makes_a_hold_firm(api, clock):
    hold = make_hold()
    answer = confirm(api, hold)
    assert answer.status_code == 200
    assert list(answer.json()) == ["Reservation is confirmed"]
    assert list(answer.json()["Reservation is confirmed"].items()) == [
        ("reservation_id", hold.pk),
        ("timeslot_id", hold.timeslot_id),
        ("provider_id", hold.provider_id),
        ("client_id", hold.client_id),
        ("start_time", "2026-12-02T09:00:00Z"),
        ("end_time", "2026-12-02T09:15:00Z"),
        ("created_at", "2026-11-30T09:00:00Z"),
        ("is_confirmed", True),
    ]
    hold.refresh_from_db()
    assert hold.status == "confirmed"


def test_it_costs_one_statement(api, clock, django_assert_num_queries):
    hold = make_hold()
    with django_assert_num_queries(1):
        assert confirm(api, hold).status_code == 200


@pytest.mark.parametrize(
    ("age", "status"), [(HOLD - MOMENT, 200), (HOLD, 200), (HOLD + MOMENT, 410)]
)
def test_a_hold_is_confirmable_for_exactly_30_minutes(api, clock, age, status):
    hold = make_hold(age=age)
    assert confirm(api, hold).status_code == status
    hold.refresh_from_db()
    assert hold.status == ("confirmed" if status == 200 else "held")


def test_a_hold_is_confirmable_although_its_notice_has_passed(api, clock):
    hold = make_hold(timeslot=make_timeslot(starts_in=timedelta(hours=24)))
    clock.shift(minutes=30)
    assert confirm(api, hold).status_code == 200


def test_a_hold_that_was_taken_over_stays_lost(api, clock):
    lost = make_hold(age=HOLD + MOMENT)
    other = {"client_id": make_client().pk, "timeslot_id": lost.timeslot_id}
    assert api.post("/client/reserve", other).status_code == 200
    answer = confirm(api, lost)
    assert (answer.status_code, answer.json()["code"]) == (410, "hold_expired")
    assert Reservation.objects.get(status="held").client_id == other["client_id"]


@pytest.mark.parametrize(
    ("status", "age", "code"),
    [
        ("confirmed", HOLD * 0, "already_confirmed"),
        ("confirmed", HOLD * 99, "already_confirmed"),
        ("cancelled", HOLD * 0, "cancelled"),
        ("expired", HOLD * 2, "hold_expired"),
        ("held", HOLD * 2, "hold_expired"),
    ],
)
def test_it_refuses_what_is_not_held(api, clock, status, age, code):
    reservation = make_hold(status=status, age=age)
    answer = confirm(api, reservation)
    assert answer.json()["code"] == code
    assert answer.status_code == (410 if code == "hold_expired" else 409)
    reservation.refresh_from_db()
    assert reservation.status == status


@pytest.mark.parametrize("status", ["held", "confirmed", "expired", "cancelled"])
def test_whose_it_is_comes_before_how_it_stands(api, clock, status):
    reservation = make_hold(status=status)
    answer = confirm(api, reservation, client=make_client())
    assert (answer.status_code, answer.json()["code"]) == (403, "not_your_reservation")
    reservation.refresh_from_db()
    assert reservation.status == status


def test_whether_it_exists_comes_before_whose_it_is(api, clock):
    ids = {"client_id": 2**63 - 1, "reservation_id": 2**63 - 1}
    answer = api.put("/client/confirm", ids)
    assert (answer.status_code, answer.json()["code"]) == (404, "reservation_not_found")


def test_it_goes_by_the_primary_key_whatever_the_statistics_say(api, clock, is_postgresql):
    hold = make_hold()
    finished = {name: getattr(hold, name) for name in ("provider", "timeslot", "client")}
    finished |= {"start_time": hold.start_time, "end_time": hold.end_time, "status": "expired"}
    finished |= {"created_at": hold.created_at, "expires_at": hold.expires_at}
    finished["changed_at"] = hold.changed_at
    Reservation.objects.bulk_create(Reservation(**finished) for _ in range(5000))
    statements = []

    def note(execute, sql, params, many, context):
        statements.append((sql, params))
        return execute(sql, params, many, context)

    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    with connection.execute_wrapper(note):
        assert confirm(api, hold).status_code == 200
    [(sql, params)] = statements
    with connection.cursor() as cursor:
        cursor.execute(("EXPLAIN " if is_postgresql else "EXPLAIN QUERY PLAN ") + sql, params)
        plan = str(cursor.fetchall())
    assert ("scheduling_reservation_pkey" if is_postgresql else "INTEGER PRIMARY KEY") in plan
