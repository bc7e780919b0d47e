"""manage.py forget_client: a person goes from both databases, and the figures stay."""

from datetime import timedelta
from io import StringIO

import pytest
from axes.models import AccessAttempt
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.contrib.contenttypes.models import ContentType
from django.core.management import CommandError, call_command
from django.db import OperationalError, connections, transaction

from analytics import archive, erasure, store
from analytics.models import ArchivedClient, ArchivedEvent, ArchivedReservation
from scheduling import accounts
from scheduling.models import (
    CalendarLink,
    Client,
    Notification,
    Reservation,
    ReservationEvent,
    SignIn,
    StoredAnswer,
    WebhookAttempt,
)

from .concurrency import at_once, started_after
from .factories import make_account, make_client, make_hold, make_provider, make_timeslot
from .test_archive import DATABASES, OLD, make_delivery, make_notification, make_past, run

pytestmark = pytest.mark.django_db(databases=DATABASES)
DAY = timedelta(days=1)
SAID = "Zaphodina is ill"
WHO = ("Zaphodina", "Beeblebroxova", "zaphodina@")


def forget(client, *arguments):
    printed = StringIO()
    call_command("forget_client", str(client.pk), *arguments, stdout=printed)
    return printed.getvalue()


def everything_stored():
    """Every row of every table of both databases, as text."""
    for connection in (connections[name] for name in DATABASES):
        with connection.cursor() as cursor:
            for table in connection.introspection.table_names(cursor, include_views=True):
                cursor.execute(f'SELECT * FROM "{table}"')
                for row in cursor.fetchall():
                    values = [bytes(one) if isinstance(one, memoryview) else one for one in row]
                    yield f"{table}: {values}"


def who_is_named():
    return [row for row in everything_stored() if any(word in row for word in WHO)]


@pytest.fixture
def person(api, clock):
    """Somebody who has left traces wherever there is a place for them."""
    body = {"first_name": WHO[0], "last_name": WHO[1]}
    account = {"email": "zaphodina@example.org", "password": "hunter2-forty-two-towels"}
    key = {"Idempotency-Key": "towel"}
    answer = api.post("/client/create", body | account, headers=key).json()
    client = Client.objects.get(pk=answer["client_id"])
    profile = {"client_id": client.pk, "time_zone": "Europe/Paris"}
    api.put("/client/profile", profile, headers={"Idempotency-Key": "another"})
    accounts.start_session(user=client.user)
    api.post("/client/calendarLink", {"client_id": client.pk})
    for nth in range(2):  # one of them to be archived
        past = make_past(client=client, ago=(1 + nth) * OLD - nth * 100 * DAY)
        by_client = {"status": "cancelled", "reason": SAID, "changed_at": past.start_time}
        Reservation.objects.filter(pk=past.pk).update(**by_client, version=2)
        ReservationEvent.objects.filter(reservation_id=past.pk).update(happened_at=past.created_at)
    run()
    event = ReservationEvent.objects.filter(client_id=client.pk).last()
    delivery = make_delivery(event)
    attempt = {"attempted_at": clock.now, "milliseconds": 1, "status": 200, "body": SAID}
    WebhookAttempt.objects.create(delivery=delivery, **attempt)
    make_notification(event)
    for name in ("zaphodina@example.org", "Zaphodina@Example.org"):
        AccessAttempt.objects.create(username=name, ip_address="127.0.0.1", failures_since_start=1)
    operator = make_account("root@example.org", is_staff=True)
    for thing in (client, client.user):
        LogEntry.objects.create(
            user=operator,
            content_type=ContentType.objects.get_for_model(thing),
            object_id=str(thing.pk),
            object_repr=f"{WHO[0]} {WHO[1]}",
            action_flag=2,
        )
    return client


def test_nothing_that_is_stored_says_who_it_was(person):
    assert ArchivedReservation.objects.count() == 1
    tables = {row.partition(":")[0] for row in who_is_named()}
    assert tables == {
        *("scheduling_client", "scheduling_reservation", "scheduling_reservationevent"),
        *("scheduling_storedanswer", "scheduling_webhookattempt", "auth_user"),
        *("axes_accessattempt", "django_admin_log", "client", "reservation", "event"),
    }
    assert len([row for row in who_is_named() if "storedanswer" in row]) == 2
    assert forget(person) == f"client {person.pk} is forgotten\n"
    assert who_is_named() == []
    assert CalendarLink.objects.count() == SignIn.objects.count() == 0
    assert Notification.objects.count() == 0
    assert User.objects.count() == 1
    person.refresh_from_db()
    assert (person.time_zone, person.is_emailed, person.user) == ("UTC", False, None)


def test_the_figures_stay(person):
    def figures():
        columns = ["pk", "status", "start_time", "created_at", "changed_at", "client_id"]
        return [
            sorted(kind._default_manager.values_list(*columns))
            for kind in (Reservation, ArchivedReservation)
        ]

    before = figures()
    forget(person)
    assert figures() == before


def test_who_keeps_a_copy_hears_that_it_changed(person, clock):
    [kept] = Reservation.objects.all()
    forget(person)
    event = ReservationEvent.objects.last()
    assert (event.kind, event.reservation_id, event.reason) == ("changed", kept.pk, "")
    assert event.happened_at == clock.now
    assert event.version == kept.version + 1 == Reservation.objects.get().version


