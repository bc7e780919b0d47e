"""Messages to people: who is told what, once, and by when; over real SMTP."""

import contextlib
import smtplib
from datetime import timedelta

import pytest
from django.core.mail.backends import smtp

from scheduling import metrics, notifications, relay, webhooks
from scheduling.models import (
    Client,
    EventReader,
    Notification,
    Provider,
    Reservation,
    ReservationEvent,
)

from .concurrency import at_once, right_after, wait_until
from .database import free_port
from .factories import (
    make_account,
    make_client,
    make_hold,
    make_provider,
    make_timeslot,
    make_webhook,
)
from .mailbox import Mailbox

DAY = timedelta(days=1)
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def mailbox(settings):
    with Mailbox() as mailbox:
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", mailbox.port
        settings.EMAIL_USE_TLS = settings.EMAIL_USE_SSL = False
        yield mailbox


@pytest.fixture
def people(clock):
    """A client and a provider with accounts of their own."""
    client, provider = make_client(), make_provider()
    make_account("alan@example.org", client=client)
    make_account("ada@example.org", provider=provider)
    return client, provider


def send():
    """Once what has happened is settled: a transaction in another database can hold it back."""
    wait_until(
        lambda: ReservationEvent.objects.settled().count() == ReservationEvent.objects.count()
    )
    return notifications.send()


def hold_of(people, **options):
    client, provider = people
    return make_hold(make_timeslot(provider, starts_in=options.pop("starts_in", 3 * DAY)), client)


def confirm(api, hold):
    ids = {"client_id": hold.client_id, "reservation_id": hold.pk}
    assert api.put("/client/confirm", ids).status_code == 200


def test_either_party_is_told_of_each_change(api, people, mailbox, clock):
    client, provider = people
    hold = hold_of(people)
    ids = {"client_id": client.pk, "reservation_id": hold.pk}
    send()
    confirm(api, hold)
    send()
    api.put("/client/reschedule", ids | {"timeslot_id": make_timeslot(provider, 4 * DAY).pk})
    send()
    api.put("/provider/cancel", {"reservation_id": hold.pk, "reason": "I am ill."})
    send()
    lapsed = hold_of(people, starts_in=5 * DAY)
    send()
    clock.shift(minutes=31)
    api.put("/provider/expiredReservations")
    send()
    by_recipient = {
        address: [subject for to, subject in mailbox.told() if to == address]
        for address in ("alan@example.org", "ada@example.org")
    }
    assert by_recipient["alan@example.org"] == [
        *("Please confirm by 09:30", "Confirmed", "Rescheduled", "Cancelled"),
        *("Please confirm by 09:30", "Not confirmed in time"),
    ]
    assert by_recipient["ada@example.org"] == [
        *("On hold", "Confirmed", "Rescheduled", "Cancelled", "On hold", "Not confirmed in time")
    ]
    assert lapsed.pk != hold.pk
    assert "I am ill." in mailbox.messages[6].get_body(("plain",)).get_content()


def test_a_change_that_waited_for_another_is_told_after_it(
    api, people, mailbox, clock, is_postgresql
):
    """As in test_webhook_deliveries.py."""
    client, provider = people
    hold, timeslot = hold_of(people), make_timeslot(provider, 4 * DAY)
    ids = {"client_id": client.pk, "reservation_id": hold.pk}

    def confirm():
        Reservation.objects.confirm(reservation_id=hold.pk, client_id=client.pk, now=clock.now)

    if is_postgresql:
        overtaken = right_after('SELECT "scheduling_timeslot"', confirm)
    else:  # one writer: nobody overtakes
        overtaken = contextlib.nullcontext(confirm())
    with overtaken:
        assert api.put("/client/reschedule", ids | {"timeslot_id": timeslot.pk}).status_code == 200
    send()
    subjects = [subject for to, subject in mailbox.told() if to == "ada@example.org"]
    assert subjects == ["On hold", "Confirmed", "Rescheduled"]


