"""What is sent to webhooks: signed, at least once, in order for each reservation."""

import contextlib
import json
import threading
import uuid
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network

import pytest
from django.core.management import call_command
from django.db import connection
from django.utils import timezone
from standardwebhooks import Webhook as Specification

from scheduling import metrics, outbound, policy, relay, webhooks
from scheduling.models import (
    EventReader,
    Notification,
    Reservation,
    ReservationEvent,
    Webhook,
    WebhookAttempt,
    WebhookDelivery,
)

from .concurrency import at_once, right_after, wait_until
from .factories import make_client, make_hold, make_provider, make_timeslot, make_webhook
from .receiver import Receiver

DAY = timedelta(days=1)
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def loopback(settings):
    settings.WEBHOOK_ALLOWED_NETWORKS = [ip_network("127.0.0.0/8")]


@pytest.fixture
def receiver():
    with Receiver() as receiver:
        yield receiver


@pytest.fixture(autouse=True)
def no_stretch(monkeypatch):
    monkeypatch.setattr(relay, "STRETCH", 1)


def deliver():
    """Once what has happened is settled: a transaction in another database can hold it back."""
    wait_until(
        lambda: ReservationEvent.objects.settled().count() == ReservationEvent.objects.count()
    )
    return webhooks.deliver()


def messages(receiver):
    return [json.loads(received.body) for received in receiver.received]


def kinds(receiver):
    return [message["type"].removeprefix("reservation.") for message in messages(receiver)]


def fail_with(status, receiver):
    receiver.answer = lambda handler: handler.reply(status, b"no")


def test_a_receiver_can_tell_that_it_is_from_us(api, receiver):
    webhook = make_webhook(url=receiver.url, age=DAY)
    hold = make_hold()
    assert deliver() == 1
    [received] = receiver.received
    event = ReservationEvent.objects.get()
    message = Specification(webhook.secret).verify(received.body, received.headers)
    assert received.headers["content-type"] == "application/json"
    assert received.headers["webhook-id"] == WebhookDelivery.objects.get().webhook_message_id
    [listed] = api.get("/events").json()["events"]
    assert list(message.items()) == [
        ("type", "reservation.reserved"),
        ("timestamp", listed["happened_at"]),
        ("data", listed),
    ]
    assert listed["event_id"] == event.pk
    assert listed["reservation_id"] == hold.pk
    attempt = WebhookAttempt.objects.get()
    assert (attempt.status, attempt.failure, attempt.body) == (204, "", "")
    assert WebhookDelivery.objects.get().status == "delivered"


def test_after_a_rotation_either_secret_tells(api, receiver):
    webhook = make_webhook(url=receiver.url, age=DAY)
    new = api.put("/webhooks/secret", {"webhook_id": webhook.pk}).json()["secret"]
    make_hold()
    deliver()
    [received] = receiver.received
    for secret in (webhook.secret, new):
        Specification(secret).verify(received.body, received.headers)


def test_each_is_told_of_what_it_asked_for_since_it_was_made(receiver):
    provider, other = make_provider(), make_provider()
    make_hold(make_timeslot(provider))  # before
    wanted = {
        "all": make_webhook(url=f"{receiver.url}/all"),
        "ours": make_webhook(provider, url=f"{receiver.url}/ours"),
        "theirs": make_webhook(other, url=f"{receiver.url}/theirs"),
        "confirmed": make_webhook(url=f"{receiver.url}/confirmed", kinds=["confirmed"]),
        "disabled": make_webhook(
            url=f"{receiver.url}/disabled", disabled_because="owner", disabled_at=datetime.now(UTC)
        ),
    }
    make_hold(make_timeslot(provider, 3 * DAY), status="confirmed")
    make_hold(make_timeslot(other))
    deliver()
    told = sorted(
        (received.path.rpartition("/")[2], json.loads(received.body)["type"])
        for received in receiver.received
    )
    assert len(wanted) == 5
    assert told == [
        ("all", "reservation.confirmed"),
        ("all", "reservation.reserved"),
        ("confirmed", "reservation.confirmed"),
        ("ours", "reservation.confirmed"),
        ("theirs", "reservation.reserved"),
    ]


