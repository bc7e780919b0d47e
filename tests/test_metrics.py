"""/metrics: every number that operators are promised, exact over processes that come and go."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import requests
from django.db import OperationalError, connection
from prometheus_client.parser import text_string_to_metric_families

from reservation_system import metrics as scrape
from scheduling import (
    booking,
    deadlines,
    metrics,
    notifications,
    permissions,
    tasks,
    throttling,
    webhooks,
)
from scheduling.models import EventReader, Reservation, ReservationEvent, ServiceToken

from . import callers
from .concurrency import wait_until
from .database import free_port
from .factories import make_client, make_hold, make_provider, make_timeslot
from .server import ROOT, Server, Worker

HOLD = timedelta(minutes=30)
MOMENT = timedelta(microseconds=1)


def read(text):
    """Every number by its name and labels."""
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def scraped(api):
    answer = api.get("/metrics")
    assert answer.status_code == 200, answer.content
    return read(answer.content.decode())


@pytest.fixture
def growth(api):
    """What has grown since the test began: by how much."""
    before = scraped(api)

    def growth(name, **labels):
        key = (f"reservations_{name}", *sorted(labels.items()))
        return scraped(api).get(key, 0) - before.get(key, 0)

    return growth


def value(api, name):
    return scraped(api)[(f"reservations_{name}",)]


# --- Requests ------------------------------------------------------------------------------------


def test_it_is_in_the_text_format_of_prometheus(api):
    answer = api.get("/metrics")
    assert answer["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert answer["Cache-Control"] == "no-store"
    assert b"# TYPE reservations_http_requests_total counter\n" in answer.content
    assert b"_created" not in answer.content
    assert api.head("/metrics").status_code == 200


def requested(growth, endpoint, method, status):
    return growth("http_requests_total", endpoint=endpoint, method=method, status=str(status))


@pytest.mark.parametrize(
    ("method", "path", "endpoint", "status"),
    [
        ("get", "/healthz", "/healthz", 200),
        ("get", "/client/profile?client_id=0", "/client/profile", 400),
        ("delete", "/client/reserve", "/client/reserve", 405),
        ("get", "/", "/", 200),
        ("get", "/admin/scheduling/client/7/change/", None, 302),
        ("get", "/static/admin/css/base.css", "/static/", 200),
        ("get", "/static/nothing", "/static/", 404),
        ("get", "/nothing/7", "none", 404),
        ("get", "/zaphod", "none", 404),
    ],
)
def test_requests_are_counted_by_endpoint_method_and_status(
    api, growth, method, path, endpoint, status
):
    endpoint = endpoint or "/admin/scheduling/client/<path:object_id>/change/"
    for _ in range(3):
        answer = getattr(api, method)(path)
        assert answer.status_code == status
        answer.close()
    assert requested(growth, endpoint, method.upper(), status) == 3
    assert growth("http_request_seconds_count", endpoint=endpoint) == 3
    assert growth("http_request_seconds_bucket", endpoint=endpoint, le="+Inf") == 3
    assert growth("http_request_seconds_sum", endpoint=endpoint) > 0


def test_what_is_refused_at_the_gate_is_counted(api, growth):
    assert api.post("/client/reserve", {}, HTTP_HOST="elsewhere.example").status_code == 400
    assert requested(growth, "none", "POST", 400) == 1


def test_a_caller_adds_no_label(api):
    """Whatever is sent, only what has been met before can come out."""
    for method in ("BREW", "get", "X" * 500):
        api.generic(method, "/healthz")
    scraped(api)  # which is counted itself, and shown the next time
    names_before = set(scraped(api))
    for nth in range(20):
        api.generic(f"BREW{nth}", f"/healthz?x={nth}")
        api.get(f"/healthz/{nth}")
        api.get(f"/client/profile?client_id={nth}&email=zaphod{nth}")
        api.get("/healthz", HTTP_X_REQUEST_ID=f"id-{nth}")
    allowed = {("endpoint", "none"), ("endpoint", "/client/profile")}
    assert all(allowed & set(key) for key in set(scraped(api)) - names_before)


def test_a_fault_is_counted(api, growth, monkeypatch):
    def fault(**_):
        raise RuntimeError("broken")

    monkeypatch.setattr(booking, "reserve", fault)
    body = {"client_id": make_client().pk, "timeslot_id": make_timeslot().pk}
    assert api.post("/client/reserve", body).status_code == 500
    assert requested(growth, "/client/reserve", "POST", 500) == 1
    assert growth("reserves_total", outcome="internal_error") == 1


# --- Reserves and confirms -----------------------------------------------------------------------


def reserve(api, timeslot, client=None, **headers):
    ids = {"client_id": (client or make_client()).pk, "timeslot_id": timeslot.pk}
    return api.post("/client/reserve", ids, **headers)


def test_reserves_are_counted_by_what_became_of_them(api, clock, growth):
    timeslot = make_timeslot()
    assert reserve(api, timeslot).status_code == 200
    for _ in range(2):
        assert reserve(api, timeslot).status_code == 409
    reserve(api, make_timeslot(starts_in=timedelta(hours=1)))
    api.post("/client/reserve", {"client_id": 2**62, "timeslot_id": timeslot.pk})
    api.post("/client/reserve", {})
    for outcome, count in {
        **{"held": 1, "timeslot_taken": 2, "notice_too_short": 1},
        **{"client_not_found": 1, "invalid": 1},
    }.items():
        assert growth("reserves_total", outcome=outcome) == count, outcome


def test_a_takeover_is_a_hold(api, clock, growth):
    reserve(api, make_hold(age=HOLD + MOMENT).timeslot)
    assert growth("reserves_total", outcome="held") == 1


def test_a_replayed_reserve_is_counted_once(api, clock, growth):
    timeslot, client = make_timeslot(), make_client()
    for _ in range(3):
        assert reserve(api, timeslot, client, HTTP_IDEMPOTENCY_KEY="one").status_code == 200
    assert growth("reserves_total", outcome="held") == 1
    assert requested(growth, "/client/reserve", "POST", 200) == 3


def test_a_reserve_without_a_database_is_counted(api, clock, growth, monkeypatch):
    def away(**_):
        raise OperationalError("gone")

    monkeypatch.setattr(booking, "reserve", away)
    assert reserve(api, make_timeslot()).status_code == 503
    assert growth("reserves_total", outcome="unavailable") == 1


def test_confirms_are_counted_by_what_became_of_them(api, clock, growth):
    hold, overdue = make_hold(), make_hold(age=HOLD + MOMENT)
    for one in (hold, hold, overdue):
        ids = {"client_id": one.client_id, "reservation_id": one.pk}
        api.put("/client/confirm", ids)
    for outcome in ("confirmed", "already_confirmed", "hold_expired"):
        assert growth("confirms_total", outcome=outcome) == 1, outcome


# --- Holds, asked of the database ----------------------------------------------------------------


def holds(api):
    found = scraped(api)
    names = ("live_holds", "lapsed_holds", "lapsed_hold_age_seconds")
    return tuple(found[(f"reservations_{name}",)] for name in names)


def test_holds_are_what_the_database_says_now(api, clock):
    assert holds(api) == (0, 0, 0)
    make_hold(), make_hold(age=HOLD)  # confirmable until then, that moment included
    assert holds(api) == (2, 0, 0)
    for status in ("confirmed", "expired", "cancelled"):
        make_hold(age=timedelta(days=9), status=status)
    assert holds(api) == (2, 0, 0)
    make_hold(age=HOLD + timedelta(seconds=90)), make_hold(age=HOLD + timedelta(seconds=1))
    assert holds(api) == (2, 2, 90)
    clock.shift(seconds=1)
    assert holds(api) == (1, 3, 91)
    api.put("/provider/expiredReservations")
    assert holds(api) == (1, 0, 0)


def test_they_cost_two_statements(api, clock, django_assert_num_queries):
    make_hold()
    with django_assert_num_queries(2):
        api.get("/metrics")


@pytest.mark.parametrize("seen_by_the_statistics", ["no holds", "holds"])
def test_they_are_counted_in_an_index_of_holds(
    api, clock, django_assert_num_queries, is_postgresql, seen_by_the_statistics
):
    row = {
        field.attname: getattr(make_hold(status="expired"), field.attname)
        for field in Reservation._meta.fields
    }
    Reservation.objects.bulk_create(Reservation(**row | {"id": None}) for _ in range(5000))
    if seen_by_the_statistics == "holds":
        provider = make_provider()
        for nth in range(50):
            make_hold(make_timeslot(provider, timedelta(days=2 + nth)))
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    with django_assert_num_queries(2) as asked:
        api.get("/metrics")
    with connection.cursor() as cursor:
        explain = "EXPLAIN" if is_postgresql else "EXPLAIN QUERY PLAN"
        cursor.execute(f"{explain} {asked.captured_queries[0]['sql']}")
        plan = str(cursor.fetchall())
    assert "scheduling_held_by_" in plan
    assert "Seq Scan" not in plan


@pytest.mark.django_db(transaction=True)
def test_how_long_an_event_waits_to_be_passed_on_is_told(api, clock):
    def waits(reader):
        return scraped(api)[("reservations_unread_event_age_seconds", ("reader", reader))]

    for reader in (webhooks.READER, notifications.READER):
        EventReader.objects.get_or_create(name=reader)
    assert waits("webhooks") == waits("notifications") == 0
    make_hold(age=timedelta(seconds=90))
    make_hold(age=timedelta(seconds=30))
    wait_until(lambda: ReservationEvent.objects.settled().count() == 2)
    assert waits("webhooks") == waits("notifications") == 90
    webhooks.deliver()
    assert (waits("webhooks"), waits("notifications")) == (0, 90)


@pytest.mark.django_db(transaction=True)
def test_without_a_database_the_rest_is_still_told(api, monkeypatch, is_postgresql, tmp_path):
    assert value(api, "database_up") == 1
    connection.close()
    with monkeypatch.context() as away:
        if is_postgresql:
            away.setitem(connection.settings_dict, "PORT", str(free_port()))
        else:
            away.setitem(connection.settings_dict, "NAME", str(tmp_path / "missing" / "db"))
        found = scraped(api)
        assert found["reservations_database_up",] == 0
        assert ("reservations_live_holds",) not in found
        assert any(name == "reservations_http_requests_total" for name, *_ in found)
    assert value(api, "database_up") == 1


# --- Who may read it -----------------------------------------------------------------------------


@pytest.fixture
def required(settings):
    settings.AUTHENTICATION = "required"


@pytest.mark.parametrize("scope", ServiceToken.Scope.values)
def test_a_token_is_good_for_its_own_scope_alone(api, required, scope):
    callers.service(api, scope)
    assert (api.get("/metrics").status_code == 200) == (scope == "metrics")
    assert (api.get("/events").status_code == 200) == (scope == "events")


@pytest.fixture
def database_is_away(monkeypatch):
    """From when it is called on, to whoever looks a token up or counts holds."""

    def away(**_):
        raise OperationalError("gone")

    def begin():
        monkeypatch.setattr("scheduling.accounts.find_service", away)
        monkeypatch.setattr("scheduling.expiry.count_holds", away)

    return begin


def test_a_token_that_was_good_is_taken_while_the_database_is_away(api, required, database_is_away):
    callers.service(api, "metrics")
    assert api.get("/metrics").status_code == 200
    database_is_away()
    assert value(api, "database_up") == 0
    callers.authorize(api, "rst_" + "x" * 43)
    assert api.get("/metrics").status_code == 503


def test_it_is_remembered_for_an_hour(api, required, database_is_away, monkeypatch):
    callers.service(api, "metrics")
    assert api.get("/metrics").status_code == 200
    database_is_away()
    now = time.monotonic()
    for later, status in ((3590, 200), (3610, 503)):
        monkeypatch.setattr(scrape.time, "monotonic", lambda later=later: now + later)
        assert api.get("/metrics").status_code == status


@pytest.mark.parametrize("was", ["revoked", "of another scope"])
def test_no_other_token_is_remembered(api, required, database_is_away, was):
    callers.service(api, "events" if was == "of another scope" else "metrics")
    api.get("/metrics")
    ServiceToken.objects.update(revoked_at=datetime.now(UTC))
    assert api.get("/metrics").status_code == 401
    database_is_away()
    assert api.get("/metrics").status_code == 503


def test_it_has_a_row_in_the_table_of_permissions_and_no_quota():
    assert "metrics" in permissions.TABLE
    assert "metrics" not in throttling.QUOTAS


# --- Deadlines for the broker, and how late the worker is ----------------------------------------


def test_how_late_a_hold_expires_by_message_is_told(api, clock, growth):
    late, not_yet = make_hold(age=HOLD + timedelta(seconds=3)), make_hold(age=HOLD)
    for hold in (late, late, not_yet):
        tasks.expire_hold(hold.pk)
    name = "hold_expiry_lateness_seconds"
    assert growth(f"{name}_count") == 1
    assert growth(f"{name}_sum") == 3
    assert growth(f"{name}_bucket", le="1.0") == 0
    assert growth(f"{name}_bucket", le="5.0") == 1


def test_what_waits_for_the_broker_is_told(api, settings, caplog):
    settings.BROKER_URL = ""  # the app refuses to be imported: nothing is ever published
    before = value(api, "deadlines_waiting"), value(api, "deadlines_failing")
    publisher = deadlines.Publisher()
    for nth in range(deadlines.ROOM + 500):
        publisher.put(nth)
    wait_until(lambda: caplog.records)
    added = value(api, "deadlines_waiting") - before[0]
    # One batch is in the thread's hands; what did not fit is nobody's any more.
    assert deadlines.ROOM <= added <= deadlines.ROOM + deadlines.BATCH
    assert value(api, "deadlines_failing") == 1
    metrics.DEADLINES_WAITING.dec(added)
    metrics.DEADLINES_FAILING.set(0)


# --- As it is served: several processes ----------------------------------------------------------


def get(server, path):
    # A connection for each, so that either worker may get it.
    return requests.get(server.base_url + path, timeout=10)


def count_of(server, endpoint, status=200):
    labels = (("endpoint", endpoint), ("method", "GET"), ("status", str(status)))
    found = read(get(server, "/metrics").text)
    return found.get(("reservations_http_requests_total", *labels), 0)


def children_of(pid):
    return {int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}


def ask(server, times):
    with ThreadPoolExecutor(8) as threads:
        statuses = list(threads.map(lambda _: get(server, "/docs").status_code, range(times)))
    assert statuses == [200] * times


@pytest.mark.once
def test_counts_add_up_whichever_worker_answers_and_outlive_it(server):
    main, total, folder = server.process.pid, 0, folder_of_worker(server)
    assert folder.stat().st_mode & 0o777 == 0o700
    for _ in range(3):
        workers = children_of(main)
        assert len(workers) == 2
        ask(server, 60)
        total += 60
        assert [count_of(server, "/docs") for _ in range(8)] == [total] * 8
        dying = min(workers)
        os.kill(dying, signal.SIGKILL)
        wait_until(lambda dying=dying: len(children_of(main) - {dying}) == 2)
        wait_until(lambda: is_well(server))
        assert [count_of(server, "/docs") for _ in range(8)] == [total] * 8
    # Whoever came later has taken the seats of those that died.
    assert {path.name for path in folder.glob("*.seat")} <= {"0.seat", "1.seat", "2.seat"}
    assert server.stop() == 0
    assert not folder.exists()


def is_well(server):
    """Twenty times in a row, so that both workers are there."""
    with contextlib.suppress(requests.RequestException):
        return all(get(server, "/healthz").status_code == 200 for _ in range(20))
    return False


def folder_of_worker(server):
    """Where its files are mapped from: it was given the folder after it was started."""
    worker = min(children_of(server.process.pid))

    def folders():
        maps = Path(f"/proc/{worker}/maps").read_text().splitlines()
        return {Path(line.split()[-1]).parent for line in maps if ".db" in line}

    wait_until(folders)  # it may still be starting, when the other has answered
    [folder] = folders()
    return folder


@pytest.mark.once
def test_a_folder_that_the_operator_names_is_kept_and_shared(empty_database_url, tmp_path):
    """With other processes, and over a restart."""
    folder = tmp_path / "counts"
    folder.mkdir()
    with Server(tmp_path, empty_database_url, PROMETHEUS_MULTIPROC_DIR=str(folder)) as server:
        ask(server, 10)
        for _ in range(2):
            server.manage("expire_reservations")
        server.stop()
        server.start()
        ask(server, 10)
        assert count_of(server, "/docs") == 20
    assert folder.exists()


def test_the_gauges_of_a_process_that_died_are_forgotten(tmp_path):
    program = """
