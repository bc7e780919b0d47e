"""The background work as an operator runs it: beat sends, the worker tells webhooks and people."""

import json
from datetime import UTC, datetime, timedelta

import pytest
import requests

from .concurrency import wait_until
from .factories import PASSWORD
from .mailbox import Mailbox
from .receiver import Receiver
from .server import Server, Worker

pytestmark = pytest.mark.services


class Beat(Worker):
    """Celery's beat as `make beat` starts it."""

    command = ("celery", "--quiet", "--app=reservation_system.celery", "beat", "--pidfile=")

    def __init__(self, server):
        super().__init__(server)
        self.log = server.log.with_name(f"beat-{server.port}.log")
        self.command = (*self.command, f"--schedule={server.log.with_name('schedule')}")


def test_what_happens_is_told_within_seconds(broker, empty_database_url, tmp_path):
    mailbox = Mailbox()
    server = Server(
        tmp_path,
        empty_database_url,
        BROKER_URL=broker.url,
        WEBHOOK_ALLOWED_NETWORKS="127.0.0.0/8",
        EMAIL_URL=f"smtp://127.0.0.1:{mailbox.port}",
        EMAIL_FROM="desk@practice.example",
    )

    def ask(method, path, **body):
        answer = requests.request(method, f"{server.base_url}{path}", json=body, timeout=10)
        assert answer.status_code < 300, answer.text
        return answer.json()

    start_time = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) + timedelta(days=3)
    with mailbox, server, Receiver() as receiver, Worker(server), Beat(server):
        person = {"first_name": "Alan", "last_name": "Turing", "password": PASSWORD}
        client = ask("POST", "/client/create", **person, email="alan@example.org")["client_id"]
        ask("POST", "/webhooks", url=receiver.url)
        window = {
            "start_time": start_time.isoformat(),
            "end_time": (start_time + timedelta(minutes=15)).isoformat(),
        }
        [timeslot] = ask("POST", "/provider/availability", provider_id=1, **window).values()
        ids = {"client_id": client, "timeslot_id": timeslot[0]["timeslot_id"]}
        [reservation] = ask("POST", "/client/reserve", **ids).values()
        ids = {"client_id": client, "reservation_id": reservation["reservation_id"]}
        ask("PUT", "/client/confirm", **ids)
        wait_until(lambda: len(receiver.received) == len(mailbox.messages) == 2)
    told = [json.loads(received.body)["type"] for received in receiver.received]
    assert told == ["reservation.reserved", "reservation.confirmed"]
    assert [to for to, _ in mailbox.told()] == ["alan@example.org"] * 2
    assert mailbox.told()[1][1] == "Confirmed"
