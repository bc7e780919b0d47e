"""DELETE /provider/availability."""

from datetime import timedelta

import pytest

from scheduling.models import Reservation, Timeslot

from .factories import QUARTER, make_client, make_hold, make_provider, make_timeslot

DAY = timedelta(days=1)
TICK = timedelta(microseconds=1)
LAPSED = timedelta(minutes=31)


@pytest.fixture
def morning(clock, db):
    """A provider with four timeslots, two days ahead."""
    provider = make_provider()
    return [make_timeslot(provider, starts_in=2 * DAY + nth * QUARTER) for nth in range(4)]


def withdraw(api, provider, **body):
    return api.delete("/provider/availability", {"provider_id": provider.pk, **body})


def window(first, last, **body):
    return {"start_time": first.isoformat(), "end_time": last.isoformat(), **body}


def removed(answer):
    assert answer.status_code == 200, answer.content
    return [timeslot["timeslot_id"] for timeslot in answer.json()["removed timeslots"]]


def left():
    return set(Timeslot.objects.values_list("pk", flat=True))


def ids(timeslots):
    return [timeslot.pk for timeslot in timeslots]


def test_it_removes_the_timeslots_of_a_window(api, morning):
    provider = morning[0].provider
    bystander = make_timeslot(starts_in=2 * DAY)
    answer = withdraw(api, provider, **window(morning[1].start_time, morning[2].end_time))
    assert answer.status_code == 200
    assert list(answer.json()) == ["removed timeslots", "cancelled reservations"]
    assert answer.json()["cancelled reservations"] == []
    first = answer.json()["removed timeslots"][0]
    assert list(first.items()) == [
        ("timeslot_id", morning[1].pk),
        ("provider_id", provider.pk),
        ("first_name", "Ada"),
        ("last_name", "Lovelace"),
        ("start_time", "2026-12-02T09:15:00Z"),
        ("end_time", "2026-12-02T09:30:00Z"),
        ("is_available", False),
    ]
    assert removed(answer) == ids(morning[1:3])
    assert left() == {*ids([morning[0], morning[3], bystander])}
    listed = api.get("/client/getProviderAvailability", {"provider_id": provider.pk}).json()
    assert [one["timeslot_id"] for one in listed["available timeslots"]] == ids(
        [morning[0], morning[3]]
    )


@pytest.mark.parametrize(
    ("opens", "closes", "gone"),
    [
        (-TICK, timedelta(0), []),
        (-QUARTER, TICK, [0]),
        (QUARTER - TICK, QUARTER, [0]),
        (QUARTER, QUARTER + TICK, [1]),
        (QUARTER - TICK, QUARTER + TICK, [0, 1]),
        (QUARTER * 4 - TICK, DAY, [3]),
        (QUARTER * 4, DAY, []),
        (-DAY, DAY, [0, 1, 2, 3]),
    ],
)
def test_what_lies_partly_within_goes_too(api, morning, opens, closes, gone):
    since = morning[0].start_time
    answer = withdraw(api, morning[0].provider, **window(since + opens, since + closes))
    assert removed(answer) == [morning[nth].pk for nth in gone]
    assert len(left()) == 4 - len(gone)


def test_it_removes_timeslots_by_their_ids(api, morning):
    answer = withdraw(
        api, morning[0].provider, timeslot_ids=[morning[2].pk, str(morning[0].pk), morning[2].pk]
    )
    assert removed(answer) == ids([morning[0], morning[2]])
    assert left() == {*ids([morning[1], morning[3]])}


def test_the_query_says_it_as_well_as_the_body(api, morning):
    """Some clients and proxies send no body with a DELETE."""
    query = f"provider_id={morning[0].provider_id}&cancel_reservations=true"
    hold = make_hold(morning[1])
    by_ids = f"{query}&timeslot_ids={morning[0].pk},{morning[1].pk}"
    answer = api.delete(f"/provider/availability?{by_ids}")
    assert removed(answer) == ids(morning[:2])
    assert answer.json()["cancelled reservations"][0]["reservation_id"] == hold.pk
    by_window = f"{query}&start_time=2026-12-02T09:30:00Z&end_time=2026-12-02T10:00:00Z"
    assert removed(api.delete(f"/provider/availability?{by_window}")) == ids(morning[2:])


