"""GET /events: the history that the database writes."""

from contextlib import nullcontext
from datetime import timedelta
from functools import partial

import pytest
from django.core.management import call_command
from django.db import connection, transaction

from scheduling.models import Reservation, ReservationEvent

from . import callers
from .concurrency import at_once, right_after, wait_until
from .factories import make_client, make_hold, make_provider, make_timeslot

DAY = timedelta(days=1)


def events(api, **query):
    answer = api.get("/events", query)
    assert answer.status_code == 200, answer.content
    return answer.json()


def kinds(page):
    return [one["event"].removeprefix("reservation.") for one in page["events"]]


def settled_events(api, number, **query):
    """So many, as soon as they are settled: whoever writes in the same PostgreSQL, be it in another
    database, can hold them back for a while."""
    pages = []

    def have_come():
        pages.append(events(api, **query))
        return len(pages[-1]["events"]) == number

    wait_until(have_come)
    return pages[-1]


def test_each_change_leaves_its_event(api, clock, anything_settled):
    provider, client = make_provider(), make_client()
    timeslots = [make_timeslot(provider, (2 + nth) * DAY) for nth in range(3)]
    asked = {"client_id": client.pk, "timeslot_id": timeslots[0].pk}
    pk = api.post("/client/reserve", asked).json()["Reservation scheduled"]["reservation_id"]
    clock.shift(minutes=1)
    api.put("/client/confirm", {"client_id": client.pk, "reservation_id": pk})
    clock.shift(minutes=1)
    api.put(
        "/client/reschedule",
        {"client_id": client.pk, "reservation_id": pk, "timeslot_id": timeslots[1].pk},
    )
    clock.shift(minutes=1)
    api.put("/provider/cancel", {"reservation_id": pk, "reason": "ill"})
    api.post("/client/reserve", asked | {"timeslot_id": timeslots[2].pk})
    clock.shift(minutes=31)
    call_command("expire_reservations")
    page = events(api)
    assert kinds(page) == [
        *("reserved", "confirmed", "rescheduled", "cancelled", "reserved", "expired")
    ]
    assert list(page["events"][3].items()) == [
        ("event_id", page["events"][3]["event_id"]),
        ("event", "reservation.cancelled"),
        ("happened_at", "2026-11-30T09:03:00Z"),
        ("caused_by", "provider"),
        ("reason", "ill"),
        ("reservation_id", pk),
        ("timeslot_id", timeslots[1].pk),
        ("provider_id", timeslots[1].provider_id),
        ("client_id", client.pk),
        ("start_time", "2026-12-03T09:00:00Z"),
        ("end_time", "2026-12-03T09:15:00Z"),
        ("version", 4),
    ]
    assert [one["version"] for one in page["events"]] == [1, 2, 3, 4, 1, 2]
    assert [one["caused_by"] for one in page["events"]] == [
        *("client", "client", "client", "provider", "client", "service")
    ]
    assert page["events"][-1]["happened_at"] == "2026-11-30T09:34:00Z"


def test_withdrawing_and_taking_over_leave_events_too(api, clock, anything_settled):
    lapsed, firm = make_hold(age=DAY), make_hold(status="confirmed")
    asked = {"client_id": make_client().pk, "timeslot_id": lapsed.timeslot_id}
    api.post("/client/reserve", asked)
    api.delete(
        "/provider/availability",
        {
            "provider_id": firm.provider_id,
            "timeslot_ids": [firm.timeslot_id],
            "cancel_reservations": True,
        },
    )
    assert kinds(events(api)) == [*("reserved", "confirmed", "expired", "reserved", "cancelled")]


def test_moved_to_another_provider_it_leaves_an_event_with_either(api, clock, anything_settled):
    hold, timeslot = make_hold(), make_timeslot()
    ids = {"client_id": hold.client_id, "reservation_id": hold.pk}
    api.put("/client/reschedule", ids | {"timeslot_id": timeslot.pk})
    assert kinds(events(api)) == ["reserved", "moved_away", "rescheduled"]
    left = events(api, provider_id=hold.provider_id)["events"][-1]
    found = events(api, provider_id=timeslot.provider_id)["events"][-1]
    assert (left["event"], found["event"]) == ("reservation.moved_away", "reservation.rescheduled")
    assert (left["timeslot_id"], found["timeslot_id"]) == (hold.timeslot_id, timeslot.pk)
    assert left["version"] == found["version"] == 2
    assert left["start_time"] == found["start_time"] == "2026-12-02T09:00:00Z"


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"status": "confirmed"}, "confirmed"),
        ({"status": "cancelled"}, "cancelled"),
        ({"status": "expired"}, "expired"),
        ({"expires_at": "2030-01-01T00:00Z"}, "changed"),
        ({"reason": ""}, "changed"),
    ],
)
def test_a_change_around_the_service_leaves_its_event(change, kind):
    hold = make_hold()
    Reservation.objects.filter(pk=hold.pk).update(**change)
    found = ReservationEvent.objects.order_by("pk").values_list("kind", "reservation_id")
    assert list(found) == [("reserved", hold.pk), (kind, hold.pk)]


