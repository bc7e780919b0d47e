"""Holds that expire by message: what is announced, what the worker does, a broker in trouble."""

import contextlib
import logging
import os
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import amqp
import pytest
import requests

from scheduling import deadlines, tasks

from .broker import RABBITMQ
from .concurrency import rows_of, wait_until
from .database import free_port
from .factories import make_client, make_hold, make_timeslot
from .server import ROOT, Server, Worker

HOLD = timedelta(minutes=30)
MOMENT = timedelta(microseconds=1)
OVERDUE = HOLD + MOMENT


def reserve(api, timeslot, client=None, **headers):
    ids = {"client_id": (client or make_client()).pk, "timeslot_id": timeslot.pk}
    return api.post("/client/reserve", ids, **headers).status_code


# --- What is announced ---------------------------------------------------------------------------


@pytest.fixture
def with_broker(settings):
    settings.BROKER_URL = f"amqp://127.0.0.1:{free_port()}"


@pytest.fixture
def announced(django_capture_on_commit_callbacks):
    """How many deadlines are announced once the step has committed."""

    def announced(step):
        with django_capture_on_commit_callbacks() as callbacks:
            step()
        return len(callbacks)

    return announced


def test_each_reserve_is_announced_when_it_has_committed(api, with_broker, announced):
    assert announced(lambda: reserve(api, make_timeslot())) == 1


def test_a_takeover_is_announced(api, with_broker, announced, clock):
    overdue = make_hold(age=OVERDUE)
    assert announced(lambda: reserve(api, overdue.timeslot)) == 1
    overdue.refresh_from_db()
    assert overdue.status == "expired"


def test_a_refused_reserve_is_not_announced(api, with_broker, announced):
    held = make_hold().timeslot
    assert announced(lambda: reserve(api, held)) == 0


def test_a_replayed_reserve_is_not_announced_again(api, with_broker, announced):
    timeslot, client = make_timeslot(), make_client()
    statuses = []

    def reserve_with_key():
        key = {"HTTP_IDEMPOTENCY_KEY": "one"}
        statuses.append(reserve(api, timeslot, client, **key))

    assert [announced(reserve_with_key) for _ in range(2)] == [1, 0]
    assert statuses == [200, 200]


def test_without_a_broker_nothing_is_announced(api, announced):
    assert announced(lambda: reserve(api, make_timeslot())) == 0


def test_without_a_broker_nothing_of_celery_is_imported(server):
    (timeslot,) = publish(server, 1)
    program = f"""
import sys
from django.test import Client
answer = Client(HTTP_HOST="localhost").post(
    "/client/reserve", {{"client_id": 1, "timeslot_id": {timeslot}}}, "application/json"
)
ours = ("celery", "kombu", "amqp", "scheduling.tasks", "reservation_system.celery")
print(answer.status_code, [name for name in sys.modules if name.startswith(ours)])
"""
    assert server.manage("shell", "-c", program).stdout.splitlines()[-1] == "200 []"


def test_what_does_not_fit_is_dropped_at_once(caplog, settings):
    settings.BROKER_URL = ""  # the app refuses to be imported: nothing is ever published
    publisher = deadlines.Publisher()
    started = time.monotonic()
    for nth in range(deadlines.ROOM + 2 * deadlines.BATCH):
        publisher.put(nth)
    assert time.monotonic() - started < 5
    wait_until(lambda: caplog.records)
    assert [record.message for record in caplog.records] == ["deadlines not published"]


# --- What the worker does ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("age", "status"), [(HOLD - MOMENT, "held"), (HOLD, "held"), (HOLD + MOMENT, "expired")]
)
def test_a_message_expires_what_is_overdue(db, clock, age, status, django_assert_num_queries):
    hold = make_hold(age=age)
    with django_assert_num_queries(1):
        tasks.expire_hold(hold.pk)
    hold.refresh_from_db()
    assert hold.status == status