@pytest.mark.parametrize("status", ["held", "confirmed"])
@pytest.mark.parametrize("cancel", [{}, {"cancel_reservations": False}])
@pytest.mark.parametrize("by_ids", [False, True])
def test_what_is_reserved_stays_and_all_the_rest_with_it(api, morning, status, cancel, by_ids):
    make_hold(morning[0], age=LAPSED)
    reservation = make_hold(morning[1], status=status)
    asked = {"timeslot_ids": ids(morning)} if by_ids else window(*edges(morning))
    answer = withdraw(api, morning[0].provider, **asked, **cancel)
    assert (answer.status_code, answer.json()["code"]) == (409, "timeslots_reserved")
    assert answer.json()["timeslot_ids"] == [morning[1].pk]
    assert answer.json()["reservation_ids"] == [reservation.pk]
    assert left() == {*ids(morning)}
    assert set(Reservation.objects.values_list("status", flat=True)) == {"held", status}


def edges(timeslots):
    return timeslots[0].start_time, timeslots[-1].end_time


def test_with_leave_it_cancels_what_is_reserved(api, morning, clock):
    hold, firm = make_hold(morning[0]), make_hold(morning[1], status="confirmed")
    lapsed = make_hold(morning[2], age=LAPSED)
    before = make_hold(morning[3], status="expired")
    elsewhere = make_hold(status="confirmed")
    answer = withdraw(
        api,
        morning[0].provider,
        **window(*edges(morning)),
        cancel_reservations=True,
        reason=" ill ",
    )
    assert removed(answer) == ids(morning)
    cancelled = answer.json()["cancelled reservations"]
    assert [one["reservation_id"] for one in cancelled] == [hold.pk, firm.pk]
    assert list(cancelled[0]) == [
        *("reservation_id", "timeslot_id", "provider_id", "client_id"),
        *("start_time", "end_time", "created_at", "is_confirmed"),
    ]
    assert not any(one["is_confirmed"] for one in cancelled)
    rows = Reservation.objects.order_by("pk").values_list(
        "pk", "status", "changed_by", "reason", "version"
    )
    assert list(rows) == [
        (hold.pk, "cancelled", "provider", "ill", 2),
        (firm.pk, "cancelled", "provider", "ill", 2),
        (lapsed.pk, "expired", "service", "", 2),
        (before.pk, "expired", "client", "", 1),
        (elsewhere.pk, "confirmed", "client", "", 1),
    ]
    assert Reservation.objects.get(pk=hold.pk).cancelled_at == clock.now


def test_the_history_outlasts_the_timeslot(api, morning):
    reservation = make_hold(morning[0], status="confirmed")
    asked = {"timeslot_ids": [morning[0].pk], "cancel_reservations": True}
    withdraw(api, morning[0].provider, **asked, reason="The practice is closed.")
    answer = api.get("/client/reservation", {"reservation_id": reservation.pk}).json()
    assert answer["reservation"] | {"timeslot_id": morning[0].pk} == answer["reservation"]
    assert answer["reservation"]["status"] == "cancelled"
    assert answer["reservation"]["reason"] == "The practice is closed."
    for call in (
        ("/client/confirm", {"client_id": reservation.client_id}),
        ("/client/cancel", {}),
    ):
        path, who = call
        answer = api.put(path, {"reservation_id": reservation.pk, **who})
        assert (answer.status_code, answer.json()["code"]) == (409, "cancelled")


def test_what_was_withdrawn_cannot_be_reserved_and_can_be_published_again(api, morning):
    provider = morning[0].provider
    make_hold(morning[0], status="confirmed")
    withdraw(api, provider, **window(*edges(morning)), cancel_reservations=True)
    asked = {"client_id": make_client().pk, "timeslot_id": morning[0].pk}
    answer = api.post("/client/reserve", asked)
    assert (answer.status_code, answer.json()["code"]) == (404, "timeslot_not_found")
    again = api.post(
        "/provider/availability", {"provider_id": provider.pk, **window(*edges(morning))}
    )
    assert again.status_code == 201
    new = [one["timeslot_id"] for one in again.json()["available timeslots"]]
    assert not {*new} & {*ids(morning)}