def test_a_refused_change_leaves_none(api, clock):
    hold = make_hold(age=DAY)
    before = ReservationEvent.objects.count()
    ids = {"client_id": hold.client_id, "reservation_id": hold.pk}
    assert api.put("/client/confirm", ids).status_code == 410
    assert api.put("/client/cancel", ids).status_code == 410
    assert ReservationEvent.objects.count() == before


def test_reserve_and_confirm_stay_one_statement(api, clock, django_assert_num_queries):
    asked = {"client_id": make_client().pk, "timeslot_id": make_timeslot().pk}
    with django_assert_num_queries(1):
        answer = api.post("/client/reserve", asked).json()["Reservation scheduled"]
    asked = {"client_id": asked["client_id"], "reservation_id": answer["reservation_id"]}
    with django_assert_num_queries(1):
        assert api.put("/client/confirm", asked).status_code == 200
    assert ReservationEvent.objects.count() == 2


def test_a_reader_goes_on_where_the_last_page_ended(api, clock, anything_settled):
    assert events(api) == {"events": [], "after": None, "has_more": False}
    for _ in range(5):
        make_hold()
    found, after, more = [], {}, True
    while more:
        page = events(api, limit=2, **after)
        found += [one["event_id"] for one in page["events"]]
        after, more = {"after": page["after"]}, page["has_more"]
    assert found == list(ReservationEvent.objects.order_by("pk").values_list("pk", flat=True))
    assert events(api, **after) == {"events": [], **after, "has_more": False}
    make_hold(status="confirmed")
    assert kinds(events(api, **after)) == ["confirmed"]


@pytest.mark.parametrize("cursor", ["x", "WzEsMV0", "WzAsMV0=", "WzEsIngiXQ==", "WzFd"])
def test_it_refuses_a_position_made_by_hand(api, cursor):
    answer = api.get("/events", {"after": cursor})
    assert answer.status_code == 400
    assert [one["field"] for one in answer.json()["errors"]] == ["after"]


@pytest.mark.django_db(transaction=True)
def test_a_position_of_another_database_is_refused(api, is_postgresql):
    """Restored elsewhere, transactions are numbered anew: reading on would miss events."""
    far = "Wzk5OTk5OTk5OTk5OSwxXQ=="
    answer = api.get("/events", {"after": far})
    if is_postgresql:
        assert answer.json()["errors"][0]["code"] == "unknown_position"
    else:
        assert answer.json()["events"] == []


@pytest.mark.django_db(transaction=True)
def test_an_event_that_commits_late_is_never_skipped(api, is_postgresql):
    """Its id would be lower than those that a reader has seen; so they wait for it."""
    first, second = make_hold(), make_hold()
    start = settled_events(api, 2)["after"]
    early = []

    def others():
        Reservation.objects.filter(pk=second.pk).update(status="confirmed")
        early.append(events(api, after=start))

    if is_postgresql:
        with right_after("UPDATE", others), transaction.atomic():
            Reservation.objects.filter(pk=first.pk).update(status="confirmed")
        [page] = early
        assert page["events"] == []
        assert page["after"] == start
    else:
        Reservation.objects.filter(pk=first.pk).update(status="confirmed")
        at_once(others)
    page = settled_events(api, 2, after=start)
    assert {one["reservation_id"] for one in page["events"]} == {first.pk, second.pk}