def test_its_invitation_changes_one_and_the_same_entry(api, people, mailbox):
    hold = hold_of(people)
    send()
    confirm(api, hold)
    send()
    api.put("/provider/cancel", {"reservation_id": hold.pk})
    send()
    found = []
    for message in mailbox.messages[::2]:
        [part] = [part for part in message.walk() if part.get_content_type() == "text/calendar"]
        lines = part.get_content().splitlines()
        entry = dict(line.partition(":")[::2] for line in lines)
        method = part.get_content_type(), part["Content-Type"].params["method"]
        found.append((method[1], entry["UID"], entry["SEQUENCE"], entry["STATUS"]))
    uid = f"reservation-{hold.pk}@reservation-service"
    assert found == [
        ("REQUEST", uid, "1", "TENTATIVE"),
        ("REQUEST", uid, "2", "CONFIRMED"),
        ("CANCEL", uid, "3", "CANCELLED"),
    ]


def test_it_is_written_on_the_recipients_clock(people, mailbox):
    Client.objects.update(time_zone="America/New_York")
    hold_of(people)
    send()
    [to_client] = [message for message in mailbox.messages if message["To"] == "alan@example.org"]
    text = to_client.get_body(("plain",)).get_content()
    assert "Thursday, 3 December 2026, 04:00 to 04:15 (America/New_York, UTC-05:00)" in text


@pytest.mark.parametrize("why", ["no account", "no address", "opted out", "deactivated"])
def test_who_is_not_told(api, people, mailbox, why):
    client, _ = people
    if why == "no account":
        Client.objects.update(user=None)
    if why == "no address":
        client.user.email = ""
    if why == "deactivated":
        client.user.is_active = False
    client.user.save()
    if why == "opted out":
        api.put("/client/profile", {"client_id": client.pk, "is_emailed": False})
    hold_of(people)
    assert send() == 1
    assert [to for to, _ in mailbox.told()] == ["ada@example.org"]


def test_who_opts_out_meanwhile_is_not_told(people, mailbox):
    mailbox.refused["alan@example.org"] = "450 later"
    hold_of(people)
    send()
    Client.objects.update(is_emailed=False)
    mailbox.refused.clear()
    Notification.objects.update(next_attempt_at=ReservationEvent.objects.get().happened_at)
    assert send() == 0
    assert {one.status for one in Notification.objects.all()} == {"sent", "dropped"}


def test_each_is_told_once_however_often_it_is_asked(people, mailbox):
    hold_of(people)
    assert [send(), send()] == [2, 0]
    EventReader.objects.update(transaction_id=0, event_id=0)
    assert send() == 0
    assert len(mailbox.messages) == 2


def test_two_processes_do_not_tell_the_same_twice(people, mailbox):
    for nth in range(5):
        hold_of(people, starts_in=(3 + nth) * DAY)
    at_once(send, send, send)
    send()
    assert len(mailbox.messages) == 10


def test_people_are_reminded_a_day_before_if_it_is_still_on(api, people, mailbox, clock):
    kept, moved, cancelled = (hold_of(people, starts_in=(3 + nth) * DAY) for nth in range(3))
    for hold in (kept, moved, cancelled):
        confirm(api, hold)
    send()
    api.put(
        "/client/reschedule",
        {
            "client_id": moved.client_id,
            "reservation_id": moved.pk,
            "timeslot_id": make_timeslot(moved.provider, 8 * DAY).pk,
        },
    )
    api.put("/client/cancel", {"client_id": kept.client_id, "reservation_id": cancelled.pk})
    send()

    def reminded():
        mailbox.envelopes.clear()
        send()
        return [to for to, subject in mailbox.told() if subject == "Reminder"]

    clock.shift(days=2, seconds=-1)
    assert reminded() == []
    clock.shift(seconds=1)
    assert sorted(reminded()) == ["ada@example.org", "alan@example.org"]
    clock.shift(days=3)
    assert reminded() == []
    clock.shift(days=2)
    assert len(reminded()) == 2
    assert reminded() == []


