"""Lists of bookable timeslots that are kept in Redis: never wrong for longer than a second."""

import secrets
import signal
import subprocess
import time
from datetime import timedelta
from zlib import crc32

import pytest
import redis as redis_library

from scheduling import booking, listings, metrics, recent, shared, tasks

from .concurrency import wait_until
from .database import free_port
from .factories import make_client, make_hold, make_provider, make_timeslot
from .test_list_etag import ask

pytestmark = [pytest.mark.services, pytest.mark.django_db(transaction=True)]
DAY = timedelta(hours=24)
TRUST = listings.TRUST


@pytest.fixture(autouse=True)
def _trust_outlasts_the_test(monkeypatch):
    """However busy the machine; it ends when it is ended."""
    monkeypatch.setattr(listings, "TRUST", 600_000)


@pytest.fixture
def kept_in(settings, monkeypatch):
    """Keep lists in the Redis at this address."""

    def kept_in(url):
        settings.REDIS_URL, settings.CACHE_LISTS = url, True
        monkeypatch.setattr(shared, "redis", shared.Redis())
        shared._client.cache_clear()

    yield kept_in
    shared._client.cache_clear()


@pytest.fixture
def redis(kept_in, redis_url):
    kept_in(redis_url)
    with redis_library.from_url(redis_url) as connection:
        yield connection


@pytest.fixture
def timeslot(redis):
    return make_timeslot(starts_in=3 * DAY)


@pytest.fixture
def provider(timeslot):
    return timeslot.provider


def listed(api, provider, **query):
    answer = ask(api, provider, **query)
    assert answer.status_code == 200
    return [one["timeslot_id"] for one in answer.json()["available timeslots"]]


def end_trust(redis, provider):
    """As it ends by itself, within a second."""
    redis.delete(recent.trust_in(provider.pk))


def reserve(api, timeslot, **headers):
    body = {"client_id": make_client().pk, "timeslot_id": timeslot.pk}
    answer = api.post("/client/reserve", body, **headers)
    assert answer.status_code == 200
    return answer.json()["Reservation scheduled"]


def counted(outcome):
    return metrics.LISTS.labels(outcome)._value.get()


# --- What it saves -------------------------------------------------------------------------------


def test_what_is_trusted_asks_no_database(api, provider, django_assert_num_queries):
    make_timeslot(provider, starts_in=4 * DAY)
    made = ask(api, provider, limit=1)
    with django_assert_num_queries(0):
        kept = ask(api, provider, limit=1)
        assert ask(api, provider, made["ETag"], limit=1).status_code == 304
        assert ask(api, provider, '"1.1.1.1.1.1"', limit=1).content == made.content
    assert (kept.status_code, kept.content) == (200, made.content)
    for header in ("ETag", "Cache-Control", "Link", "Content-Type"):
        assert kept[header] == made[header]


def test_what_is_not_trusted_any_more_is_compared_by_one_statement(
    api, redis, provider, django_assert_num_queries
):
    made, before = ask(api, provider), counted("compared")
    for tag, status in ((None, 200), (made["ETag"], 304)):
        end_trust(redis, provider)
        with django_assert_num_queries(1):
            answer = ask(api, provider, tag)
        assert (answer.status_code, answer["ETag"]) == (status, made["ETag"])
    assert counted("compared") - before == 2
    with django_assert_num_queries(0):
        assert ask(api, provider).content == made.content


@pytest.mark.parametrize("body", [None, b"0123456789abcdef{}"])
def test_a_body_that_is_not_there_any_more_is_made_again(api, redis, provider, body):
    made = ask(api, provider).content
    [place] = redis.keys("reservations:lists:*:body")
    redis.delete(place) if body is None else redis.set(place, body)
    for tag in (None, '"1.1.1.1.1.1"'):
        assert ask(api, provider, tag).content == made


