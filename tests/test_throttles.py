"""How often may be asked: by account, by address, and by who guesses passwords."""

import re
import threading
from datetime import timedelta

import pytest
from django.core.cache import cache, caches
from django.test import Client as Browser

from scheduling import throttling
from scheduling.models import Client, Reservation

from . import callers
from .concurrency import at_once
from .database import free_port
from .factories import PASSWORD, make_account, make_client, make_hold, make_timeslot

pytestmark = pytest.mark.once

EMAIL = "ada@example.org"
NAMES = {"first_name": "Emmy", "last_name": "Noether"}


@pytest.fixture(autouse=True)
def required(settings, clock):
    settings.AUTHENTICATION = "required"
    settings.SIGN_IN_RATE = (4, 60)
    settings.SIGN_UP_RATE = (3, 3600)
    settings.RESERVE_RATE = (2, 60)
    settings.RESERVE_RATE_PER_ADDRESS = (5, 60)


def sign_in(api, email=EMAIL, password=PASSWORD, address="192.0.2.1", **headers):
    given = {"email": email, "password": password}
    return api.post("/auth/token", given, REMOTE_ADDR=address, **headers)


def sign_up(api, nth, address="192.0.2.1", kind="client"):
    account = {"email": f"{nth}@example.org", "password": PASSWORD}
    return api.post(f"/{kind}/create", NAMES | account, REMOTE_ADDR=address)


def reserve(api, client, address="192.0.2.1"):
    ids = {"client_id": client.pk, "timeslot_id": make_timeslot().pk}
    return api.post("/client/reserve", ids, REMOTE_ADDR=address)


def reschedule(api, client, address="192.0.2.1"):
    ids = {"client_id": client.pk, "reservation_id": make_hold(client=client).pk}
    ids |= {"timeslot_id": make_timeslot().pk}
    return api.put("/client/reschedule", ids, REMOTE_ADDR=address)


def statuses(answers):
    return [answer.status_code for answer in answers]


def throttled(answer, retry_after):
    assert (answer.status_code, answer.json()["code"]) == (429, "throttled"), answer.content
    assert answer["Content-Type"] == "application/problem+json"
    assert answer["Retry-After"] == str(retry_after)
    return True


@pytest.fixture
def client(api):
    client = make_client()
    callers.signed_in(api, client=client)
    return client


def test_sign_ins_are_counted_by_address(api):
    accounts = [f"{nth}@example.org" for nth in range(5)]
    for email in accounts:
        make_account(email=email)
    assert statuses(sign_in(api, email) for email in accounts) == [200] * 4 + [429]
    assert throttled(sign_in(api), 60)
    assert sign_in(api, accounts[4], address="192.0.2.2").status_code == 200


def test_sign_ups_are_counted_by_address(api):
    answers = [sign_up(api, nth) for nth in range(4)]
    assert statuses(answers) == [201] * 3 + [429]
    assert throttled(answers[3], 3600)
    assert Client.objects.count() == 3
    assert sign_up(api, 4, address="192.0.2.2").status_code == 201


def test_providers_who_sign_up_are_counted_with_the_clients(api, settings):
    settings.OPEN_PROVIDER_SIGNUP = True
    answers = [sign_up(api, 0), *(sign_up(api, nth, kind="provider") for nth in range(1, 4))]
    assert statuses(answers) == [201] * 3 + [429]
    assert throttled(answers[3], 3600)


def test_sign_ups_are_counted_by_account_too(api):
    callers.signed_in(api, client=make_client())
    addresses = [f"192.0.2.{nth}" for nth in range(4)]
    answers = [api.post("/client/create", NAMES, REMOTE_ADDR=one) for one in addresses]
    assert statuses(answers) == [409] * 3 + [429]
    assert throttled(answers[3], 3600)


def test_reserves_are_counted_by_account(api, client):
    answers = [reserve(api, client, address=f"192.0.2.{nth}") for nth in range(3)]
    assert statuses(answers) == [200, 200, 429]
    assert throttled(answers[2], 60)
    assert Reservation.objects.count() == 2


def test_reserves_are_counted_by_address_too(api):
    answers = []
    for nth in range(6):
        client = make_client()
        callers.signed_in(api, email=f"{nth}@example.org", client=client)
        answers.append(reserve(api, client))
    assert statuses(answers) == [200] * 5 + [429]
    assert throttled(answers[5], 60)


def test_reschedules_are_counted_as_reserves_are(api, client):
    """To move on and on keeps others from as many timeslots as to reserve them would."""
    assert statuses([reserve(api, client), reschedule(api, client)]) == [200, 200]
    for ask in (reschedule, reserve):
        answer = ask(api, client, address="192.0.2.9")
        assert throttled(answer, 60)
        assert answer["RateLimit-Policy"] == '"reserve";q=2;w=60, "reserve-address";q=5;w=60'


