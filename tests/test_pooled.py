"""Behind a PgBouncer in transaction mode, each transaction may run on another connection."""

import itertools
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
import requests

from .database import PgBouncer, PostgreSQL
from .server import Server

pytestmark = pytest.mark.services

CALLERS = 4


@pytest.fixture
def bouncer():
    # Another time zone than the service's, which each connection is to be told of.
    postgresql = PostgreSQL(options=["timezone=Asia/Tokyo"])
    postgresql.create()
    try:
        postgresql.start()
        bouncer = PgBouncer(postgresql)
        bouncer.start()
        try:
            yield bouncer
        finally:
            bouncer.stop()
    finally:
        postgresql.destroy()


def play(server, hours):
    """What a provider and a client do, ten times over; the statuses of the answers."""
    statuses = []
    with requests.Session() as session:

        def ask(method, path, **sent):
            answer = session.request(method, f"{server.base_url}{path}", timeout=30, **sent)
            statuses.append((path.partition("?")[0], answer.status_code))
            return answer.json() if answer.ok else {}

        for hour in itertools.islice(hours, 10):
            start_time = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
            start_time += timedelta(days=2, hours=hour)
            window = {
                "provider_id": 1,
                "start_time": start_time.isoformat(),
                "end_time": (start_time + timedelta(hours=1)).isoformat(),
            }
            ask("POST", "/provider/availability", json=window)
            ask("POST", "/provider/availability", json=window)  # which overlaps what there is
            found = ask("GET", "/client/getProviderAvailability?provider_id=1")
            for timeslot in found.get("available timeslots", [])[:2]:
                ids = {"client_id": 1, "timeslot_id": timeslot["timeslot_id"]}
                for made in ask("POST", "/client/reserve", json=ids).values():
                    ids = {"client_id": 1, "reservation_id": made["reservation_id"]}
                    ask("PUT", "/client/confirm", json=ids)
            ask("PUT", "/provider/expiredReservations")
    return statuses


def test_it_works_behind_a_pooler_that_it_is_told_of_and_else_not(bouncer, tmp_path):
    hours = itertools.count()
    with (
        Server(tmp_path, bouncer.url, DATABASE_POOLED="true") as server,
        ThreadPoolExecutor(CALLERS) as pool,
    ):
        plays = [pool.submit(play, server, hours) for _ in range(CALLERS)]
        assert {status for one in plays for status in one.result()} == {
            ("/provider/availability", 201),
            ("/provider/availability", 409),
            ("/client/getProviderAvailability", 200),
            ("/client/reserve", 200),
            ("/client/reserve", 409),
            ("/client/confirm", 200),
            ("/provider/expiredReservations", 200),
        }
        # The control: what it prepared on one connection, it looks for on another.
        with pytest.raises(RuntimeError, match=r"prepared statement .* does not exist"):
            Server(tmp_path, bouncer.url).start()
        # Of a new start of the pooler nobody notices anything who asked nothing just then.
        bouncer.stop()
        bouncer.start()
        for _ in range(20):
            person = {"first_name": "Emmy", "last_name": "Noether"}
            created = requests.post(f"{server.base_url}/client/create", json=person, timeout=30)
            assert created.status_code == 201
