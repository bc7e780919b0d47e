"""The history passed on: by one at a time, past nothing, and after a restore too."""

import pytest
from django.core.management import call_command
from django.db import connection
from django.db.models import BigIntegerField, F, Value

from scheduling import relay
from scheduling.models import EventReader, Reservation, ReservationEvent

from .concurrency import at_once, wait_until
from .factories import make_hold

pytestmark = pytest.mark.django_db(transaction=True)
READER = "webhooks"


def follow():
    """What is passed on, once everything that happened is settled."""
    wait_until(
        lambda: ReservationEvent.objects.settled().count() == ReservationEvent.objects.count()
    )
    passed_on = []
    relay.follow(READER, passed_on.extend)
    return [event.reservation_id for event in passed_on]


def test_each_event_is_passed_on_once_in_order(monkeypatch):
    monkeypatch.setattr(relay, "BATCH", 2)
    EventReader.objects.get_or_create(name=READER)
    holds = [make_hold().pk for _ in range(5)]
    assert follow() == holds
    assert follow() == []
    last = make_hold().pk
    assert follow() == [last]


def test_what_could_not_be_kept_is_passed_on_again():
    """What `pass_on` stores and the position go together or not at all."""
    hold = make_hold()
    wait_until(ReservationEvent.objects.settled().exists)

    def fail(events):
        Reservation.objects.filter(pk=hold.pk).update(status="confirmed")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        relay.follow(READER, fail)
    assert Reservation.objects.get().status == "held"
    assert follow() == [hold.pk]


def test_of_several_at_once_each_event_goes_to_one():
    holds = [make_hold().pk for _ in range(6)]
    found = at_once(*[follow] * 3)
    assert sorted(pk for one in found for pk in one) == holds


def test_a_lease_is_had_by_one_until_it_is_released_or_over(clock):
    EventReader.objects.get_or_create(name=READER)
    with relay.lease(READER) as mine:
        assert mine.keep()
        with relay.lease(READER) as theirs:
            assert theirs is None
        clock.shift(seconds=31)
        assert mine.keep()  # renewed
        clock.shift(seconds=59)
        with relay.lease(READER) as theirs:
            assert theirs is None
        clock.shift(seconds=2)
        with relay.lease(READER) as theirs:
            assert theirs is not None
            assert not mine.keep()
    with relay.lease(READER) as anew:
        assert anew is not None


def restore_elsewhere():
    """As after a dump and a restore: the numbers are those of another server."""
    elsewhere = F("transaction_id") + Value(10**12, BigIntegerField())
    ReservationEvent.objects.update(transaction_id=elsewhere)
    EventReader.objects.update(transaction_id=elsewhere)
    with connection.cursor() as cursor:  # a restore fires no triggers
        cursor.execute("SET session_replication_role = replica")
        cursor.execute("UPDATE scheduling_reservation SET transaction_id = transaction_id + 1e12")
        cursor.execute("RESET session_replication_role")


def test_after_a_restore_it_goes_on_where_it_was(api, is_postgresql):
    if not is_postgresql:  # which numbers no transactions
        assert relay.renumber() == 0
        return
    EventReader.objects.get_or_create(name=READER)
    read = [make_hold().pk for _ in range(2)]
    assert follow() == read
    unread = [make_hold().pk for _ in range(2)]
    restore_elsewhere()
    new = make_hold().pk
    call_command("purge", verbosity=0)
    assert follow() == [*unread, new]
    found = [one["reservation_id"] for one in api.get("/events").json()["events"]]
    assert found == [*read, *unread, new]
    assert relay.renumber() == 0
    Reservation.objects.filter(pk=read[0]).update(status="confirmed")
    assert follow() == [read[0]]


def test_control_without_it_nothing_more_is_passed_on(is_postgresql):
    if not is_postgresql:
        return
    EventReader.objects.get_or_create(name=READER)
    make_hold()
    follow()
    restore_elsewhere()
    make_hold()
    wait_until(lambda: ReservationEvent.objects.settled().count() == 1)
    relay.follow(READER, pytest.fail)