def test_nothing_there_is_nothing_to_remove(api, morning):
    far = morning[0].start_time + 9 * DAY
    answer = withdraw(api, morning[0].provider, **window(far, far + DAY))
    assert answer.json() == {"removed timeslots": [], "cancelled reservations": []}


@pytest.mark.parametrize("whose", ["nobody's", "another's"])
def test_an_id_that_is_not_the_providers_removes_nothing(api, morning, whose):
    other = make_timeslot().pk if whose == "another's" else 2**62
    answer = withdraw(api, morning[0].provider, timeslot_ids=[morning[0].pk, other])
    assert (answer.status_code, answer.json()["code"]) == (404, "timeslot_not_found")
    assert str(other) in answer.json()["detail"]
    assert {*ids(morning)} <= left()


def test_an_unknown_provider(api, clock):
    answer = api.delete("/provider/availability", {"provider_id": 1, "timeslot_ids": [1]})
    assert (answer.status_code, answer.json()["code"]) == (404, "provider_not_found")


@pytest.mark.parametrize(
    ("body", "field", "code"),
    [
        ({}, "start_time", "required"),
        ({"start_time": "2026-12-02T09:00:00Z"}, "end_time", "required"),
        ({"end_time": "2026-12-02T09:00:00Z"}, "start_time", "required"),
        ({"start_time": "2026-12-02T09:00:00Z", "timeslot_ids": [1]}, "start_time", "one_form"),
        (
            {"start_time": "2026-12-02T09:00:00Z", "end_time": "2026-12-02T09:00:00Z"},
            "end_time",
            "end_before_start",
        ),
        ({"timeslot_ids": []}, "timeslot_ids", "invalid"),
        ({"timeslot_ids": list(range(1, 1002))}, "timeslot_ids", "invalid"),
        ({"timeslot_ids": [1.5]}, "timeslot_ids", "invalid"),
        ({"timeslot_ids": {"1": 1}}, "timeslot_ids", "invalid"),
        ({"timeslot_ids": [1], "cancel_reservations": 1}, "cancel_reservations", "invalid"),
        ({"timeslot_ids": [1], "cancel_reservations": "yes"}, "cancel_reservations", "invalid"),
        ({"timeslot_ids": [1], "reason": 1}, "reason", "invalid"),
        ({"timeslot_ids": [1], "reason": "x" * 501}, "reason", "max_length"),
        ({"timeslot_ids": [1], "reason": "a\x00b"}, "reason", "control_character"),
    ],
)
def test_it_refuses_what_it_cannot_understand(api, morning, body, field, code):
    answer = withdraw(api, morning[0].provider, **body)
    assert answer.status_code == 400
    [error] = answer.json()["errors"]
    assert (error["field"], error["code"]) == (field, code)
    assert left() == {*ids(morning)}


@pytest.mark.parametrize("count", [1, 4])
def test_it_costs_the_same_statements_however_many_go(
    api, morning, count, django_assert_num_queries
):
    make_hold(morning[0])
    asked = window(*edges(morning[:count]), cancel_reservations=True)
    with django_assert_num_queries(8):  # BEGIN and COMMIT (here: a savepoint) among them
        assert len(removed(withdraw(api, morning[0].provider, **asked))) == count


def test_a_year_of_quarter_hours_goes_at_once(api, clock):
    provider = make_provider()
    year = window(clock.now.replace(minute=0), clock.now.replace(minute=0) + 365 * DAY)
    assert api.post("/provider/availability", {"provider_id": provider.pk, **year}).status_code == (
        201
    )
    assert len(removed(withdraw(api, provider, **year))) == 365 * 24 * 4
    assert not left()


def test_at_most_50_000_timeslots_go_at_once(api, clock):
    provider = make_provider()
    whole = window(clock.now, clock.now + 50_001 * timedelta(minutes=5))
    Timeslot.objects.bulk_create(
        Timeslot(
            provider=provider,
            start_time=clock.now + nth * timedelta(minutes=5),
            end_time=clock.now + (nth + 1) * timedelta(minutes=5),
        )
        for nth in range(50_001)
    )
    answer = withdraw(api, provider, **whole)
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["code"] == "too_many_timeslots"
    assert Timeslot.objects.count() == 50_001
    some = window(clock.now, clock.now + 50_000 * timedelta(minutes=5))
    assert len(removed(withdraw(api, provider, **some))) == 50_000