def test_a_hold_that_was_moved_and_confirmed_is_reminded_of_once(api, people, mailbox, clock):
    hold = hold_of(people)
    timeslot = make_timeslot(hold.provider, 6 * DAY)
    ids = {"client_id": hold.client_id, "reservation_id": hold.pk}
    api.put("/client/reschedule", ids | {"timeslot_id": timeslot.pk})
    confirm(api, hold)
    send()
    clock.shift(days=5)
    mailbox.envelopes.clear()
    send()
    assert [subject for _, subject in mailbox.told()] == ["Reminder", "Reminder"]


@pytest.mark.parametrize(("starts_in", "reminders"), [(DAY, 0), (DAY + timedelta(seconds=1), 2)])
def test_who_was_just_told_needs_no_reminder(api, people, mailbox, starts_in, reminders):
    confirm(api, hold_of(people, starts_in=starts_in))
    send()
    assert Notification.objects.filter(kind="reminder").count() == reminders


def test_nobody_is_reminded_where_that_is_off(api, people, mailbox, settings):
    settings.REMINDER = timedelta(0)
    confirm(api, hold_of(people))
    send()
    assert not Notification.objects.filter(kind="reminder").exists()


@pytest.mark.parametrize("is_moved", [False, True])
@pytest.mark.parametrize("is_swept", [False, True])
def test_nobody_is_asked_to_confirm_a_hold_that_has_lapsed(
    api, people, mailbox, clock, is_moved, is_swept
):
    hold = hold_of(people)
    if is_moved:
        ids = {"client_id": hold.client_id, "reservation_id": hold.pk}
        timeslot = make_timeslot(hold.provider, 4 * DAY)
        api.put("/client/reschedule", ids | {"timeslot_id": timeslot.pk})
    clock.shift(minutes=30)
    assert not Reservation.objects.get().is_overdue(clock.now)  # the deadline itself is in time
    clock.shift(microseconds=1)
    if is_swept:
        api.put("/provider/expiredReservations")
    send()
    assert {subject for _, subject in mailbox.told()} == (
        {"Not confirmed in time"} if is_swept else set()
    )
    told = Notification.objects.exclude(kind__in=["expired", "reminder"])
    assert {one.status for one in told} == {"dropped"}


def test_the_provider_it_leaves_is_told(api, people, mailbox):
    client, _ = people
    hold = hold_of(people)
    send()
    mailbox.envelopes.clear()
    ids = {"client_id": client.pk, "reservation_id": hold.pk}
    api.put("/client/reschedule", ids | {"timeslot_id": make_timeslot(starts_in=4 * DAY).pk})
    send()
    assert sorted(mailbox.told()) == [
        ("ada@example.org", "No longer with you"),
        ("alan@example.org", "Rescheduled, please confirm by 09:30"),
    ]


def test_while_the_mail_server_is_away_everything_waits(people, mailbox, clock, settings, caplog):
    port, settings.EMAIL_PORT = settings.EMAIL_PORT, free_port()
    hold_of(people)
    assert send() == 0
    [said] = [one for one in caplog.records if one.levelname == "ERROR"]
    assert (said.message, said.reason) == ("mail server unavailable", "ConnectionRefusedError")
    settings.EMAIL_PORT = port
    clock.shift(seconds=59)
    assert send() == 0
    clock.shift(seconds=1)
    assert send() == 2


def test_a_mail_server_that_goes_away_in_between_loses_nothing(people, mailbox, clock, monkeypatch):
    send_messages = smtp.EmailBackend.send_messages
    calls = []

    def once(self, messages):
        calls.append(messages)
        if len(calls) == 2:
            raise smtplib.SMTPServerDisconnected
        return send_messages(self, messages)

    monkeypatch.setattr(smtp.EmailBackend, "send_messages", once)
    hold_of(people)
    assert send() == 1
    clock.shift(minutes=1)
    assert send() == 1
    assert len({message["Message-ID"] for message in mailbox.messages}) == 2