@pytest.mark.parametrize("status", ["confirmed", "expired", "cancelled"])
def test_a_message_leaves_alone_what_is_not_held(db, clock, caplog, status):
    reservation = make_hold(age=OVERDUE, status=status)
    with caplog.at_level(logging.INFO):
        tasks.expire_hold(reservation.pk)
        tasks.expire_hold(0)
    assert caplog.records == []
    reservation.refresh_from_db()
    assert (reservation.status, reservation.version) == (status, 1)


def test_a_message_that_comes_again_does_nothing(db, clock, caplog):
    hold = make_hold(age=OVERDUE)
    with caplog.at_level(logging.INFO):
        for _ in range(3):
            tasks.expire_hold(hold.pk)
    assert [record.message for record in caplog.records] == ["hold expired"]
    hold.refresh_from_db()
    assert (hold.status, hold.version) == ("expired", 2)


def test_a_rescheduled_hold_expires_where_it_is_now(api, clock):
    hold, other = make_hold(), make_timeslot()
    left, ids = hold.timeslot, {"client_id": hold.client_id, "reservation_id": hold.pk}
    assert api.put("/client/reschedule", ids | {"timeslot_id": other.pk}).status_code == 200
    clock.shift(minutes=29)
    successor = make_hold(left)
    clock.shift(minutes=1)
    tasks.expire_hold(hold.pk)
    hold.refresh_from_db()
    assert (hold.status, hold.timeslot_id) == ("held", other.pk)  # it keeps its deadline
    clock.shift(microseconds=1)
    tasks.expire_hold(hold.pk)
    for reservation, status in ((hold, "expired"), (successor, "held")):
        reservation.refresh_from_db()
        assert reservation.status == status


