"""PUT /client/reschedule."""

from datetime import timedelta

import pytest

from scheduling.models import Reservation

from .factories import QUARTER, make_client, make_hold, make_provider, make_timeslot

DAY = timedelta(days=1)
TICK = timedelta(microseconds=1)
HALF_AN_HOUR = timedelta(minutes=30)


@pytest.fixture
def reservation(clock, db):
    return make_hold(status="confirmed")


def move(api, reservation, timeslot, **other):
    return api.put(
        "/client/reschedule",
        {
            "client_id": reservation.client_id,
            "reservation_id": reservation.pk,
            "timeslot_id": timeslot.pk,
            **other,
        },
    )


def refused(answer, status, code):
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.content
    return True


def rows():
    return list(Reservation.objects.order_by("pk").values_list())


@pytest.mark.parametrize("status", ["held", "confirmed"])
def test_it_moves_a_reservation_with_its_id_and_status(api, clock, status):
    old = make_hold(status=status, age=timedelta(minutes=10))
    timeslot = make_timeslot(old.provider, starts_in=3 * DAY, length=2 * QUARTER)
    answer = move(api, old, timeslot)
    assert answer.status_code == 200
    assert list(answer.json()) == ["Reservation rescheduled"]
    assert list(answer.json()["Reservation rescheduled"].items()) == [
        ("reservation_id", old.pk),
        ("timeslot_id", timeslot.pk),
        ("provider_id", old.provider_id),
        ("client_id", old.client_id),
        ("start_time", "2026-12-03T09:00:00Z"),
        ("end_time", "2026-12-03T09:30:00Z"),
        ("created_at", "2026-11-30T08:50:00Z"),
        ("is_confirmed", status == "confirmed"),
    ]
    now = Reservation.objects.get()
    assert (now.status, now.expires_at) == (status, old.expires_at)
    provider = {"provider_id": old.provider_id}
    listed = api.get("/client/getProviderAvailability", provider).json()["available timeslots"]
    assert [one["timeslot_id"] for one in listed] == [old.timeslot_id]


def test_it_may_be_another_providers_timeslot(api, reservation):
    timeslot = make_timeslot(make_provider("Grace", "Hopper"))
    moved = move(api, reservation, timeslot).json()["Reservation rescheduled"]
    assert moved["provider_id"] == timeslot.provider_id
    assert Reservation.objects.get().provider_id == timeslot.provider_id


def test_a_hold_keeps_its_deadline(api, clock):
    hold = make_hold(age=HALF_AN_HOUR)
    assert move(api, hold, make_timeslot()).status_code == 200
    clock.shift(microseconds=1)
    asked = {"client_id": hold.client_id, "reservation_id": hold.pk}
    assert refused(api.put("/client/confirm", asked), 410, "hold_expired")


@pytest.mark.parametrize("status", ["held", "confirmed"])
def test_a_taken_timeslot_leaves_the_old_one(api, reservation, status):
    other = make_hold(status=status)
    before = rows()
    assert refused(move(api, reservation, other.timeslot), 409, "timeslot_taken")
    assert rows() == before


def test_its_own_timeslot_is_taken_by_itself(api, reservation):
    assert refused(move(api, reservation, reservation.timeslot), 409, "timeslot_taken")
    assert rows()[0][-4] == 1  # its version


def test_it_takes_the_place_of_a_lapsed_hold(api, reservation):
    lapsed = make_hold(age=HALF_AN_HOUR + TICK)
    assert move(api, reservation, lapsed.timeslot).status_code == 200
    lapsed.refresh_from_db()
    assert (lapsed.status, lapsed.version) == ("expired", 2)


@pytest.mark.parametrize(("short", "status"), [(timedelta(0), 200), (TICK, 409)])
@pytest.mark.parametrize("grace", [0, 300])
def test_the_new_timeslot_is_as_far_ahead_as_any(api, reservation, settings, short, status, grace):
    settings.NOTICE_GRACE = timedelta(seconds=grace)
    timeslot = make_timeslot(starts_in=DAY - settings.NOTICE_GRACE - short)
    answer = move(api, reservation, timeslot)
    assert answer.status_code == status
    if status == 409:
        assert refused(answer, 409, "notice_too_short")
        assert Reservation.objects.get().timeslot_id == reservation.timeslot_id


@pytest.mark.parametrize("notice", [0, 3600])
@pytest.mark.parametrize(("late", "status"), [(timedelta(0), 200), (TICK, 409)])
def test_giving_the_old_timeslot_up_is_a_cancellation(api, clock, settings, notice, late, status):
    settings.CANCEL_NOTICE = timedelta(seconds=notice)
    old = make_hold(make_timeslot(starts_in=settings.CANCEL_NOTICE - late), status="confirmed")
    answer = move(api, old, make_timeslot())
    assert answer.status_code == status
    if status == 409:
        assert refused(answer, 409, "too_late_to_cancel")


@pytest.mark.parametrize(
    ("status", "age", "code"),
    [
        ("cancelled", timedelta(0), 409),
        ("expired", timedelta(0), 410),
        ("held", HALF_AN_HOUR + TICK, 410),
    ],
)
def test_what_is_no_longer_live_is_not_moved(api, clock, status, age, code):
    ended = make_hold(status=status, age=age)
    before = rows()
    answer = move(api, ended, make_timeslot())
    assert refused(answer, code, "cancelled" if code == 409 else "hold_expired")
    assert rows() == before


def test_ids_that_are_not_there(api, reservation):
    timeslot = make_timeslot()
    answer = move(api, reservation, timeslot, timeslot_id=2**62)
    assert refused(answer, 404, "timeslot_not_found")
    answer = move(api, reservation, timeslot, reservation_id=2**62)
    assert refused(answer, 404, "reservation_not_found")
    # Of somebody else's reservation no more is said than of none.
    others = move(api, reservation, timeslot, client_id=make_client().pk)
    assert others.content == answer.content
    assert Reservation.objects.get().timeslot_id == reservation.timeslot_id


def test_it_does_not_count_as_another_hold(api, clock, settings):
    settings.MAX_HOLDS_PER_CLIENT = 1
    hold = make_hold()
    assert move(api, hold, make_timeslot()).status_code == 200


def test_it_costs_seven_statements(api, reservation, django_assert_num_queries):
    timeslot = make_timeslot()
    with django_assert_num_queries(7):  # BEGIN and COMMIT (here: a savepoint) among them
        move(api, reservation, timeslot)
