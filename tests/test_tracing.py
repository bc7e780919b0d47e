"""Traces: sent where the OTEL_ variables ask for them, without anybody's name; else not there."""

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
import requests
from django.core.exceptions import ImproperlyConfigured
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from reservation_system import environment

from .concurrency import wait_until
from .receiver import Receiver
from .server import ROOT, Server, Worker

pytestmark = pytest.mark.once

NAMES = {"first_name": "Zaphodina", "last_name": "Beeblebroxova"}
EMAIL = "zaphodina@example.org"
PASSWORD = "hunter2-correct-horse"
TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"
OTEL = (
    *("OTEL_SDK_DISABLED", "OTEL_TRACES_EXPORTER", "OTEL_EXPORTER_OTLP_ENDPOINT"),
    *("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_PROTOCOL"),
    "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
)


@pytest.fixture
def collector():
    with Receiver(lambda handler: handler.reply(200)) as receiver:
        yield receiver


def asking(collector, **more):
    endpoint = f"http://127.0.0.1:{collector.port}"
    return {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_BSP_SCHEDULE_DELAY": "100"} | more


def sent(collector):
    """The service's name and the span, for each that the collector has got."""
    for received in list(collector.received):
        assert received.path == "/v1/traces"
        for resource in ExportTraceServiceRequest.FromString(received.body).resource_spans:
            about = attributes(resource.resource)
            for scope in resource.scope_spans:
                for span in scope.spans:
                    yield about["service.name"], span


def spans(collector):
    return [span for _, span in sent(collector)]


def named(collector, name):
    return [span for span in spans(collector) if span.name == name]


def attributes(of):
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in of.attributes}


def publish(server, count):
    start_time = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) + timedelta(days=3)
    window = {
        "provider_id": 1,
        "start_time": start_time.isoformat(),
        "end_time": (start_time + count * timedelta(minutes=15)).isoformat(),
    }
    answer = requests.post(f"{server.base_url}/provider/availability", json=window, timeout=30)
    return [one["timeslot_id"] for one in answer.json()["available timeslots"]]


def reserve(server, timeslot, **headers):
    body = {"client_id": 1, "timeslot_id": timeslot}
    return requests.post(
        f"{server.base_url}/client/reserve", json=body, headers=headers, timeout=30
    )


def test_a_reserve_is_a_span_with_its_route_and_its_statements(
    collector, empty_database_url, tmp_path, is_postgresql
):
    with Server(tmp_path, empty_database_url, **asking(collector)) as server:
        [timeslot] = publish(server, 1)
        context = {"traceparent": f"00-{TRACE}-{PARENT}-01", "X-Request-ID": "mine"}
        assert reserve(server, timeslot, **context).status_code == 200
        assert reserve(server, timeslot).status_code == 409
        wait_until(lambda: len(named(collector, "POST /client/reserve")) == 2)
    granted, refused = sorted(
        named(collector, "POST /client/reserve"), key=lambda span: span.start_time_unix_nano
    )
    assert (granted.trace_id.hex(), granted.parent_span_id.hex()) == (TRACE, PARENT)
    assert granted.kind == 2  # a server's
    assert attributes(granted) == {
        "http.request.method": "POST",
        "http.route": "/client/reserve",
        "http.response.status_code": 200,
        "request_id": "mine",
    }
    assert attributes(refused)["http.response.status_code"] == 409
    [statement] = [span for span in spans(collector) if span.parent_span_id == granted.span_id]
    assert statement.name == "INSERT"
    about = attributes(statement)
    assert about["db.system.name"] == ("postgresql" if is_postgresql else "sqlite")
    assert about["db.query.text"].startswith("INSERT INTO scheduling_reservation (")
    assert {name for name, _ in sent(collector)} == {"reservation-service"}


def test_the_standard_variables_name_the_service(collector, empty_database_url, tmp_path):
    names = {"OTEL_SERVICE_NAME": "practice"}
    with Server(tmp_path, empty_database_url, **asking(collector, **names)):
        wait_until(lambda: spans(collector))
    assert {name for name, _ in sent(collector)} == {"practice"}


def test_each_worker_sends_its_own_and_the_rest_when_it_stops(
    collector, empty_database_url, tmp_path
):
    """The delay is longer than the test: what comes, comes at the end."""
    late = asking(collector, OTEL_BSP_SCHEDULE_DELAY="60000")
    with Server(tmp_path, empty_database_url, **late) as server:
        for _ in range(60):
            assert requests.get(f"{server.base_url}/docs", timeout=5).status_code == 200
        assert not spans(collector)
        server.stop()
    assert len(named(collector, "GET /docs")) == 60