def test_a_provider_is_told_that_a_reservation_moved_away(api, receiver):
    ours, theirs = make_provider(), make_provider()
    make_webhook(ours, url=f"{receiver.url}/ours", age=DAY)
    make_webhook(theirs, url=f"{receiver.url}/theirs", age=DAY)
    hold = make_hold(make_timeslot(ours))
    ids = {"client_id": hold.client_id, "reservation_id": hold.pk}
    api.put("/client/reschedule", ids | {"timeslot_id": make_timeslot(theirs).pk})
    deliver()
    told = [
        (received.path.rpartition("/")[2], json.loads(received.body))
        for received in receiver.received
    ]
    assert [(who, message["type"]) for who, message in told if who == "ours"] == [
        ("ours", "reservation.reserved"),
        ("ours", "reservation.moved_away"),
    ]
    [away] = [message["data"] for _, message in told if message["type"].endswith("away")]
    assert (away["provider_id"], away["timeslot_id"]) == (ours.pk, hold.timeslot_id)
    assert [message["type"] for who, message in told if who == "theirs"] == [
        "reservation.rescheduled"
    ]


def test_what_happened_is_sent_once_however_often_it_is_asked(receiver):
    make_webhook(url=receiver.url, age=DAY)
    make_hold()
    assert [deliver(), deliver()] == [1, 0]
    EventReader.objects.update(transaction_id=0, event_id=0)  # as if it had read nothing yet
    assert deliver() == 0
    assert len(receiver.received) == 1


def test_with_nothing_to_do_it_asks_three_questions(django_assert_num_queries):
    deliver()
    with django_assert_num_queries(3):
        assert webhooks.deliver() == 0


def test_what_fails_is_tried_again_for_three_days_and_then_disabled(api, receiver, clock, settings):
    fail_with(500, receiver)
    webhook = make_webhook(url=receiver.url, age=DAY)
    make_hold()
    began = clock.now
    deliver()
    moments = [clock.now]
    while (delivery := WebhookDelivery.objects.get()).status == "pending":
        clock.shift(seconds=(delivery.next_attempt_at - clock.now).total_seconds() - 0.001)
        assert deliver() == 0
        clock.shift(seconds=0.001)
        assert deliver() == 1
        moments.append(clock.now)
    assert [(moment - began) // timedelta(seconds=1) for moment in moments] == [
        *(0, 5, 305, 2105, 9305, 27305, 63305, 113705, 185705, 272105)
    ]
    assert timedelta(days=3) < moments[-1] - began < timedelta(days=3, hours=12)
    assert delivery.status == "failed"
    ids = {received.headers["webhook-id"] for received in receiver.received}
    bodies = {received.body for received in receiver.received}
    assert (len(receiver.received), len(ids), len(bodies)) == (10, 1, 1)
    webhook.refresh_from_db()
    assert (webhook.disabled_because, webhook.disabled_at) == ("failing", clock.now)
    notice = Notification.objects.get()
    assert (notice.kind, notice.webhook_id) == ("webhook_disabled", webhook.pk)
    [listed] = api.get("/webhooks/deliveries", {"webhook_id": webhook.pk}).json()["deliveries"]
    assert [attempt["status"] for attempt in listed["attempts"]] == [500] * 10
    assert {attempt["body"] for attempt in listed["attempts"]} == {"no"}
    make_hold()
    assert deliver() == 0


def test_one_that_says_it_is_gone_is_disabled_at_once(receiver):
    fail_with(410, receiver)
    webhook = make_webhook(url=receiver.url, age=DAY)
    make_hold()
    assert deliver() == 1
    webhook.refresh_from_db()
    assert webhook.disabled_because == "gone"
    assert Notification.objects.get().webhook_id == webhook.pk


def test_enabled_again_it_is_sent_what_it_was_being_sent(api, receiver):
    fail_with(500, receiver)
    webhook = make_webhook(url=receiver.url, age=DAY)
    hold = make_hold()
    deliver()
    api.put("/webhooks", {"webhook_id": webhook.pk, "is_enabled": False})
    Reservation.objects.filter(pk=hold.pk).update(status="confirmed")
    receiver.answer = lambda handler: handler.reply(204)
    assert deliver() == 0
    api.put("/webhooks", {"webhook_id": webhook.pk, "is_enabled": True})
    assert deliver() == 1
    assert kinds(receiver) == ["reserved", "reserved"]


