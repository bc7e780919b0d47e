"""A server that requires sign-in, as its operator and its first callers meet it over a socket."""

import json
import re
import shlex
import subprocess
from datetime import UTC, datetime, timedelta

import pytest
import requests

from . import watch
from .server import Server
from .test_readme import README, blocks, curl

PASSWORD = f"{watch.MARK_OF_PASSWORDS}battery-staple"
SWEPT = {"Expired reservations deleted and corresponding timeslots released": []}


@pytest.fixture
def server(empty_database_url, tmp_path):
    with Server(tmp_path, empty_database_url, AUTHENTICATION="required") as running:
        yield running


@pytest.fixture
def call(server):
    def send(method, path, body=None, token=None):
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return requests.request(
            method, server.base_url + path, json=body, headers=headers, timeout=10
        )

    return send


def refused(answer, status, code):
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    return True


def test_the_sweep_runs_by_cron_until_its_token_is_revoked(server, call, tmp_path):
    """Each command as the README has it, but for the folder that the token is kept in."""
    [(create, kept_in)] = re.findall(r"`manage\.py (create_service_token .*?) > (.*?)`", README)
    [revoke] = re.findall(r"`manage\.py (revoke_service_token .*?)`", README)
    line = blocks("crontab")[0].splitlines()[0].split(maxsplit=5)[5]
    assert f"$(cat {kept_in})" in line
    file = tmp_path / "reservations.token"

    def sweep():
        # The shell puts the token in; what curl would be given is sent.
        command = line.replace(kept_in, str(file)).replace("curl", "printf '%s\\n' curl", 1)
        shell = subprocess.run(["sh", "-ec", command], capture_output=True, text=True, check=True)
        return curl(shlex.join(shell.stdout.splitlines()), server, day=None)

    assert refused(call("PUT", "/provider/expiredReservations"), 401, "not_authenticated")

    created = server.manage(*create.split())
    assert re.fullmatch(r"rst_[\w-]{43}\n", created.stdout)
    logged = [json.loads(written) for written in created.stderr.splitlines()]
    assert "service token created" in [entry["message"] for entry in logged]
    assert watch.find(created.stderr) == []
    file.write_text(created.stdout)

    answer = sweep()
    assert (answer.status_code, answer.json()) == (200, SWEPT)
    server.manage(*revoke.split())
    assert refused(sweep(), 401, "token_invalid")


def test_staff_let_a_provider_in_and_a_newcomer_books(server, call):
    provider = {"first_name": "Marie", "last_name": "Curie"}
    marie = {**provider, "email": "marie@example.org", "password": PASSWORD}
    assert refused(call("POST", "/provider/create", marie), 401, "not_authenticated")

    staff = server.staff_token()
    created = call("POST", "/provider/create", marie, staff)
    assert created.status_code == 201
    assert created.json() == {"provider_id": created.json()["provider_id"], **provider}
    signed_in = call("POST", "/auth/token", {"email": marie["email"], "password": PASSWORD}).json()
    day = (datetime.now(UTC) + timedelta(days=3)).date()
    window = {
        "provider_id": created.json()["provider_id"],
        "start_time": f"{day}T10:00:00Z",
        "end_time": f"{day}T10:15:00Z",
    }
    assert refused(call("POST", "/provider/availability", window), 401, "not_authenticated")
    published = call("POST", "/provider/availability", window, signed_in["access"])
    assert published.status_code == 201

    rosalind = {"first_name": "Rosalind", "last_name": "Franklin"}
    rosalind |= {"email": "rosalind@example.org", "password": PASSWORD}
    client_id = call("POST", "/client/create", rosalind).json()["client_id"]
    signed_in = call(
        "POST", "/auth/token", {"email": rosalind["email"], "password": PASSWORD}
    ).json()
    listed = call("GET", f"/client/getProviderAvailability?provider_id={window['provider_id']}")
    assert listed.json() == published.json()
    [timeslot] = listed.json()["available timeslots"]
    claim = {"client_id": client_id, "timeslot_id": timeslot["timeslot_id"]}
    assert refused(call("POST", "/client/reserve", claim), 401, "not_authenticated")
    reserved = call("POST", "/client/reserve", claim, signed_in["access"])
    assert reserved.status_code == 200, reserved.text
    reservation_id = reserved.json()["Reservation scheduled"]["reservation_id"]
    claim = {"client_id": client_id, "reservation_id": reservation_id}
    confirmed = call("PUT", "/client/confirm", claim, signed_in["access"])
    assert confirmed.status_code == 200, confirmed.text