@pytest.mark.parametrize("query", [{"limit": 1}, {"time_zone": "America/New_York"}])
def test_each_query_has_a_list_of_its_own(api, provider, query):
    make_timeslot(provider, starts_in=4 * DAY)
    everything = ask(api, provider).content
    other = ask(api, provider, **query).content
    assert everything != other
    assert [ask(api, provider).content, ask(api, provider, **query).content] == [everything, other]


def test_a_query_that_has_the_place_of_another_takes_it_over(api, provider):
    make_timeslot(provider, starts_in=4 * DAY)

    def place(limit):
        return crc32(f"provider_id={provider.pk}&limit={limit}".encode()) % listings.SLOTS

    other = next(limit for limit in range(2, 1000) if place(limit) == place(1))
    for _ in range(2):
        assert [len(listed(api, provider, limit=limit)) for limit in (1, other)] == [1, 2]


def test_the_next_page_is_named_by_the_address_that_was_asked(api, provider):
    make_timeslot(provider, starts_in=4 * DAY)
    assert "http://testserver/" in ask(api, provider, limit=1)["Link"]
    api.defaults["HTTP_HOST"] = "localhost"
    assert "http://localhost/" in ask(api, provider, limit=1)["Link"]


def test_who_asks_for_ever_other_pages_fills_no_more_than_there_is_room_for(api, redis, provider):
    for limit in range(1, 60):
        listed(api, provider, limit=limit)
    listed(api, provider, name="n" * 600)
    assert len(redis.keys(f"reservations:lists:{provider.pk}:1:*")) <= 2 * listings.SLOTS
    assert redis.zcard(listings.ASKED) == 59


def test_an_unknown_provider_is_not_found(api, provider):
    provider.pk += 1
    assert [ask(api, provider).status_code for _ in range(2)] == [404] * 2


# --- What changes it -----------------------------------------------------------------------------


def cancel(api, timeslot):
    reservation = make_hold(timeslot)
    yield
    body = {"client_id": reservation.client_id, "reservation_id": reservation.pk}
    yield api.put("/client/cancel", body)


def provider_cancel(api, timeslot):
    reservation = make_hold(timeslot)
    yield
    body = {"provider_id": timeslot.provider_id, "reservation_id": reservation.pk}
    yield api.put("/provider/cancel", body)


def reschedule_to(api, timeslot):
    reservation = make_hold(make_timeslot(starts_in=5 * DAY))
    yield
    ids = {"client_id": reservation.client_id, "reservation_id": reservation.pk}
    yield api.put("/client/reschedule", ids | {"timeslot_id": timeslot.pk})


def reschedule_away(api, timeslot):
    reservation, other = make_hold(timeslot), make_timeslot(starts_in=5 * DAY)
    yield
    ids = {"client_id": reservation.client_id, "reservation_id": reservation.pk}
    yield api.put("/client/reschedule", ids | {"timeslot_id": other.pk})


def take(api, timeslot):
    body = {"client_id": make_client().pk, "timeslot_id": timeslot.pk}
    yield
    yield api.post("/client/reserve", body)


def take_once(api, timeslot):
    """In a transaction that is longer than the view's."""
    body = {"client_id": make_client().pk, "timeslot_id": timeslot.pk}
    yield
    yield api.post("/client/reserve", body, HTTP_IDEMPOTENCY_KEY="once")


def publish(api, timeslot):
    yield
    start = timeslot.start_time.replace(minute=0, second=0, microsecond=0) + DAY
    window = {"start_time": start.isoformat(), "end_time": (start + DAY / 24).isoformat()}
    yield api.post("/provider/availability", {"provider_id": timeslot.provider_id, **window})


def withdraw(api, timeslot):
    yield
    body = {"provider_id": timeslot.provider_id, "timeslot_ids": [timeslot.pk]}
    yield api.delete("/provider/availability", body)


def rename(api, timeslot):
    yield
    body = {"provider_id": timeslot.provider_id, "first_name": "Grace"}
    yield api.put("/provider/profile", body)


