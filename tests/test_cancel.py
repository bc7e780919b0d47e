"""PUT /client/cancel and PUT /provider/cancel."""

from datetime import timedelta

import pytest

from scheduling.models import Reservation

from .factories import make_client, make_hold, make_provider, make_timeslot

DAY = timedelta(days=1)
TICK = timedelta(microseconds=1)
HALF_AN_HOUR = timedelta(minutes=30)

by_each_party = pytest.mark.parametrize("party", ["client", "provider"])


def cancel(api, party, reservation, **body):
    return api.put(f"/{party}/cancel", {"reservation_id": reservation.pk, **body})


def refused(answer, status, code):
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.content
    return True


@by_each_party
@pytest.mark.parametrize("status", ["held", "confirmed"])
@pytest.mark.parametrize("says_who", [True, False])
def test_it_gives_a_reservation_up(api, clock, party, status, says_who):
    reservation = make_hold(status=status)
    who = {f"{party}_id": getattr(reservation, f"{party}_id")} if says_who else {}
    answer = cancel(api, party, reservation, **who, reason="  No longer needed. ")
    assert answer.status_code == 200
    assert list(answer.json()) == ["Reservation cancelled"]
    assert list(answer.json()["Reservation cancelled"].items()) == [
        ("reservation_id", reservation.pk),
        ("timeslot_id", reservation.timeslot_id),
        ("provider_id", reservation.provider_id),
        ("client_id", reservation.client_id),
        ("start_time", "2026-12-02T09:00:00Z"),
        ("end_time", "2026-12-02T09:15:00Z"),
        ("created_at", "2026-11-30T09:00:00Z"),
        ("is_confirmed", False),
    ]
    reservation.refresh_from_db()
    assert (reservation.status, reservation.cancelled_by) == ("cancelled", party)
    assert (reservation.reason, reservation.cancelled_at) == ("No longer needed.", clock.now)


@by_each_party
def test_the_timeslot_is_bookable_again_by_the_usual_rules(api, clock, party):
    reservation = make_hold(make_timeslot(starts_in=DAY), status="confirmed")
    cancel(api, party, reservation)
    provider = {"provider_id": reservation.provider_id}
    listed = api.get("/client/getProviderAvailability", provider).json()["available timeslots"]
    assert [one["timeslot_id"] for one in listed] == [reservation.timeslot_id]
    asked = {"client_id": make_client().pk, "timeslot_id": reservation.timeslot_id}
    clock.shift(microseconds=1)
    assert refused(api.post("/client/reserve", asked), 409, "notice_too_short")
    clock.shift(microseconds=-1)
    assert api.post("/client/reserve", asked).status_code == 200


@by_each_party
@pytest.mark.parametrize("before", ["client", "provider"])
def test_a_second_time_says_that_it_is_cancelled(api, clock, party, before):
    reservation = make_hold()
    assert cancel(api, before, reservation, reason="first").status_code == 200
    assert refused(cancel(api, party, reservation, reason="second"), 409, "cancelled")
    reservation.refresh_from_db()
    assert (reservation.cancelled_by, reservation.reason) == (before, "first")


@by_each_party
@pytest.mark.parametrize(("late", "status"), [(-TICK, 200), (timedelta(0), 200), (TICK, 410)])
def test_a_hold_can_be_given_up_until_its_deadline(api, clock, party, late, status):
    reservation = make_hold(age=HALF_AN_HOUR + late)
    answer = cancel(api, party, reservation)
    assert answer.status_code == status
    if status == 410:
        assert refused(answer, 410, "hold_expired")
        reservation.refresh_from_db()
        assert (reservation.status, reservation.version) == ("held", 1)


@by_each_party
def test_what_has_expired_stays_expired(api, clock, party):
    assert refused(cancel(api, party, make_hold(status="expired")), 410, "hold_expired")


@by_each_party
def test_somebody_elses_reservation_answers_as_one_that_does_not_exist(api, clock, party):
    reservation = make_hold()
    other = {"client": make_client, "provider": make_provider}[party]()
    answer = cancel(api, party, reservation, **{f"{party}_id": other.pk})
    assert refused(answer, 404, "reservation_not_found")
    reservation.pk = 2**62
    assert cancel(api, party, reservation).content == answer.content
    assert Reservation.objects.get().status == "held"


@pytest.mark.parametrize("notice", [0, 3600])
@pytest.mark.parametrize("late", [-TICK, timedelta(0), TICK])
@pytest.mark.parametrize("status", ["held", "confirmed"])
def test_a_client_is_too_late_within_the_cancel_notice(api, clock, settings, notice, late, status):
    settings.CANCEL_NOTICE = timedelta(seconds=notice)
    timeslot = make_timeslot(starts_in=settings.CANCEL_NOTICE - late)
    reservation = make_hold(timeslot, status=status)
    answer = cancel(api, "client", reservation)
    if late > timedelta(0):
        assert refused(answer, 409, "too_late_to_cancel")
        reservation.refresh_from_db()
        assert reservation.status == status
        # Who does not come is sometimes the provider.
        answer = cancel(api, "provider", reservation)
    assert answer.status_code == 200


@by_each_party
@pytest.mark.parametrize(
    ("body", "field", "code"),
    [
        ({"reason": 1}, "reason", "invalid"),
        ({"reason": None}, "reason", "null"),
        ({"reason": "x" * 501}, "reason", "max_length"),
        ({"reason": "a\nb"}, "reason", "control_character"),
    ],
)
def test_a_reason_is_a_line_of_at_most_500_characters(api, clock, party, body, field, code):
    reservation = make_hold()
    answer = cancel(api, party, reservation, **body)
    assert answer.status_code == 400
    assert [(one["field"], one["code"]) for one in answer.json()["errors"]] == [(field, code)]
    assert cancel(api, party, reservation, reason="\u00e9" * 500).status_code == 200


@by_each_party
def test_it_costs_five_statements(api, clock, party, django_assert_num_queries):
    reservation = make_hold()
    with django_assert_num_queries(5):  # BEGIN and COMMIT (here: a savepoint) among them
        cancel(api, party, reservation)
