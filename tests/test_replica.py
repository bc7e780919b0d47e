"""DATABASE_REPLICA_URL: reads by a replica, never further behind than they may be, and never behind
what the caller has just written."""

import contextlib
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from .concurrency import wait_until
from .database import PostgreSQL, Standby, free_port
from .server import Server

pytestmark = pytest.mark.services
LIMIT = 1  # second
LATEST = LIMIT + 0.5  # a read may take some time too
LIST = "/client/getProviderAvailability?provider_id="
START = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) + timedelta(days=3)


class Replica(Standby):
    """What can happen to it."""

    def query(self, sql):
        with psycopg.connect(self.url, autocommit=True) as database:
            cursor = database.execute(sql)
            return cursor.fetchone() if cursor.description else None

    @contextlib.contextmanager
    def paused(self):
        """It gets what is written, and does not replay it."""
        self.query("SELECT pg_wal_replay_pause()")
        wait_until(lambda: self.query("SELECT pg_get_wal_replay_pause_state()") == ("paused",))
        try:
            yield
        finally:
            self.query("SELECT pg_wal_replay_resume()")

    @contextlib.contextmanager
    def cut_off(self):
        """It gets nothing, and has replayed all that it got."""
        [address] = self.query("SHOW primary_conninfo")
        self.query("ALTER SYSTEM SET primary_conninfo = ''")
        self.query("SELECT pg_reload_conf()")
        wait_until(lambda: not self.query("SELECT 1 FROM pg_stat_wal_receiver"))
        try:
            yield
        finally:
            quoted = address.replace("'", "''")
            self.query(f"ALTER SYSTEM SET primary_conninfo = '{quoted}'")
            self.query("SELECT pg_reload_conf()")
            wait_until(lambda: self.query("SELECT 1 FROM pg_stat_wal_receiver"))


class Instance(Server):
    """One of several; who asks it is said by a proxy."""

    def ask(self, method, path, body=None, who="192.0.2.1", **headers):
        return requests.request(
            method,
            f"{self.base_url}{path}",
            json=body,
            headers={"X-Forwarded-For": who, **headers},
            timeout=10,
        )

    def outcomes(self):
        """How often reads were answered by the replica, and why they were not."""
        families = text_string_to_metric_families(self.ask("GET", "/metrics").text)
        return {
            sample.labels["outcome"]: sample.value
            for family in families
            for sample in family.samples
            if sample.name == "reservations_replica_reads_total"
        }

    def logged(self, message):
        return self.log.read_text().count(f'"{message}"')


@pytest.fixture(scope="module")
def primary():
    server = PostgreSQL()
    server.create()
    server.start()
    yield server
    server.destroy()


class Redis:
    def __init__(self, folder):
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.command = ["redis-server", "--port", str(self.port), "--save", "", "--dir", folder]

    def start(self):
        self.process = subprocess.Popen(self.command, stdout=subprocess.DEVNULL)

    def kill(self):
        self.process.kill()
        self.process.wait(timeout=10)


@pytest.fixture(scope="module")
def redis(tmp_path_factory):
    server = Redis(str(tmp_path_factory.mktemp("redis")))
    server.start()
    yield server
    server.kill()


@pytest.fixture(scope="module")
def pair(primary, redis, tmp_path_factory):
    """A replica, and two instances that read from it."""
    replica = Replica(primary)
    with contextlib.ExitStack() as stack:
        stack.callback(replica.destroy)
        replica.create()
        replica.start()
        environment = {
            "DATABASE_REPLICA_URL": replica.url,
            "REDIS_URL": redis.url,
            "TRUSTED_PROXIES": "127.0.0.1",
            "WEB_CONCURRENCY": "1",
        }
        folder = tmp_path_factory.mktemp("instances")
        instances = [Instance(folder, primary.url, **environment) for _ in range(2)]
        for instance in instances:
            stack.enter_context(instance)
            instances[1].command = Instance.command[:1]  # the first has prepared the database
        yield replica, instances


@pytest.fixture
def replica(pair):
    return pair[0]


@pytest.fixture
def instances(pair):
    """Both of which have found the replica fresh."""
    for instance in pair[1]:
        wait_until(lambda instance=instance: is_by_replica(instance))
    return pair[1]


@pytest.fixture
def instance(instances):
    return instances[0]


def is_by_replica(instance, path="/provider/list"):
    before = instance.outcomes().get("replica", 0)
    assert instance.ask("GET", path, who="192.0.2.99").status_code == 200
    return instance.outcomes().get("replica", 0) > before