def test_each_periodic_job_is_a_task():
    program = """
from reservation_system.celery import PERIODIC_JOBS, app
app.loader.import_default_modules()
print(sorted(job["task"] in app.tasks for job in PERIODIC_JOBS.values()))
"""
    for url, more, jobs in (
        ("amqp://127.0.0.1", {}, 4),
        ("amqp://127.0.0.1", {"ARCHIVE_AFTER_DAYS": "180"}, 5),
        ("amqp://127.0.0.1", {"CACHE_LISTS": "true", "REDIS_URL": "redis://127.0.0.1"}, 5),
        ("", {}, 0),
    ):
        ran = subprocess.run(
            [sys.executable, "-c", program],
            cwd=ROOT,
            env=os.environ
            | {"BROKER_URL": url, "DJANGO_SETTINGS_MODULE": "reservation_system.settings"}
            | more,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert ran.stdout == (f"{[True] * jobs}\n" if jobs else ""), ran.stderr
    assert "BROKER_URL must be set" in ran.stderr


# --- With a RabbitMQ -----------------------------------------------------------------------------


@pytest.fixture
def serve(empty_database_url, tmp_path):
    """Start the service with this broker; stopped at the end."""
    with contextlib.ExitStack() as stack:

        def serve(broker_url, hold_seconds, **environment):
            server = Server(
                tmp_path,
                empty_database_url,
                BROKER_URL=broker_url,
                HOLD_SECONDS=str(hold_seconds),
                **environment,
            )
            return stack.enter_context(server)

        yield serve


def publish(server, count):
    """Timeslots of provider 1."""
    start_time = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    start_time += timedelta(days=3)
    end_time = start_time + count * timedelta(minutes=15)
    window = {
        "provider_id": 1,
        "start_time": start_time.isoformat(),
        "end_time": end_time.isoformat(),
    }
    answer = requests.post(f"{server.base_url}/provider/availability", json=window, timeout=30)
    return [timeslot["timeslot_id"] for timeslot in answer.json()["available timeslots"]]


def hold(server, timeslots):
    """Reserve each, four at a time; their reservations' ids."""

    def one(timeslot):
        body = {"client_id": 1, "timeslot_id": timeslot}
        answer = requests.post(f"{server.base_url}/client/reserve", json=body, timeout=30)
        assert answer.status_code == 200, answer.text
        return answer.json()["Reservation scheduled"]["reservation_id"]

    with ThreadPoolExecutor(4) as threads:
        return list(threads.map(one, timeslots))


def change(server, call, reservation_id, **more):
    body = {"client_id": 1, "reservation_id": reservation_id} | more
    answer = requests.put(f"{server.base_url}/client/{call}", json=body, timeout=30)
    assert answer.status_code == 200, answer.text


def sweep(server):
    answer = requests.put(f"{server.base_url}/provider/expiredReservations", timeout=30)
    [released] = answer.json().values()
    return {timeslot["timeslot_id"] for timeslot in released}


def said(server, message):
    return server.log.read_text().count(f'"{message}"')


def found(database_url):
    """The status, version and lateness of each reservation; None for what is not expired."""
    rows = rows_of(
        database_url,
        "SELECT id, status, version, changed_at, expires_at FROM scheduling_reservation",
    )

    def moment(value):
        return datetime.fromisoformat(value) if isinstance(value, str) else value

    return {
        pk: (status, version, (moment(changed) - moment(deadline)).total_seconds())
        for pk, status, version, changed, deadline in rows
    }


def all_expired(database_url):
    return all(status == "expired" for status, *_ in found(database_url).values())


@pytest.mark.services
def test_a_hold_expires_by_its_message_without_any_sweep(broker, serve, empty_database_url):
    server = serve(broker.url, hold_seconds=3)
    with Worker(server):
        held = hold(server, publish(server, 12))
        wait_until(lambda: all_expired(empty_database_url))
    expired = found(empty_database_url)
    assert sorted(expired) == sorted(held)
    for status, version, lateness in expired.values():
        assert (status, version) == ("expired", 2)
        assert lateness > 0  # how much, `make bench-holds` measures
    assert sweep(server) == set()


@pytest.mark.services
def test_messages_wait_in_a_queue_that_loses_none(broker, serve):
    server = serve(broker.url, hold_seconds=1800)
    hold(server, publish(server, 1))
    wait_until(lambda: broker.count("holds.1800000"))
    assert broker.count("holds.1800000") == 1
    assert broker.queues() == {
        "holds.1800000": {
            "durable": True,
            "arguments": {
                "x-queue-type": "quorum",
                "x-message-ttl": 1_800_000,
                "x-dead-letter-exchange": "",
                "x-dead-letter-routing-key": "reservations",
                "x-dead-letter-strategy": "at-least-once",
                "x-overflow": "reject-publish",
            },
        },
        "reservations": {"durable": True, "arguments": {"x-queue-type": "quorum"}},
    }
    with broker.connect() as connection:
        message = connection.channel().basic_get("holds.1800000", no_ack=True)
    assert message.properties["delivery_mode"] == 2
    assert message.headers["task"] == tasks.expire_hold.name


@pytest.mark.services
def test_what_became_of_a_hold_meanwhile_stays(broker, serve, empty_database_url):
    server = serve(broker.url, hold_seconds=4)
    *timeslots, other = publish(server, 5)
    confirmed, cancelled, moved, expired = hold(server, timeslots)
    change(server, "confirm", confirmed)
    change(server, "cancel", cancelled)
    change(server, "reschedule", moved, timeslot_id=other)
    with Worker(server):
        wait_until(lambda: found(empty_database_url)[expired][0] == "expired")
        wait_until(lambda: found(empty_database_url)[moved][0] == "expired")
        wait_until(lambda: broker.count("reservations") == 0)
    now = {pk: (status, version) for pk, (status, version, _) in found(empty_database_url).items()}
    assert now == {
        confirmed: ("confirmed", 2),
        cancelled: ("cancelled", 2),
        moved: ("expired", 3),
        expired: ("expired", 2),
    }


@pytest.mark.services
def test_a_message_delivered_again_and_again_has_its_effect_once(broker, serve, empty_database_url):
    server = serve(broker.url, hold_seconds=2)
    held = hold(server, publish(server, 20))
    wait_until(lambda: broker.count("reservations") == 20)
    with broker.connect() as connection:
        channel = connection.channel()
        channel.confirm_select()
        for _ in held:
            message = channel.basic_get("reservations", no_ack=True)
            for _ in range(3):
                copy = amqp.Message(message.body, **message.properties)
                channel.basic_publish(copy, routing_key="reservations")
    with Worker(server):
        wait_until(lambda: broker.count("reservations") == 0)
        wait_until(lambda: all_expired(empty_database_url))
    assert {version for _, version, _ in found(empty_database_url).values()} == {2}


@pytest.mark.services
def test_killing_the_worker_loses_nothing(broker, serve, empty_database_url):
    server = serve(broker.url, hold_seconds=2)
    worker = Worker(server)
    held = hold(server, publish(server, 300))
    for enough in (20, 120):
        worker.start()
        wait_until(
            lambda enough=enough: (
                sum(status == "expired" for status, *_ in found(empty_database_url).values())
                >= enough
            )
        )
        worker.kill()
    assert not all_expired(empty_database_url)
    with worker:
        wait_until(lambda: all_expired(empty_database_url))
    expired = found(empty_database_url)
    assert sorted(expired) == sorted(held)
    assert {version for _, version, _ in expired.values()} == {2}


@pytest.mark.once
@pytest.mark.parametrize("broker_is", ["refusing", "mute"])
def test_a_broker_that_is_away_delays_no_reserve(serve, empty_database_url, broker_is):
    with socket.socket() as broker:
        broker.bind(("127.0.0.1", 0))
        if broker_is == "mute":
            broker.listen()
        url = f"amqp://127.0.0.1:{broker.getsockname()[1]}"
        server = serve(url, hold_seconds=1, WEB_CONCURRENCY="1")
        timeslots = publish(server, 40)
        started = time.monotonic()
        hold(server, timeslots)
        # Whoever waited for that socket would wait ten seconds.
        assert time.monotonic() - started < deadlines.PATIENCE / 2
        released = set()
        wait_until(lambda: released.update(sweep(server)) or released == set(timeslots))
        wait_until(lambda: said(server, "deadlines not published"))
    assert said(server, "deadlines not published") == 1
    assert said(server, "deadlines published again") == 0


@contextlib.contextmanager
def passing_on(port):
    """On this port of the loopback, what RabbitMQ would answer; until the end."""
    host, _, target = RABBITMQ.rpartition("@")[2].partition(":")

    def copy(source, sink):
        with contextlib.suppress(OSError):
            while chunk := source.recv(2**16):
                sink.sendall(chunk)

    def accept():
        with contextlib.suppress(OSError):
            while True:
                near, _ = listener.accept()
                far = socket.create_connection((host, int(target)))
                ends.extend([near, far])
                for one, other in ((near, far), (far, near)):
                    threading.Thread(target=copy, args=(one, other), daemon=True).start()

    ends = []
    with socket.create_server(("127.0.0.1", port)) as listener:
        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield
        listener.shutdown(socket.SHUT_RDWR)
        for end in ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        thread.join()


@pytest.mark.services
def test_what_waited_for_the_broker_is_published_when_it_is_back(broker, serve):
    port = free_port()
    url = broker.url.replace(RABBITMQ.rpartition("@")[2], f"127.0.0.1:{port}")
    server = serve(url, hold_seconds=1800, WEB_CONCURRENCY="1")
    timeslots = publish(server, 20)
    for nth, waiting in enumerate((timeslots[:10], timeslots[10:]), start=1):
        hold(server, waiting)
        wait_until(lambda nth=nth: said(server, "deadlines not published") == nth)
        with passing_on(port):
            wait_until(lambda nth=nth: said(server, "deadlines published again") == nth)
            assert broker.count("holds.1800000") == 10 * nth


@pytest.mark.services
def test_a_full_queue_disturbs_no_reserve(broker, serve):
    server = serve(broker.url, hold_seconds=3, WEB_CONCURRENCY="1")
    first, *timeslots = publish(server, 60)
    hold(server, [first])
    wait_until(lambda: broker.count("holds.3000") == 1)
    broker.limit("^holds", 2)
    started = time.monotonic()
    hold(server, timeslots)
    assert time.monotonic() - started < deadlines.PATIENCE / 2
    wait_until(lambda: "refused" in server.log.read_text())
    assert said(server, "deadlines not published") == 1
    assert said(server, "deadlines published again") == 0
    released = set()
    wait_until(lambda: released.update(sweep(server)) or released == {first, *timeslots})
