"""kill -9 amid the work: what was acknowledged is there afterwards, and nothing twice."""

import itertools
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
import requests

from scheduling.models import Reservation, StoredAnswer, Timeslot

from .concurrency import LONGEST_WAIT, rows_of, wait_until
from .conftest import JSONClient
from .factories import make_client, make_hold, make_provider, make_timeslot
from .server import ROOT

KILLS = 5
CLIENTS = 8
TIMESLOTS_A_WINDOW = 4


class Load:
    """Clients who all want the same timeslots, confirm what they get, and publish in between."""

    def __init__(self, base_url):
        self.base_url = base_url
        self.day = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        self.windows = itertools.count()
        self.published = {}
        self.reserved = {}
        self.confirmed = set()
        contested = self.publish(provider=1, hours=500)
        # Each client goes on where it was when the server was killed.
        self.contested = [iter(contested) for _ in range(CLIENTS)]

    def publish(self, provider, hours):
        start_time = self.day + timedelta(days=3, hours=next(self.windows))
        window = {
            "provider_id": provider,
            "start_time": start_time.isoformat(),
            "end_time": (start_time + timedelta(hours=hours)).isoformat(),
        }
        answer = requests.post(f"{self.base_url}/provider/availability", json=window, timeout=30)
        assert answer.status_code == 201, answer.text
        timeslots = [one["timeslot_id"] for one in answer.json()["available timeslots"]]
        self.published[start_time] = timeslots
        return timeslots

    def play(self, nth):
        """One client, until the server is gone."""
        client = nth % 2 + 1
        with requests.Session() as session:
            try:
                for round_, timeslot in enumerate(self.contested[nth]):
                    self.reserve_and_confirm(session, client, timeslot)
                    if round_ % CLIENTS == nth:
                        self.publish(provider=2, hours=1)
            except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError):
                return
        raise AssertionError("the timeslots ran out before the server was killed")

    def reserve_and_confirm(self, session, client, timeslot):
        body = {"client_id": client, "timeslot_id": timeslot}
        answer = session.post(f"{self.base_url}/client/reserve", json=body, timeout=30)
        assert answer.status_code in (200, 409), answer.text
        if answer.status_code == 409:
            return
        reservation = answer.json()["Reservation scheduled"]["reservation_id"]
        self.reserved[reservation] = (client, timeslot)
        body = {"client_id": client, "reservation_id": reservation}
        answer = session.put(f"{self.base_url}/client/confirm", json=body, timeout=30)
        assert answer.status_code == 200, answer.text
        self.confirmed.add(reservation)


@pytest.mark.long
def test_what_was_acknowledged_survives_kill_9(server, empty_database_url):
    load = Load(server.base_url)
    for _ in range(KILLS):
        kill_under(load, server)
        server.start()
        check(load, empty_database_url)
    assert len(load.published) > KILLS


def kill_under(load, server):
    enough = len(load.confirmed) + 40
    with ThreadPoolExecutor(CLIENTS) as threads:
        plays = [threads.submit(load.play, nth) for nth in range(CLIENTS)]
        wait_until(lambda: len(load.confirmed) >= enough or any(play.done() for play in plays))
        server.kill()
        for play in plays:
            play.result(LONGEST_WAIT)


def check(load, database_url):
    reservations = {
        pk: (client, timeslot, status)
        for pk, client, timeslot, status in rows_of(
            database_url, "SELECT id, client_id, timeslot_id, status FROM scheduling_reservation"
        )
    }
    for pk, (client, timeslot) in load.reserved.items():
        assert reservations[pk][:2] == (client, timeslot)
    assert {pk for pk in load.confirmed if reservations[pk][2] != "confirmed"} == set()
    taken = [timeslot for _, timeslot, _ in reservations.values()]
    assert len(taken) == len(set(taken)), "a timeslot has two live reservations"
    timeslots = {pk for (pk,) in rows_of(database_url, "SELECT id FROM scheduling_timeslot")}
    acknowledged = {pk for window in load.published.values() for pk in window}
    assert acknowledged <= timeslots
    # What was stored but not acknowledged is at least whole.
    assert len(timeslots - acknowledged) % TIMESLOTS_A_WINDOW == 0


# --- Amid one request that carries an Idempotency-Key --------------------------------------------

MOST_STATEMENTS = 20


def reserve():
    client, timeslot = make_client(), make_timeslot()
    body = {"client_id": client.pk, "timeslot_id": timeslot.pk}
    return "POST", "/client/reserve", body, Reservation.objects.filter(timeslot=timeslot).count