def test_reschedules_are_counted_by_address_too(api):
    answers = []
    for nth, ask in enumerate([reserve, reschedule] * 3):
        client = make_client()
        callers.signed_in(api, email=f"{nth}@example.org", client=client)
        answers.append(ask(api, client))
    assert statuses(answers) == [200] * 5 + [429]
    assert throttled(answers[5], 60)
    assert reschedule(api, client, address="192.0.2.2").status_code == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("put", "/client/cancel"),
        ("get", "/client/reservation"),
        ("get", "/client/reservations"),
        ("get", "/client/findTimeslots"),
        ("put", "/client/profile"),
    ],
)
def test_what_keeps_nothing_from_others_is_not_counted(api, client, method, path):
    given = {"reservation_id": make_hold(client=client).pk, "first_name": "Ada"}
    given |= {"client_id": client.pk}
    answers = [getattr(api, method)(path, given) for _ in range(8)]
    assert answers[0].status_code == 200
    assert 429 not in statuses(answers)
    assert "RateLimit" not in answers[7]


def test_refused_reserves_count_as_well(api, client):
    ids = {"client_id": client.pk, "timeslot_id": 2**62}
    assert statuses(api.post("/client/reserve", ids) for _ in range(3)) == [404, 404, 429]


@pytest.mark.parametrize(("seconds", "status"), [(29, 429), (30, 200)])
def test_the_next_window_starts_afresh(api, client, clock, seconds, status):
    clock.shift(seconds=30)
    assert statuses(reserve(api, client) for _ in range(3)) == [200, 200, 429]
    answer = reserve(api, client)
    assert throttled(answer, 30)
    clock.shift(seconds=seconds)
    assert reserve(api, client).status_code == status


def test_every_counted_answer_says_where_the_caller_stands(api, client, clock):
    clock.shift(seconds=20)
    for left in (1, 0, 0):
        answer = reserve(api, client)
        assert answer["RateLimit-Policy"] == '"reserve";q=2;w=60, "reserve-address";q=5;w=60'
        standing = rf'"reserve";r={left};t=40, "reserve-address";r=\d;t=40'
        assert re.fullmatch(standing, answer["RateLimit"])
    for path in ("/healthz", "/client/getProviderAvailability?provider_id=1"):
        assert "RateLimit" not in api.get(path)


def test_staff_and_the_rest_of_the_service_are_not_counted(api):
    callers.staff(api)
    client = make_client()
    assert statuses(reserve(api, client) for _ in range(8)) == [200] * 8
    assert statuses(api.post("/client/create", NAMES) for _ in range(8)) == [201] * 8
    for _ in range(8):
        assert api.put("/provider/expiredReservations").status_code == 200


def test_an_open_service_counts_sign_ins_alone(api, settings):
    settings.AUTHENTICATION = "open"
    client = make_client()
    for _ in range(8):
        answer = reserve(api, client)
        assert answer.status_code == 200
        assert "RateLimit" not in answer
        assert api.post("/client/create", NAMES).status_code == 201
    assert statuses(sign_in(api) for _ in range(5))[-1] == 429


@pytest.mark.parametrize("setting", ["SIGN_IN_RATE", "RESERVE_RATE"])
def test_a_rate_can_be_left_out(api, client, settings, setting):
    setattr(settings, setting, None)
    call = sign_in if setting == "SIGN_IN_RATE" else lambda api: reserve(api, client)
    assert 429 not in statuses(call(api) for _ in range(5))


@pytest.mark.parametrize(
    ("first", "second", "is_same"),
    [
        ("2001:db8:0:1::1", "2001:db8:0:1:ffff::2", True),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
    ],
)
def test_an_address_is_whom_it_can_belong_to(api, first, second, is_same):
    for _ in range(4):
        sign_in(api, address=first)
    assert (sign_in(api, address=second).status_code == 429) is is_same


def test_many_callers_are_counted_as_few_are(api, settings):
    """Django's cache in memory keeps 300 counts unless it is told otherwise."""
    settings.SIGN_IN_RATE = (1, 60)
    addresses = [f"198.51.{nth // 250}.{nth % 250}" for nth in range(1000)]
    first = {api.post("/auth/token", {}, REMOTE_ADDR=one).status_code for one in addresses}
    second = {api.post("/auth/token", {}, REMOTE_ADDR=one).status_code for one in addresses}
    assert (first, second) == ({400}, {429})


@pytest.fixture
def contenders(api, transactional_db):
    """Eight requests of one client, who may make two."""
    client = make_client()
    token = callers.accounts.start_session(user=make_account(client=client)).access

    def contender(timeslot):
        caller = type(api)()
        callers.authorize(caller, token)
        ids = {"client_id": client.pk, "timeslot_id": timeslot.pk}
        return lambda: caller.post("/client/reserve", ids)

    return [contender(make_timeslot()) for _ in range(8)]


def test_callers_at_once_are_counted_one_by_one(contenders):
    answers = at_once(*contenders)
    assert sorted(statuses(answers)) == [200] * 2 + [429] * 6
    assert Reservation.objects.count() == 2


def test_control_a_count_that_is_read_and_then_written_lets_all_through(contenders, monkeypatch):
    have_read = threading.Barrier(8, timeout=30)

    def careless(key, seconds):
        count = cache.get(key, 0) + 1
        have_read.wait()
        cache.set(key, count, seconds)
        return count

    monkeypatch.setattr(throttling, "_increment", careless)
    assert statuses(at_once(*contenders)) == [200] * 8


