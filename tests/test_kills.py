"""kill -9 amid the work: what was acknowledged is there afterwards, and nothing twice."""

import itertools
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
import requests

from .concurrency import LONGEST_WAIT, rows_of, wait_until

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