@pytest.mark.django_db(transaction=True)
def test_a_change_that_waited_for_another_comes_after_it(api, clock, is_postgresql):
    """A reschedule locks the timeslot, then waits for the reservation: the number of its
    transaction can be lower than that of the change which it waits for."""
    hold, timeslot = make_hold(), make_timeslot(starts_in=3 * DAY)
    ids = {"client_id": hold.client_id, "reservation_id": hold.pk}

    def confirm():
        Reservation.objects.confirm(reservation_id=hold.pk, client_id=hold.client_id, now=clock.now)

    # SQLite has one writer: nobody overtakes.
    with right_after('SELECT "scheduling_timeslot"', confirm) if is_postgresql else nullcontext():
        if not is_postgresql:
            confirm()
        answer = api.put("/client/reschedule", ids | {"timeslot_id": timeslot.pk})
        assert answer.status_code == 200
    page = settled_events(api, 4)
    assert kinds(page) == ["reserved", "confirmed", "moved_away", "rescheduled"]
    assert [one["version"] for one in page["events"]] == [1, 2, 3, 3]


@pytest.mark.django_db(transaction=True)
def test_readers_miss_nothing_while_many_write(api):
    """A reader who goes on page by page finds what there is in the end, each once, in order."""
    provider = make_provider()
    timeslots = [make_timeslot(provider, (2 + nth) * DAY) for nth in range(24)]
    clients = [make_client() for _ in range(4)]
    found = []

    def write(client, mine):
        for timeslot in mine:
            asked = {"client_id": client.pk, "timeslot_id": timeslot.pk}
            with transaction.atomic():
                answer = api.post("/client/reserve", asked).json()["Reservation scheduled"]
                ids = {"client_id": client.pk, "reservation_id": answer["reservation_id"]}
                api.put("/client/confirm", ids)

    def read():
        after = {}
        for _ in range(60):
            page = events(api, limit=5, **after)
            found.extend(one["event_id"] for one in page["events"])
            after = {"after": page["after"]} if page["after"] else {}
        return after

    *_, after = at_once(
        *(partial(write, client, timeslots[nth::4]) for nth, client in enumerate(clients)), read
    )
    page = settled_events(api, 48 - len(found), **after)
    found.extend(one["event_id"] for one in page["events"])
    assert len(found) == len(set(found)) == 48
    assert set(found) == set(ReservationEvent.objects.values_list("pk", flat=True))


def test_each_sees_its_own(api, clock, settings, anything_settled):
    provider, client = make_provider(), make_client()
    ours = make_hold(make_timeslot(provider), client)
    as_provider, as_client = make_hold(make_timeslot(provider, 3 * DAY)), make_hold(client=client)
    strangers = make_hold()
    settings.AUTHENTICATION = "required"

    def seen(**query):
        return [one["reservation_id"] for one in events(api, **query)["events"]]

    callers.signed_in(api, provider=provider)
    assert seen() == seen(provider_id=provider.pk) == [ours.pk, as_provider.pk]
    assert api.get("/events", {"client_id": client.pk}).status_code == 403
    assert api.get("/events", {"provider_id": strangers.provider_id}).status_code == 403
    callers.signed_in(api, email="alan@example.org", client=client)
    assert seen() == seen(client_id=client.pk) == [ours.pk, as_client.pk]
    callers.staff(api)
    everything = [ours.pk, as_provider.pk, as_client.pk, strangers.pk]
    assert seen() == everything
    assert seen(client_id=strangers.client_id) == [strangers.pk]
    callers.service(api, "events")
    assert seen() == everything
    assert seen(provider_id=strangers.provider_id) == [strangers.pk]


def test_an_account_that_is_both_sees_what_concerns_either(api, clock, settings, anything_settled):
    provider, client = make_provider(), make_client()
    holds = [make_hold(make_timeslot(provider)), make_hold(client=client)]
    make_hold()
    settings.AUTHENTICATION = "required"
    callers.signed_in(api, provider=provider, client=client)
    found = [one["reservation_id"] for one in events(api)["events"]]
    assert found == [hold.pk for hold in holds]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("whose", "index"),
    [
        ({}, "scheduling_events_in_order"),
        ({"provider_id": 2**40}, "scheduling_events_of_provider"),
        ({"client_id": 2**40}, "scheduling_events_of_client"),
    ],
)
def test_it_is_read_by_its_index(whose, index):
    make_hold()
    row = ReservationEvent.objects.get()
    fields = {field.attname: getattr(row, field.attname) for field in row._meta.fields}
    ReservationEvent.objects.bulk_create(
        ReservationEvent(**fields | {"id": None, "provider_id": nth, "client_id": nth})
        for nth in range(2000)
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    of = {"provider_id": None, "client_id": None} | whose
    # All of them come after it: where none seems to, one index is as short as the other.
    found = ReservationEvent.objects.settled().after((row.transaction_id - 1, 5)).of(**of)
    assert index in found[:20].explain()
