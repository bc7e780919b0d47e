"""The server process: how it starts, answers and stops."""

import signal
import subprocess
import sys

import pytest
import requests

from .server import ROOT, Server


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_the_fixture_and_stops_cleanly(server, number):
    answer = requests.get(
        f"{server.base_url}/client/getProviderAvailability", {"provider_id": 2}, timeout=5
    )
    assert (answer.status_code, answer.json()) == (200, {"available timeslots": []})
    server.process.send_signal(number)
    assert server.process.wait(timeout=10) == 0
    assert f"Serving on {server.base_url}" in server.log.read_text()


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


def test_a_server_that_cannot_start_says_why(empty_database_url, tmp_path):
    environment = Server(tmp_path, empty_database_url, HOLD_SECONDS="soon").environment
    run = subprocess.run(
        [sys.executable, "-m", "reservation_system.serve"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert run.returncode != 0
    assert "HOLD_SECONDS" in run.stderr