def publish():
    provider = make_provider()
    start_time = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) + timedelta(days=3)
    end_time = start_time + timedelta(hours=1)
    body = {
        "provider_id": provider.pk,
        "start_time": start_time.isoformat(),
        "end_time": end_time.isoformat(),
    }
    timeslots = Timeslot.objects.filter(provider=provider)
    return "POST", "/provider/availability", body, lambda: timeslots.count() / TIMESLOTS_A_WINDOW


def cancel():
    hold = make_hold()
    body = {"reservation_id": hold.pk, "client_id": hold.client_id}
    return "PUT", "/client/cancel", body, lambda: changes_of(hold, status="cancelled")


def withdraw():
    hold = make_hold()
    body = {
        "provider_id": hold.provider_id,
        "timeslot_ids": [hold.timeslot_id],
        "cancel_reservations": True,
    }

    def removals():
        timeslots = Timeslot.objects.filter(provider_id=hold.provider_id).count()
        return (changes_of(hold, status="cancelled") + 1 - timeslots) / 2

    return "DELETE", "/provider/availability", body, removals


def reschedule():
    hold, timeslot = make_hold(), make_timeslot()
    body = {
        "reservation_id": hold.pk,
        "client_id": hold.client_id,
        "timeslot_id": timeslot.pk,
    }
    return "PUT", "/client/reschedule", body, lambda: changes_of(hold, timeslot=timeslot)


def changes_of(hold, **into):
    """How often it was changed; NaN if it is neither as it was nor as it should be."""
    version = Reservation.objects.get(pk=hold.pk).version
    is_changed = Reservation.objects.filter(pk=hold.pk, **into).exists()
    return version - 1 if is_changed == (version > 1) else float("nan")


@pytest.mark.long
@pytest.mark.parametrize("verb", [reserve, publish, cancel, withdraw, reschedule])
def test_killed_after_any_statement_it_leaves_effect_and_answer_or_neither(database_url, verb):
    situations = [verb() for _ in range(MOST_STATEMENTS)]
    fates = make_and_kill([situation[:3] for situation in situations], database_url)
    killed = fates.count("killed")
    # The first that was not killed had come to its end, so no statement has been left out.
    assert fates == ["killed"] * killed + [fates[-1]] * (MOST_STATEMENTS - killed)
    assert 5 <= killed < MOST_STATEMENTS
    assert fates[-1] in ("200", "201")
    done = [is_done_or_not_at_all(nth, *one) for nth, one in enumerate(situations)]
    # Nothing is there before the transaction has ended; then, all of it, though nobody was told.
    assert done == [False] * (killed - 1) + [True] * (MOST_STATEMENTS - killed + 1)


def make_and_kill(requests, database_url):
    """Each request in a process of its own: the first dies after one statement, the next after two,
    and so on, and the one after all statements when it has the answer in its hands."""
    lines = [
        json.dumps(
            {
                "method": method,
                "path": path,
                "data": json.dumps(body),
                "content_type": "application/json",
                "headers": {"Idempotency-Key": f"key-{nth}"},
            }
        )
        for nth, (method, path, body) in enumerate(requests)
    ]
    mortal = subprocess.run(
        [sys.executable, "-m", "tests.mortal"],
        cwd=ROOT,
        env=os.environ | {"DATABASE_URL": database_url},
        input="\n".join(lines),
        stdout=subprocess.PIPE,
        text=True,
        timeout=LONGEST_WAIT,
        check=True,
    )
    return mortal.stdout.split()


def is_done_or_not_at_all(nth, method, path, body, effects):
    """Look whether the nth request was done, and make it again."""
    key = f"key-{nth}"
    before = effects()
    assert before == StoredAnswer.objects.filter(key=key).count()
    assert before in (0, 1)

    def ask():
        return JSONClient().generic(
            method,
            path,
            json.dumps(body),
            content_type="application/json",
            headers={"Idempotency-Key": key},
        )

    answers = []

    def is_answered():
        # PostgreSQL may take a moment to notice that its client has died.
        answers.append(ask())
        return answers[-1].status_code != 409 or answers[-1].json()["code"] != "still_running"

    wait_until(is_answered)
    assert answers[-1].status_code in (200, 201), answers[-1].content
    assert ("Idempotent-Replayed" in answers[-1].headers) == (before == 1)
    assert (effects(), StoredAnswer.objects.filter(key=key).count()) == (1, 1)
    assert ask().content == answers[-1].content
    return before == 1