import os, sys
from scheduling import metrics
metrics.DEADLINES_WAITING.inc(5)
metrics.RESERVES.labels("held").inc(2)
child = os.fork()
metrics.DEADLINES_WAITING.inc(1)
metrics.RESERVES.labels("held").inc(1)
if child:
    os.waitpid(child, 0)
    from prometheus_client import generate_latest
    print(generate_latest(metrics.everything()).decode())
os._exit(sys.stdout.flush() or 0)
"""
    told = [run(program, PROMETHEUS_MULTIPROC_DIR=str(tmp_path)) for _ in range(2)]
    waiting, held = "reservations_deadlines_waiting", "reservations_reserves_total"
    assert [read(one)[waiting,] for one in told] == [6, 6]
    assert [read(one)[held, ("outcome", "held")] for one in told] == [4, 8]
    assert {path.name for path in tmp_path.glob("*.seat")} == {"0.seat", "1.seat"}


def test_a_file_that_a_process_is_just_making_is_left_out(tmp_path):
    """As it is between two calls of the library's, empty."""
    program = """
from pathlib import Path
from scheduling import metrics
metrics.RESERVES.labels("held").inc()
Path(metrics._folder(), "counter_7.db").touch()
from prometheus_client import generate_latest
print(generate_latest(metrics.everything()).decode())
"""
    told = read(run(program, PROMETHEUS_MULTIPROC_DIR=str(tmp_path)))
    assert told["reservations_reserves_total", ("outcome", "held")] == 1