def test_what_is_refused_is_tried_again_and_given_up_after_three_days(
    people, mailbox, clock, monkeypatch
):
    monkeypatch.setattr(relay, "STRETCH", 1)
    mailbox.refused["alan@example.org"] = "550 no such user"
    hold = hold_of(people, starts_in=9 * DAY)
    Reservation.objects.filter(pk=hold.pk).update(status="confirmed", version=2)
    send()
    attempts = 1
    while pending := Notification.objects.pending().exclude(kind="reminder").first():
        clock.shift(seconds=(pending.next_attempt_at - clock.now).total_seconds())
        send()
        attempts += 1
        assert attempts < 30
    assert Notification.objects.filter(party="client").exclude(kind="reminder").count() == 2
    told = [to for to, subject in mailbox.told() if subject != "Reminder"]
    assert set(told) == {"ada@example.org"}


def test_what_is_older_than_three_days_is_told_no_more(people, mailbox, clock):
    hold_of(people, starts_in=9 * DAY)
    Reservation.objects.update(status="cancelled", version=2)
    clock.shift(days=3, seconds=1)
    assert send() == 0
    assert {one.status for one in Notification.objects.all()} == {"dropped"}


def test_the_owner_of_a_webhook_that_was_disabled_is_told(people, mailbox, clock):
    owner = make_account("grace@example.org")
    webhook = make_webhook(owner=owner, disabled_because="failing", disabled_at=clock.now)
    webhooks._disable(webhook, "gone", clock.now)  # it is already
    assert not Notification.objects.exists()
    webhook.disabled_because, webhook.disabled_at = "", None
    webhook.save()
    webhooks._disable(webhook, type(webhook).Reason.FAILING, clock.now)
    assert send() == 1
    assert mailbox.told() == [("grace@example.org", f"Webhook {webhook.pk} was disabled")]
    assert webhook.url in mailbox.messages[0].get_content()


@pytest.mark.parametrize(("status", "is_emailed"), [("sent", True), ("dropped", False)])
def test_they_are_counted_by_what_became_of_them(people, mailbox, status, is_emailed):
    counted = metrics.NOTIFICATIONS.labels(status)._value.get
    before = counted()
    hold_of(people)
    mailbox.refused = dict.fromkeys(["alan@example.org", "ada@example.org"], "450 later")
    send()
    mailbox.refused = {}
    for kind in (Client, Provider):
        kind.objects.update(is_emailed=is_emailed)
    Notification.objects.update(next_attempt_at=ReservationEvent.objects.get().happened_at)
    send()
    assert counted() == before + 2


def test_where_no_mail_leaves_nothing_is_kept_for_it(people, settings):
    settings.EMAIL_BACKEND = "django.core.mail.backends.dummy.EmailBackend"
    hold_of(people)
    assert send() == 0
    assert not Notification.objects.exists()


def test_with_nothing_to_do_it_asks_three_questions(django_assert_num_queries):
    send()
    with django_assert_num_queries(3):
        assert notifications.send() == 0


@pytest.fixture
def link(people, mailbox, settings):
    """The address in a message to the client by which they opt out."""
    settings.PUBLIC_URL = "https://reservations.example"
    hold_of(people)
    send()
    [message] = [one for one in mailbox.messages if one["To"] == "alan@example.org"]
    assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    link = message["List-Unsubscribe"].strip(" <>")
    assert link in message.get_body(("plain",)).get_content()
    return link.removeprefix(settings.PUBLIC_URL)


def test_looking_at_the_link_changes_nothing(api, link):
    page = api.get(link)
    assert (page.status_code, page["Cache-Control"]) == (
        200,
        "max-age=0, no-cache, no-store, must-revalidate, private",
    )
    assert b'<form method="post">' in page.content
    assert Client.objects.get().is_emailed


def test_posting_to_the_link_opts_out(api, link):
    """As a mail program does it (RFC 8058), and as the page's button does."""
    version = Client.objects.get().version
    answer = api.post(
        link, "List-Unsubscribe=One-Click", content_type="application/x-www-form-urlencoded"
    )
    assert answer.status_code == 200
    client = Client.objects.get()
    assert (client.is_emailed, client.version) == (False, version + 1)


@pytest.mark.parametrize("method", ["get", "post"])
@pytest.mark.parametrize("key", ["", "x", "WyJjbGllbnQiLDFd:1vPbmE:made-up"])
def test_a_link_that_is_none_of_ours(api, method, key):
    answer = getattr(api, method)(f"/unsubscribe?key={key}")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