def test_a_replay_is_sent_under_the_same_id(api, receiver):
    webhook = make_webhook(url=receiver.url, age=DAY)
    make_hold()
    deliver()
    api.post("/webhooks/replay", {"webhook_id": webhook.pk})
    assert deliver() == 0
    delivery = WebhookDelivery.objects.get()
    api.post("/webhooks/replay", {"webhook_id": webhook.pk, "delivery_id": delivery.pk})
    assert deliver() == 1
    first, second = receiver.received
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.body == second.body
    assert WebhookAttempt.objects.count() == 2


def test_a_test_says_that_it_is_one(api, receiver, clock):
    webhook = make_webhook(url=receiver.url)
    api.post("/webhooks/test", {"webhook_id": webhook.pk})
    assert deliver() == 1
    assert messages(receiver) == [
        {
            "type": "webhook.test",
            "timestamp": "2026-11-30T09:00:00Z",
            "data": {"webhook_id": webhook.pk},
        }
    ]


def test_of_a_reservation_nothing_overtakes(receiver, clock, monkeypatch):
    """The second waits until the first is delivered; other reservations do not."""
    make_webhook(url=receiver.url, age=DAY)
    held_up, other = make_hold(), make_hold(make_timeslot(starts_in=3 * DAY))
    Reservation.objects.filter(pk=held_up.pk).update(status="confirmed", version=2)
    Reservation.objects.filter(pk=other.pk).update(status="confirmed", version=2)

    def answer(handler):
        [received] = receiver.received[-1:]
        about = json.loads(received.body)["data"]["reservation_id"]
        handler.reply(500 if about == held_up.pk else 204)

    # One at a time, so that the answer knows what it answers.
    receiver.answer = answer
    monkeypatch.setattr(webhooks, "MOST_AT_ONCE", 1)
    deliver()
    told = [(one["data"]["reservation_id"], one["type"]) for one in messages(receiver)]
    assert told == [
        (held_up.pk, "reservation.reserved"),
        (other.pk, "reservation.reserved"),
        (other.pk, "reservation.confirmed"),
    ]
    receiver.answer = lambda handler: handler.reply(204)
    clock.shift(seconds=5)
    deliver()
    assert kinds(receiver)[3:] == ["reserved", "confirmed"]


def test_a_change_that_waited_for_another_is_told_after_it(api, receiver, is_postgresql):
    """A reschedule locks the timeslot, then waits for the reservation: its transaction can be older
    than the one that it waits for, and before it in the history."""
    make_webhook(url=receiver.url, age=DAY)
    hold, timeslot = make_hold(), make_timeslot(starts_in=3 * DAY)
    ids = {"client_id": hold.client_id, "reservation_id": hold.pk}

    def confirm():
        Reservation.objects.confirm(
            reservation_id=hold.pk, client_id=hold.client_id, now=timezone.now()
        )

    if is_postgresql:
        overtaken = right_after('SELECT "scheduling_timeslot"', confirm)
    else:  # one writer: nobody overtakes
        overtaken = contextlib.nullcontext(confirm())
    with overtaken:
        assert api.put("/client/reschedule", ids | {"timeslot_id": timeslot.pk}).status_code == 200
    deliver()
    assert [message["data"]["version"] for message in messages(receiver)] == [1, 2, 3, 3]


def test_what_gives_no_answer_is_left_alone_for_a_while(receiver, clock, monkeypatch):
    monkeypatch.setattr(outbound, "PATIENCE", 0.2)
    receiver.answer = lambda handler: handler.hang()
    webhook = make_webhook(url=receiver.url, age=DAY)
    for _ in range(20):
        make_hold()
    # Four at once, and then no more.
    assert deliver() == webhooks.MOST_AT_ONCE_OF_ONE
    webhook.refresh_from_db()
    assert webhook.unanswered == 4
    assert webhook.resting_until == clock.now + timedelta(seconds=5)
    clock.shift(seconds=4)
    assert deliver() == 0
    receiver.answer = lambda handler: handler.reply(204)
    clock.shift(seconds=1)
    assert deliver() == 20
    webhook.refresh_from_db()
    assert (webhook.unanswered, webhook.resting_until) == (0, None)