def test_others_keep_what_they_have(person, api):
    other = make_past("held", client=make_client("Katherine", "Johnson"), ago=DAY)
    Reservation.objects.filter(pk=other.pk).update(status="cancelled", reason="a cold", version=2)
    make_notification(ReservationEvent.objects.last())
    body = {"first_name": "Katherine", "last_name": "Johnson"}
    api.post("/client/create", body, headers={"Idempotency-Key": "hers"})
    forget(person)
    assert StoredAnswer.objects.get().key == "hers"
    assert Notification.objects.count() == 1
    assert ReservationEvent.objects.filter(reason="a cold").count() == 1
    assert Reservation.objects.filter(reason="a cold", version=2).count() == 1


@pytest.mark.parametrize("role", ["staff", "provider"])
def test_an_account_that_is_somebody_else_too_stays(clock, role):
    client = make_client(*WHO[:2])
    provider = make_provider() if role == "provider" else None
    make_account(provider=provider, client=client, is_staff=role == "staff")
    forget(client)
    assert User.objects.get().email == "ada@example.org"
    client.refresh_from_db()
    assert (client.first_name, client.user) == ("Forgotten", None)


def test_again_it_does_the_same(person):
    forget(person)
    assert forget(person) == f"client {person.pk} is forgotten\n"
    assert who_is_named() == []


def test_it_refuses_while_something_is_reserved_unless_that_is_to_be_cancelled(clock):
    client = make_client(*WHO[:2])
    held, confirmed = make_hold(client=client), make_hold(client=client, status="confirmed")
    lapsed, over = make_hold(client=client, age=DAY), make_past(client=client, ago=DAY)
    running = make_hold(make_timeslot(starts_in=-timedelta(minutes=10)), client, status="confirmed")
    live = f"{held.pk}, {confirmed.pk}, {running.pk}"
    with pytest.raises(CommandError, match=rf"\({live}\)\. Nothing was erased\. --cancel-"):
        forget(client)
    assert len(who_is_named()) == 1
    assert forget(client, "--cancel-reservations") == (
        f"cancelled reservations {live}\nclient {client.pk} is forgotten\n"
    )
    statuses = dict(Reservation.objects.values_list("pk", "status"))
    cancelled = dict.fromkeys((held.pk, confirmed.pk, running.pk), "cancelled")
    assert statuses == cancelled | {lapsed.pk: "held", over.pk: "confirmed"}
    assert Reservation.objects.get(pk=held.pk).changed_by == "service"
    assert forget(client).endswith("is forgotten\n")


def test_it_knows_no_such_client(clock):
    with pytest.raises(CommandError, match="There is no client 4711"):
        call_command("forget_client", "4711")


@pytest.mark.django_db(databases=DATABASES, transaction=True)
def test_while_the_analytics_database_is_away_nothing_is_erased(person, monkeypatch):
    before = list(everything_stored())

    def away(*_, **__):
        raise OperationalError("gone")

    for place in (store, "MigrationRecorder"), (store, "put"):
        with monkeypatch.context() as patch:
            patch.setattr(*place, away)
            complaint = r"The analytics database cannot be used: gone\nNothing was erased"
            with pytest.raises(CommandError, match=complaint):
                forget(person)
        assert list(everything_stored()) == before


@pytest.mark.django_db(databases=DATABASES, transaction=True)
def test_an_archive_that_had_read_the_name_does_not_bring_it_back(clock, monkeypatch):
    client = make_client(*WHO[:2])
    make_past("cancelled", client=client)
    Reservation.objects.update(reason=SAID, version=2)
    copy, put = archive._copy, store.put

    def copied(*args):
        at_once(lambda: erasure.forget_client(client_id=client.pk, cancel_reservations=False))
        # As it had read them before.
        names = {"pk": client.pk, "first_name": WHO[0], "last_name": WHO[1]}
        guard = {"unless": "client.is_forgotten"}
        with transaction.atomic("analytics"):
            put([ArchivedClient(**names)], **guard)
        return copy(*args)

    monkeypatch.setattr(archive, "_copy", copied)
    run()
    assert ArchivedReservation.objects.get().reason == ""
    assert ArchivedEvent.objects.count() == 2
    assert who_is_named() == []


@pytest.mark.django_db(databases=DATABASES, transaction=True)
def test_nobody_reserves_for_them_meanwhile(api, clock, monkeypatch):
    client, timeslot, reserved = make_client(*WHO[:2]), make_timeslot(), []
    asked = {"client_id": client.pk, "timeslot_id": timeslot.pk}
    erase = erasure._forget_person

    def erased(*args):
        reserved.append(Reservation.objects.count())
        erase(*args)

    monkeypatch.setattr(erasure, "_forget_person", erased)
    first = 'SELECT "scheduling_client"'
    with started_after(first, lambda: api.post("/client/reserve", asked)):
        erasure.forget_client(client_id=client.pk, cancel_reservations=False)
    assert reserved == [0]
    assert who_is_named() == []


@pytest.mark.django_db(databases=DATABASES, transaction=True)
def test_nobody_changes_what_is_cancelled_for_it_meanwhile(clock, is_postgresql):
    client = make_client(*WHO[:2])
    held = make_hold(client=client)
    done = {"status": "cancelled", "changed_by": "provider", "version": 2}
    changed = []

    def cancel():
        changed.append(Reservation.objects.filter(pk=held.pk, status="held").update(**done))

    with started_after('SELECT "scheduling_reservation"', cancel):
        erasure.forget_client(client_id=client.pk, cancel_reservations=True)
    assert changed == [0]
    assert Reservation.objects.get().changed_by == "service"