# --- Redis ---------------------------------------------------------------------------------------


@pytest.fixture
def redis(settings, redis_url):
    settings.CACHES = {
        "default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": redis_url}
    }
    caches["default"].clear()


@pytest.mark.services
def test_redis_counts_for_every_instance(api, client, redis):
    assert statuses(reserve(api, client) for _ in range(3)) == [200, 200, 429]


def test_a_cache_that_is_away_lets_everybody_through(api, client, settings, monkeypatch, caplog):
    settings.CACHES = {
        "default": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": f"redis://127.0.0.1:{free_port()}",
        }
    }
    monkeypatch.setattr(throttling, "_paused_until", 0.0)
    assert statuses(reserve(api, client) for _ in range(6)) == [200] * 6
    # It is asked once, and then left alone for a while.
    assert [record.message for record in caplog.records].count("cache unavailable") == 1


# --- Lock-out ------------------------------------------------------------------------------------


@pytest.fixture
def guessing(settings):
    settings.SIGN_IN_RATE = None


def guess(api, times, **where):
    return [sign_in(api, password="hunter2-guessed", **where) for _ in range(times)]


def test_who_is_locked_out_is_told_for_how_long(api, guessing, clock):
    make_account()
    guess(api, 5)
    clock.shift(minutes=10)
    answer = sign_in(api)
    assert answer["Retry-After"] == "301"
    clock.shift(seconds=301)
    assert sign_in(api).status_code == 200


@pytest.mark.parametrize("email", [EMAIL, "nobody@example.org"])
def test_who_fails_five_times_is_locked_out(api, guessing, email):
    make_account()
    answers = guess(api, 6, email=email)
    assert statuses(answers) == [401] * 4 + [429] * 2
    for answer in answers[4:]:
        assert answer.json()["code"] == "too_many_attempts"
        assert answer["Retry-After"] == "901"
    assert sign_in(api, email).status_code == 429  # the right password as well


def test_nobody_is_locked_out_anywhere_else(api, guessing):
    make_account()
    make_account(email="other@example.org")
    guess(api, 20)
    assert sign_in(api, address="192.0.2.2").status_code == 200
    assert sign_in(api, "other@example.org").status_code == 200


def test_an_ipv6_network_is_locked_out_as_a_whole(api, guessing):
    make_account()
    for nth in range(5):
        guess(api, 1, address=f"2001:db8::{nth}")
    assert sign_in(api, address="2001:db8::9").status_code == 429
    assert sign_in(api, address="2001:db8:0:1::9").status_code == 200


@pytest.mark.parametrize("given", ["ADA@EXAMPLE.ORG", "Ada@example.org"])
def test_the_case_of_an_address_does_not_help(api, guessing, given):
    make_account()
    guess(api, 5)
    assert sign_in(api, given).status_code == 429


def test_another_browser_does_not_help(api, guessing):
    make_account()
    for nth in range(5):
        guess(api, 1, HTTP_USER_AGENT=f"browser/{nth}")
    assert sign_in(api, HTTP_USER_AGENT="browser/9").status_code == 429


@pytest.mark.parametrize(
    ("age", "status"), [(timedelta(minutes=15), 429), (timedelta(minutes=15, seconds=1), 200)]
)
def test_the_lock_opens_by_itself_however_often_it_was_tried(api, guessing, clock, age, status):
    make_account()
    guess(api, 5)
    clock.shift(minutes=10)
    guess(api, 5)
    clock.shift(seconds=(age - timedelta(minutes=10)).total_seconds())
    assert sign_in(api).status_code == status


def test_signing_in_forgets_earlier_failures(api, guessing):
    make_account()
    for _ in range(3):
        assert statuses(guess(api, 4)) == [401] * 4
        assert sign_in(api).status_code == 200


def test_the_admins_login_is_guarded_the_same_way(guessing, admin_user):
    browser = Browser()
    page = "/admin/login/?next=/admin/"
    for _ in range(5):
        answer = browser.post(page, {"username": "admin", "password": "hunter2-guessed"})
    assert answer.status_code == 429
    answer = browser.post(page, {"username": "admin", "password": "password"})
    assert (answer.status_code, answer.json()["code"]) == (429, "too_many_attempts")


def test_the_admins_login_is_counted_by_address_too(admin_user):
    browser = Browser()
    for nth in range(4):
        given = {"username": f"made-up-{nth}", "password": "hunter2-guessed"}
        assert browser.post("/admin/login/", given).status_code == 200
    answer = browser.post("/admin/login/", {"username": "admin", "password": "password"})
    assert throttled(answer, 60)
    assert "RateLimit" in answer


@pytest.mark.parametrize("name", ["n" * 256, "n" * 5000])
def test_a_name_of_any_length_is_a_failed_login(guessing, db, name):
    answer = Browser().post("/admin/login/", {"username": name, "password": "hunter2-guessed"})
    assert answer.status_code == 200


def test_another_method_is_not_counted(api):
    for _ in range(8):
        assert api.get("/auth/token").status_code == 405
    assert "RateLimit" not in api.options("/auth/token")