@pytest.fixture
def provider(instance):
    """With two timeslots, which the replica has."""
    body = {"first_name": "Grace", "last_name": "Hopper"}
    [pk, *_] = instance.ask("POST", "/provider/create", body, who="192.0.2.2").json().values()
    window = {
        "start_time": START.isoformat(),
        "end_time": (START + timedelta(hours=0.5)).isoformat(),
    }
    published = instance.ask("POST", "/provider/availability", {"provider_id": pk, **window})
    assert published.status_code == 201
    wait_until(lambda: is_by_replica(instance, f"{LIST}{pk}"))
    return pk


def listed(instance, provider, tag=None, **query):
    headers = {"If-None-Match": tag} if tag else {}
    return instance.ask("GET", f"{LIST}{provider}", **headers, **query)


def ids(answer):
    assert answer.status_code == 200
    return [one["timeslot_id"] for one in answer.json()["available timeslots"]]


RESERVED = """
    INSERT INTO scheduling_reservation (provider_id, timeslot_id, client_id, start_time, end_time,
                                        status, created_at, expires_at, changed_at)
    SELECT provider_id, id, 1, start_time, end_time, 'confirmed', start_time,
           start_time + interval '1 hour', start_time
      FROM scheduling_timeslot WHERE id = %s
"""


def reserve_around_the_service(primary, timeslot_id):
    with psycopg.connect(primary.url) as database:
        database.execute(RESERVED, [timeslot_id])


@pytest.mark.parametrize("trouble", ["paused", "cut_off"])
def test_a_replica_that_is_too_far_behind_is_not_asked(
    primary, replica, instance, provider, trouble
):
    first, second = ids(listed(instance, provider))
    tag = listed(instance, provider).headers["ETag"]
    logged, behind = instance.logged("replica not used"), instance.outcomes().get("behind", 0)
    with getattr(replica, trouble)():
        reserve_around_the_service(primary, first)
        taken_at = time.perf_counter()
        # The control: so it is the replica that answers, and confirms the tag.
        assert ids(listed(instance, provider)) == [first, second]
        assert listed(instance, provider, tag).status_code == 304
        wait_until(lambda: listed(instance, provider, tag).status_code == 200)
        assert ids(listed(instance, provider)) == [second]
        assert time.perf_counter() - taken_at < LATEST
        assert ids(listed(instance, provider)) == [second]
        # Once it has been unknown for as long as it may be, that it is behind is known.
        wait_until(
            lambda: listed(instance, provider) and instance.outcomes().get("behind", 0) > behind
        )
        assert instance.logged("replica not used") - logged == 1
    wait_until(lambda: is_by_replica(instance))
    assert ids(listed(instance, provider)) == [second]
    assert instance.logged("replica used again") == instance.logged("replica not used")


def test_who_has_just_written_sees_it_wherever_they_ask(replica, instances, provider):
    here, there = instances
    first, second = ids(listed(here, provider))
    client = here.ask("POST", "/client/create", {"first_name": "Alan", "last_name": "Turing"})
    client_id = client.json()["client_id"]
    wait_until(lambda: is_by_replica(there))
    with replica.paused():
        body = {"client_id": client_id, "timeslot_id": first}
        reserved = here.ask("POST", "/client/reserve", body)
        assert reserved.status_code == 200
        # The control: to others, the replica says what it knows.
        assert first in ids(there.ask("GET", "/client/findTimeslots", who="192.0.2.3"))
        # The provider's list and the client's, whoever asks; the rest for who wrote.
        assert ids(listed(there, provider, who="192.0.2.3")) == [second]
        paths = [
            f"/client/reservations?client_id={client_id}",
            f"/provider/reservations?provider_id={provider}",
        ]
        for path in paths:
            assert len(there.ask("GET", path, who="192.0.2.3").json()["reservations"]) == 1
        own = there.ask("GET", f"/provider/availability?provider_id={provider}", who="192.0.2.3")
        assert [one["is_available"] for one in own.json()["timeslots"]] == [False, True]
        found = there.ask(
            "GET", f"/client/findTimeslots?provider_ids=1,{provider}", who="192.0.2.3"
        )
        assert first not in ids(found)
        assert first not in ids(there.ask("GET", "/client/findTimeslots"))


def test_a_refusal_is_an_answer_of_the_replica_too(instance):
    before = instance.outcomes()["replica"]
    answer = listed(instance, 987654321, who="192.0.2.98")
    assert answer.json()["code"] == "provider_not_found"
    assert instance.outcomes()["replica"] == before + 1


def test_whom_a_withdrawal_concerns_sees_it_at_once(replica, instance, provider):
    first, _ = ids(listed(instance, provider))
    body = {"client_id": 2, "timeslot_id": first}
    assert instance.ask("POST", "/client/reserve", body).status_code == 200
    mine = "/client/reservations?client_id=2&status=cancelled"
    wait_until(lambda: is_by_replica(instance, mine))
    with replica.paused():
        body = {"provider_id": provider, "timeslot_ids": [first], "cancel_reservations": True}
        assert instance.ask("DELETE", "/provider/availability", body).status_code == 200
        found = instance.ask("GET", mine, who="192.0.2.97").json()["reservations"]
        assert first in [one["timeslot_id"] for one in found]


