"""The server process: how it starts, answers and stops."""

import json
import signal
import subprocess
import sys

import pytest
import requests

from .server import ROOT, Server

pytestmark = pytest.mark.once


@pytest.mark.parametrize(
    ("number", "environment"),
    # Whoever presses Ctrl-C is not kept waiting.
    [(signal.SIGTERM, {}), (signal.SIGINT, {"DRAIN_SECONDS": "3600"})],
)
def test_it_serves_the_fixture_and_stops_cleanly(empty_database_url, tmp_path, number, environment):
    with Server(tmp_path, empty_database_url, **environment) as server:
        serves_the_fixture(server)
        server.process.send_signal(number)
        assert server.process.wait(timeout=25) == 0


def serves_the_fixture(server):
    answer = requests.get(
        f"{server.base_url}/client/getProviderAvailability", {"provider_id": 2}, timeout=5
    )
    assert (answer.status_code, answer.json()) == (200, {"available timeslots": []})
    first, _, _, _, *lines = server.log.read_text().splitlines()
    assert f"Serving on {server.base_url}" in first
    # Nothing else but the log, an object a line.
    assert {"request"} == {json.loads(line)["message"] for line in lines}


def test_it_keeps_the_data_over_a_restart(server):
    person = {"first_name": "Emmy", "last_name": "Noether"}
    created = requests.post(f"{server.base_url}/provider/create", json=person, timeout=5).json()
    server.stop()
    server.start()
    answer = requests.get(
        f"{server.base_url}/client/getProviderAvailability",
        {"provider_id": created["provider_id"]},
        timeout=5,
    )
    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("environment", "reason"),
    [
        ({"HOLD_SECONDS": "soon"}, "HOLD_SECONDS must be a whole number"),
        ({"HOLD_SECONDS": "90000"}, "HOLD_SECONDS must be less than NOTICE_SECONDS"),
        ({"DATABASE_URL": "mysql://host/name"}, "DATABASE_URL must start with"),
        ({"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/x"}, "database cannot be used"),
        ({"SECRET_KEY": "", "ALLOWED_HOSTS": "example.org"}, "SECRET_KEY must be set"),
        ({"HOST": "203.0.113.1"}, "HOST 203.0.113.1, PORT"),
    ],
)
def test_a_server_that_cannot_start_says_why(empty_database_url, tmp_path, environment, reason):
    server = Server(tmp_path, empty_database_url, **environment)
    assert reason in refused_start(server.environment)


def test_a_taken_port_is_named(server):
    assert f"PORT {server.port} cannot be listened on" in refused_start(server.environment)


def refused_start(environment):
    run = subprocess.run(
        [sys.executable, "-m", "reservation_system.serve", "--prepare"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert run.returncode == 1
    assert "Traceback" not in run.stderr
    return run.stderr