def test_nobodys_name_nor_any_secret_is_in_a_span(collector, empty_database_url, tmp_path):
    with Server(tmp_path, empty_database_url, **asking(collector)) as server:
        url, person = server.base_url, NAMES | {"email": EMAIL, "password": PASSWORD}
        assert requests.post(f"{url}/client/create", json=person, timeout=5).ok
        assert requests.post(f"{url}/provider/create", json=NAMES, timeout=5).ok
        assert requests.post(f"{url}/provider/create", json=NAMES | {"x": 1}, timeout=5).ok
        requests.post(f"{url}/provider/create", data=b'{"first_name": "Zaphodina"', timeout=5)
        requests.put(f"{url}/client/profile", json=NAMES | {"client_id": 3}, timeout=5)
        requests.get(f"{url}/provider/list?name=Zaphodina", timeout=5)
        requests.get(f"{url}/Zaphodina/{EMAIL}", timeout=5)
        requests.request("ZAPHODINA", f"{url}/healthz", timeout=5)
        account = {"email": EMAIL, "password": PASSWORD}
        access = requests.post(f"{url}/auth/token", json=account, timeout=5).json()["access"]
        bearer = {"Authorization": f"Bearer {access}", "User-Agent": "Zaphodina's"}
        requests.get(f"{url}/client/profile?client_id=3", headers=bearer, timeout=5)
        link = requests.post(f"{url}/provider/calendarLink", json={"provider_id": 3}, timeout=5)
        link = link.json()["calendar_link"]
        assert requests.get(link, timeout=5).ok
        wait_until(lambda: named(collector, "GET /provider/calendar.ics"))
        server.log.write_text("")  # the path with the e-mail address, which the log shows as asked
    everything = b"".join(received.body for received in collector.received).lower()
    assert b"insert into" in everything
    key = link.partition("key=")[2]
    for secret in ("zaphodina", "beeblebroxova", EMAIL, PASSWORD, access, key):
        assert secret.lower().encode() not in everything, secret


@pytest.mark.services
def test_a_task_is_a_span(collector, broker, empty_database_url, tmp_path):
    more = {"BROKER_URL": broker.url, "HOLD_SECONDS": "1"}
    with Server(tmp_path, empty_database_url, **asking(collector, **more)) as server:
        with Worker(server):
            for timeslot in publish(server, 3):
                assert reserve(server, timeslot).status_code == 200
            name = "run scheduling.tasks.expire_hold"
            wait_until(lambda: len(named(collector, name)) == 3)
        for task in named(collector, name):
            inside = [one for one in spans(collector) if one.parent_span_id == task.span_id]
            assert [one.name for one in inside] == ["UPDATE"]


# --- When it is asked for ------------------------------------------------------------------------


@pytest.fixture
def asked(monkeypatch):
    def asked(**variables):
        for name in OTEL:
            monkeypatch.delenv(name, raising=False)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        return environment.asks_for_traces()

    return asked


ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector.example:4318"}


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, False),
        ({"OTEL_SERVICE_NAME": "practice"}, False),
        (ENDPOINT, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, False),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://collector.example/v1/traces"}, True),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, True),
        ({"OTEL_TRACES_EXPORTER": "none"}, False),
        (ENDPOINT | {"OTEL_TRACES_EXPORTER": "none"}, False),
        (ENDPOINT | {"OTEL_SDK_DISABLED": "true"}, False),
        (ENDPOINT | {"OTEL_SDK_DISABLED": "TRUE"}, False),
        (ENDPOINT | {"OTEL_SDK_DISABLED": "false"}, True),
        (ENDPOINT | {"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}, True),
    ],
)
def test_the_standard_variables_ask_for_it(asked, variables, expected):
    assert asked(**variables) is expected


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OTEL_TRACES_EXPORTER", "zipkin"),
        ("OTEL_TRACES_EXPORTER", "otlp,console"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json"),
    ],
)
def test_what_cannot_be_done_is_named(asked, name, value):
    with pytest.raises(ImproperlyConfigured, match=name.replace("TRACES_PROTOCOL", "PROTOCOL")):
        asked(**ENDPOINT | {name: value})


def answered(**variables):
    """The status of an answer by the application, and what of OpenTelemetry it has imported.

    Besides what the Redis client does by itself, of the SDK's metrics, wherever that is installed.
    """
    program = """
import sys
import redis
by_redis = set(sys.modules)
from reservation_system.wsgi import application
from django.test import Client
status = Client(HTTP_HOST="localhost").get("/healthz").status_code
ours = set(sys.modules) - by_redis
wanted = ("opentelemetry", "reservation_system.tracing")
print(status, sorted(name for name in ours if name.startswith(wanted)))
"""
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if name not in OTEL} | variables,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("more", [{}, ENDPOINT | {"OTEL_SDK_DISABLED": "true"}])
def test_unasked_nothing_of_it_is_imported(more):
    ran = answered(**more)
    assert ran.stdout == "200 []\n", ran.stderr
    # The look would find it.
    ran = answered(OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9", OTEL_BSP_EXPORT_TIMEOUT="1")
    assert "reservation_system.tracing" in ran.stdout, ran.stderr
    assert "opentelemetry.sdk.trace" in ran.stdout


def test_packages_that_are_missing_stop_the_start_by_name(tmp_path):
    # In the place of the installed packages, one with nothing in it.
    (tmp_path / "opentelemetry").mkdir()
    (tmp_path / "opentelemetry" / "__init__.py").touch()
    assert answered(PYTHONPATH=str(tmp_path)).returncode == 0
    ran = answered(PYTHONPATH=str(tmp_path), **ENDPOINT)
    assert ran.returncode != 0
    for named_in in ("OTEL_", "opentelemetry-sdk", "requirements-tracing.txt"):
        assert named_in in ran.stderr.splitlines()[-1]