def test_it_answers_every_read_that_says_so(instance, provider):
    timeslot, _ = ids(listed(instance, provider))
    body = {"client_id": 1, "timeslot_id": timeslot}
    reservation = instance.ask("POST", "/client/reserve", body, who="192.0.2.4").json()
    reservation_id = reservation["Reservation scheduled"]["reservation_id"]
    wait_until(lambda: is_by_replica(instance, f"{LIST}{provider}"))
    before = instance.outcomes()["replica"]
    paths = [
        f"{LIST}{provider}",
        "/client/findTimeslots",
        "/client/profile?client_id=1",
        "/client/reservations?client_id=1",
        f"/client/reservation?client_id=1&reservation_id={reservation_id}",
        "/provider/list",
        f"/provider/profile?provider_id={provider}",
        f"/provider/availability?provider_id={provider}",
        f"/provider/reservations?provider_id={provider}",
        f"/provider/reservation?provider_id={provider}&reservation_id={reservation_id}",
    ]
    for path in paths:
        for method in ("GET", "HEAD"):
            assert instance.ask(method, path, who="192.0.2.5").status_code == 200, path
    assert instance.outcomes()["replica"] - before == 2 * len(paths)


@pytest.mark.parametrize("begins_with", ["SELECT pg_current_xact_id()", "SELECT 1"])
def test_a_change_that_commits_late_ends_a_tag_of_the_replicas(
    primary, replica, instance, provider, begins_with
):
    """Its transaction has a lower number than one that the list was made from, and the replica may
    have heard nothing of it yet."""
    first, second = ids(listed(instance, provider))
    with psycopg.connect(primary.url) as late:
        late.execute(begins_with)
        if begins_with == "SELECT 1":
            late.execute(RESERVED, [first])
        reserve_around_the_service(primary, second)
        wait_until(lambda: ids(listed(instance, provider)) == [first])
        before = instance.outcomes()["replica"]
        tag = listed(instance, provider).headers["ETag"]
        assert listed(instance, provider, tag).status_code == 304
        assert instance.outcomes()["replica"] - before == 2
        if begins_with != "SELECT 1":
            late.execute(RESERVED, [first])
        late.commit()
    wait_until(lambda: listed(instance, provider, tag).status_code == 200, LATEST)
    assert ids(listed(instance, provider)) == []


def test_what_leads_to_no_replica_is_not_used(primary, redis, tmp_path):
    instance = Instance(
        tmp_path,
        primary.url,
        DATABASE_REPLICA_URL=primary.url,
        REDIS_URL=redis.url,
        TRUSTED_PROXIES="127.0.0.1",
        WEB_CONCURRENCY="1",
    )
    with instance:
        for _ in range(3):
            assert instance.ask("GET", "/provider/list").status_code == 200
        assert instance.outcomes() == {"unavailable": 3}
        assert instance.logged("replica not used") == 1


def ask_while(instance, provider, step):
    """The statuses of what eight callers ask until a second after the step."""
    until = []

    def caller():
        found = set()
        while not until or time.monotonic() < until[0]:
            found.add(listed(instance, provider).status_code)
        return found

    with ThreadPoolExecutor(8) as threads:
        callers = [threads.submit(caller) for _ in range(8)]
        time.sleep(0.2)
        step()
        until.append(time.monotonic() + 1)
        return set().union(*(one.result() for one in callers))


def test_it_is_killed_and_no_request_fails(replica, instance, provider):
    def kill():
        replica.process.kill()
        replica.process.wait(timeout=10)

    logged = instance.logged("replica not used")
    assert ask_while(instance, provider, kill) == {200}
    assert instance.logged("replica not used") - logged == 1
    replica.start()
    wait_until(lambda: is_by_replica(instance), 10)


def test_the_redis_is_killed_and_the_primary_answers(replica, instance, provider, redis):
    """Nobody knows any more who has just written."""
    logged = instance.logged("Redis unavailable")
    away = instance.outcomes().get("redis_away", 0)
    try:
        assert ask_while(instance, provider, redis.kill) == {200}
        first, second = ids(listed(instance, provider))
        with replica.paused():
            body = {"client_id": 1, "timeslot_id": first}
            assert instance.ask("POST", "/client/reserve", body).status_code == 200
            assert ids(listed(instance, provider)) == [second]
        assert instance.outcomes()["redis_away"] > away
        assert instance.logged("Redis unavailable") - logged == 1
    finally:
        redis.start()