@pytest.mark.parametrize(
    "change",
    [
        *(take, take_once, cancel, provider_cancel, reschedule_to, reschedule_away),
        *(publish, withdraw, rename),
    ],
)
def test_every_change_is_listed_at_once(api, provider, timeslot, change):
    steps = change(api, timeslot)
    next(steps)
    before = [ask(api, provider) for _ in range(2)][1]
    assert next(steps).status_code in (200, 201)
    after = ask(api, provider, before["ETag"])
    assert after.status_code == 200
    assert after.content != before.content


def test_a_change_that_is_rolled_back_leaves_it_alone(api, provider, timeslot, monkeypatch):
    before = ask(api, provider)
    monkeypatch.setattr(
        "scheduling.retries.StoredAnswer.objects.create", lambda **_: 1 / 0, raising=True
    )
    body = {"client_id": make_client().pk, "timeslot_id": timeslot.pk}
    assert api.post("/client/reserve", body, HTTP_IDEMPOTENCY_KEY="once").status_code == 500
    trusted = counted("trusted")
    assert ask(api, provider).content == before.content
    assert counted("trusted") - trusted == 1


def test_an_end_of_trust_that_is_lost_is_made_up_for_within_a_second(
    api, redis, provider, timeslot, monkeypatch
):
    """An instance is killed between its commit and telling the others."""
    assert TRUST < 1000  # milliseconds
    monkeypatch.setattr(listings, "TRUST", TRUST)
    assert listed(api, provider) == [timeslot.pk]
    booking.reserve(client_id=make_client().pk, timeslot_id=timeslot.pk)

    def is_listed_as_taken():
        assert redis.pttl(recent.trust_in(provider.pk)) <= TRUST
        return listed(api, provider) == []

    wait_until(is_listed_as_taken)


@pytest.fixture
def read_before_and_kept_after(monkeypatch, api, provider, timeslot):
    """A list that is read before a reserve and kept after it, while the provider's lists are
    trusted anew."""
    make = listings._made

    def slowly(query):
        monkeypatch.setattr(listings, "_made", make)
        listing = make(query)
        reserve(api, timeslot)
        assert listed(api, provider, limit=7) == []
        return listing

    monkeypatch.setattr(listings, "_made", slowly)
    assert listed(api, provider) == [timeslot.pk]


def test_what_was_read_before_a_change_is_not_believed_after_it(
    read_before_and_kept_after, api, provider
):
    assert listed(api, provider) == []


@pytest.fixture
def all_trust_is_the_same(monkeypatch):
    monkeypatch.setattr(secrets, "token_hex", lambda _: "the same")


def test_control_if_all_trust_were_the_same_it_would_be_believed(
    all_trust_is_the_same, read_before_and_kept_after, api, provider, timeslot
):
    assert listed(api, provider) == [timeslot.pk]


# --- What the clock changes ----------------------------------------------------------------------


def test_a_hold_that_lapses_frees_its_timeslot_at_its_deadline(api, clock, redis):
    hold = make_hold(make_timeslot(starts_in=3 * DAY))
    assert listed(api, hold.provider) == []
    clock.shift(minutes=30)
    assert listed(api, hold.provider) == []
    clock.shift(microseconds=1)
    assert listed(api, hold.provider) == [hold.timeslot_id]


def test_a_timeslot_that_comes_too_close_is_not_listed(api, clock, redis):
    timeslot = make_timeslot(starts_in=DAY + timedelta(minutes=1))
    assert listed(api, timeslot.provider) == [timeslot.pk]
    clock.shift(minutes=1)
    assert listed(api, timeslot.provider) == [timeslot.pk]
    clock.shift(microseconds=1)
    assert listed(api, timeslot.provider) == []


def test_another_notice_period_ends_it(api, provider, timeslot, settings):
    assert listed(api, provider) == [timeslot.pk]
    settings.NOTICE = 4 * DAY
    assert listed(api, provider) == []