def test_one_that_hangs_does_not_keep_the_others_waiting(receiver, monkeypatch):
    monkeypatch.setattr(outbound, "PATIENCE", 5)
    with Receiver(lambda handler: handler.hang()) as hanging:
        make_webhook(url=hanging.url, age=DAY)
        make_webhook(url=receiver.url, age=DAY)
        for _ in range(50):
            make_hold()
        with contextlib.closing(_in_the_background(deliver)):
            wait_until(lambda: len(receiver.received) == 50, seconds=4)
            hanging.is_over.set()


def _in_the_background(step):
    class Running:
        def __init__(self):
            self.thread = threading.Thread(target=self.run)
            self.thread.start()

        def run(self):
            try:
                step()
            finally:
                connection.close()

        def close(self):
            self.thread.join(60)
            assert not self.thread.is_alive()

    return Running()


def test_two_processes_do_not_send_the_same_twice(receiver):
    make_webhook(url=receiver.url, age=DAY)
    for _ in range(30):
        make_hold()
    assert sum(at_once(deliver, deliver, deliver)) == 30
    assert len(receiver.received) == 30


def test_a_process_that_was_killed_is_followed_by_another(receiver, clock):
    make_webhook(url=receiver.url, age=DAY)
    make_hold()
    killed = relay.Lease(webhooks.READER)
    EventReader.objects.get_or_create(name=webhooks.READER)
    assert killed.keep()
    assert deliver() == 0
    clock.shift(seconds=61)
    assert deliver() == 1


def test_one_that_lost_its_lease_sends_nothing_more(receiver, monkeypatch):
    make_webhook(url=receiver.url, age=DAY)
    for _ in range(8):
        make_hold()

    def answer(handler):
        EventReader.objects.update(holder=uuid.uuid4(), leased_until=datetime.now(UTC) + DAY)
        connection.close()
        handler.reply(204)

    receiver.answer = answer
    monkeypatch.setattr(webhooks, "MOST_AT_ONCE", 1)
    monkeypatch.setattr(relay, "LEASE", timedelta(0))  # to be renewed at once
    assert deliver() == len(receiver.received) == 1


def test_it_stops_when_it_is_told_to(receiver):
    make_webhook(url=receiver.url, age=DAY)
    for _ in range(3):
        make_hold()
    wait_until(lambda: ReservationEvent.objects.settled().count() == 3)
    assert webhooks.deliver(should_stop=lambda: True) == 0
    assert receiver.received == []


def test_deleted_while_it_is_being_sent(api, receiver):
    webhook = make_webhook(url=receiver.url, age=DAY)
    make_hold()

    def answer(handler):
        Webhook.objects.filter(pk=webhook.pk).delete()
        connection.close()
        handler.reply(204)

    receiver.answer = answer
    assert deliver() == 1
    assert not WebhookAttempt.objects.exists()
    assert deliver() == 0


def test_a_receiver_in_a_private_network_is_refused(settings, receiver):
    make_webhook(url=f"https://127.0.0.1:{receiver.port}/", age=DAY)
    settings.WEBHOOK_ALLOWED_NETWORKS = []
    make_hold()
    assert deliver() == 1
    attempt = WebhookAttempt.objects.get()
    assert (attempt.status, attempt.failure) == (None, "forbidden_url")
    assert receiver.received == []


def test_the_numbers_are_those_that_the_specification_proposes():
    total = sum(policy.WAITS, timedelta(0))
    assert timedelta(days=3) < total < timedelta(days=3, hours=4)


def test_a_client_and_a_timeslot_are_told_by_id_alone(receiver):
    make_webhook(url=receiver.url, age=DAY)
    make_hold(client=make_client(first_name="Alan", last_name="Turing"))
    deliver()
    assert b"Turing" not in receiver.received[0].body


def test_without_a_broker_a_command_delivers(receiver):
    make_webhook(url=receiver.url, age=DAY)
    make_hold()
    wait_until(ReservationEvent.objects.settled().exists)
    call_command("deliver")
    assert kinds(receiver) == ["reserved"]


@pytest.mark.parametrize(("status", "outcome"), [(204, "2xx"), (500, "5xx"), (410, "4xx")])
def test_attempts_are_counted_by_what_came_of_them(receiver, status, outcome):
    counted = metrics.WEBHOOK_ATTEMPTS.labels(outcome)._value.get
    before = counted()
    fail_with(status, receiver)
    make_webhook(url=receiver.url, age=DAY)
    make_hold()
    deliver()
    assert counted() == before + 1