def test_where_there_is_no_room_for_a_file_nothing_fails(tmp_path):
    program = """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
from scheduling import metrics
metrics.count_request("/client/reserve", "POST", 200, 0.001)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
metrics.RESERVES.labels("held").inc()
from prometheus_client import generate_latest
print(generate_latest(metrics.everything()).decode())
"""
    told = read(run(program, PROMETHEUS_MULTIPROC_DIR=str(tmp_path)))
    assert told["reservations_reserves_total", ("outcome", "held")] == 1


def run(program, **environment):
    return subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env=os.environ | {"DJANGO_SETTINGS_MODULE": "reservation_system.settings"} | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    ).stdout


# --- The worker, which has no address but this ---------------------------------------------------


@pytest.mark.services
def test_the_worker_shows_what_its_processes_have_counted(broker, empty_database_url, tmp_path):
    port = free_port()
    settings = {"BROKER_URL": broker.url, "HOLD_SECONDS": "1"}
    with Server(tmp_path, empty_database_url, **settings) as server:
        worker = Worker(server)
        worker.environment = server.environment | {"METRICS_PORT": str(port)}
        with worker:
            start_time = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
            start_time += timedelta(days=3)
            window = {
                "provider_id": 1,
                "start_time": start_time.isoformat(),
                "end_time": (start_time + timedelta(hours=3)).isoformat(),
            }
            answer = requests.post(f"{server.base_url}/provider/availability", json=window)
            for timeslot in answer.json()["available timeslots"]:
                body = {"client_id": 1, "timeslot_id": timeslot["timeslot_id"]}
                assert requests.post(f"{server.base_url}/client/reserve", json=body).ok
            wait_until(lambda: lateness_count(port) == 12)
            wait_until(
                lambda: read(get(server, "/metrics").text)["reservations_lapsed_holds",] == 0
            )
            found = read(get(server, "/metrics").text)
            assert found["reservations_deadlines_waiting",] == 0
            assert found["reservations_deadlines_failing",] == 0


def holds_of(server):
    found = read(get(server, "/metrics").text)
    return found["reservations_live_holds",], found["reservations_lapsed_holds",]


def lateness_count(port):
    with contextlib.suppress(requests.ConnectionError):
        answer = requests.get(f"http://127.0.0.1:{port}/metrics", timeout=10)
        answer.raise_for_status()
        found = read(answer.text)
        return found.get(("reservations_hold_expiry_lateness_seconds_count",), 0)


@pytest.mark.services
def test_a_worker_that_cannot_show_its_counts_does_not_start(broker, server):
    worker = Worker(server)
    worker.environment = server.environment | {
        "BROKER_URL": broker.url,
        "METRICS_PORT": str(server.port),
    }
    worker.start()
    try:
        assert worker.process.wait(timeout=30) != 0
    finally:
        worker.process.kill()
        worker.process.wait()
    assert f"METRICS_PORT {server.port} cannot be listened on" in worker.log.read_text()