# --- What is done by the clock -------------------------------------------------------------------


def test_what_was_asked_for_lately_is_refreshed(api, redis, provider, timeslot):
    assert listed(api, provider, limit=3) == [timeslot.pk]
    booking.reserve(client_id=make_client().pk, timeslot_id=timeslot.pk)
    end_trust(redis, provider)
    tasks.refresh_lists()
    trusted = counted("trusted")
    assert listed(api, provider, limit=3) == []
    assert counted("trusted") - trusted == 1


def test_what_nobody_asks_for_is_forgotten(api, redis, provider):
    listed(api, provider)
    [asked] = redis.zrange(listings.ASKED, 0, -1)
    redis.zadd(listings.ASKED, {asked: time.time() - listings.KEPT - 1})
    end_trust(redis, provider)
    tasks.refresh_lists()
    assert redis.zcard(listings.ASKED) == 0
    assert not redis.exists(recent.trust_in(provider.pk))


def test_what_cannot_be_asked_any_more_is_passed_over(api, redis, provider):
    redis.zadd(listings.ASKED, {"provider_id=0": time.time(), "provider_id=77": time.time()})
    tasks.refresh_lists()
    assert redis.keys("reservations:lists:*:1:*") == []


# --- Without the Redis ---------------------------------------------------------------------------


@pytest.fixture
def mortal_redis(kept_in, tmp_path):
    """One that can be killed."""
    port = free_port()
    command = ["redis-server", "--port", str(port), "--save", "", "--dir", str(tmp_path)]
    running = []

    def start():
        running.append(subprocess.Popen(command, stdout=subprocess.DEVNULL))
        with redis_library.Redis(port=port) as connection:
            wait_until(lambda: answers(connection))
        return running[-1]

    kept_in(f"redis://127.0.0.1:{port}/0")
    yield start
    for one in running:
        one.kill()
        one.wait(timeout=10)


def answers(connection):
    try:
        return connection.ping()
    except redis_library.ConnectionError:
        return False


def said(caplog, message):
    return [record.message for record in caplog.records].count(message)


def test_it_dies_and_nobody_notices(api, mortal_redis, caplog, monkeypatch):
    process, timeslot = mortal_redis(), make_timeslot(starts_in=3 * DAY)
    assert listed(api, timeslot.provider) == [timeslot.pk]
    process.kill()
    process.wait(timeout=10)
    assert listed(api, timeslot.provider) == [timeslot.pk]
    reserve(api, timeslot)
    assert [listed(api, timeslot.provider) for _ in range(5)] == [[]] * 5
    tasks.refresh_lists()
    assert said(caplog, "Redis unavailable") == 1
    assert metrics.REDIS_FAILING._value.get() == 1
    monkeypatch.setattr(shared.redis, "_ask_again_at", 0)
    mortal_redis()
    assert [listed(api, timeslot.provider) for _ in range(5)] == [[]] * 5
    assert said(caplog, "Redis available again") == 1
    assert metrics.REDIS_FAILING._value.get() == 0


def test_it_hangs_and_is_waited_for_once(api, mortal_redis, caplog):
    process, timeslot = mortal_redis(), make_timeslot(starts_in=3 * DAY)
    assert listed(api, timeslot.provider) == [timeslot.pk]
    process.send_signal(signal.SIGSTOP)
    began = time.perf_counter()
    first = listed(api, timeslot.provider)
    waited = time.perf_counter()
    others = [listed(api, timeslot.provider) for _ in range(20)]
    assert [first, *others] == [[timeslot.pk]] * 21
    assert waited - began < 2 * shared.PATIENCE + 0.5
    assert time.perf_counter() - waited < 1
    assert said(caplog, "Redis unavailable") == 1


def test_without_the_setting_it_is_not_asked(api, settings, redis, provider):
    settings.CACHE_LISTS = False
    listed(api, provider)
    make_provider()
    reserve(api, make_timeslot())
    assert redis.keys("*") == []
