"""Idempotency-Key: what is asked twice under one key has its effect once, and one answer."""

import contextlib
import hashlib
import http.client
import json
import os
import subprocess
import sys
from collections import Counter
from datetime import timedelta
from functools import partial
from io import StringIO

import pytest
from django.apps import apps
from django.core.management import call_command
from django.db import OperationalError, connection
from django.utils import timezone

from scheduling import accounts, urls
from scheduling.models import Client, Reservation, SignIn, StoredAnswer, Timeslot

from . import callers
from .concurrency import LONGEST_WAIT, at_once, started_after
from .conftest import JSONClient
from .database import free_port
from .factories import (
    PASSWORD,
    make_account,
    make_client,
    make_hold,
    make_provider,
    make_timeslot,
    make_webhook,
)
from .server import ROOT

DAY = timedelta(days=1)
MOMENT = timedelta(microseconds=1)
OVERDUE = timedelta(minutes=30, microseconds=1)
KEY = "8e03978e-40d5-4dd3-8c93-6894a57f9324"
REPLAYED = "Idempotent-Replayed"
NAMES = {"first_name": "Emmy", "last_name": "Noether"}
WINDOW = {"start_time": "2026-12-30T10:00:00Z", "end_time": "2026-12-30T11:00:00Z"}
CREATE_CLIENT = ("POST", "/client/create", NAMES)

LOCK_LOOK_STORE = 5 if connection.vendor == "postgresql" else 4  # with BEGIN and COMMIT
LOCK_LOOK = LOCK_LOOK_STORE - 1


def window_to_publish():
    return {"provider_id": make_provider().pk, **WINDOW}


def window_to_withdraw():
    timeslot = make_timeslot()
    span = {"start_time": timeslot.start_time, "end_time": timeslot.end_time}
    return {"provider_id": timeslot.provider_id, **span}


def timeslot_to_reserve():
    return {"client_id": make_client().pk, "timeslot_id": make_timeslot().pk}


def hold():
    made = make_hold()
    return {"client_id": made.client_id, "reservation_id": made.pk}


def failed_delivery():
    moment = timezone.now()
    return make_webhook().deliveries.create(
        status="failed", created_at=moment, next_attempt_at=moment, finished_at=moment
    )


# What changes something: how many statements it takes by itself, and a body for it.
ENDPOINTS = {
    ("POST", "/provider/create"): (1, lambda: NAMES),
    ("POST", "/provider/availability"): (4, window_to_publish),
    ("DELETE", "/provider/availability"): (8, window_to_withdraw),
    ("PUT", "/provider/profile"): (4, lambda: {"provider_id": make_provider().pk, **NAMES}),
    ("PUT", "/provider/cancel"): (5, lambda: {"reservation_id": make_hold().pk}),
    ("PUT", "/provider/expiredReservations"): (2, lambda: {"hold": make_hold(age=OVERDUE).pk}),
    ("POST", "/client/create"): (1, lambda: NAMES),
    ("POST", "/client/reserve"): (1, timeslot_to_reserve),
    ("PUT", "/client/confirm"): (1, hold),
    ("PUT", "/client/reschedule"): (7, lambda: {**hold(), "timeslot_id": make_timeslot().pk}),
    ("PUT", "/client/cancel"): (5, hold),
    ("PUT", "/webhooks"): (4, lambda: {"webhook_id": make_webhook().pk, "is_enabled": False}),
    ("DELETE", "/webhooks"): (4, lambda: {"webhook_id": make_webhook().pk}),
    ("POST", "/webhooks/test"): (3, lambda: {"webhook_id": make_webhook().pk}),
    ("POST", "/webhooks/replay"): (2, lambda: {"webhook_id": failed_delivery().webhook_id}),
    ("PUT", "/client/profile"): (4, lambda: {"client_id": make_client().pk, **NAMES}),
}
every_endpoint = pytest.mark.parametrize("endpoint", ENDPOINTS, ids=" ".join)


def request_to(endpoint):
    return (*endpoint, ENDPOINTS[endpoint][1]())


def send(api, request, key=KEY, **headers):
    method, path, body = request
    if key is not None:
        headers["Idempotency-Key"] = key
    return getattr(api, method.lower())(path, body, headers=headers)


def is_replayed(answer):
    assert answer.headers.get(REPLAYED) in (None, "true")
    return REPLAYED in answer.headers


def code_of(answer):
    return (answer.status_code, answer.json()["code"])


def rows(besides=()):
    """Whatever the service's database holds."""
    return {
        model.__name__: list(model._base_manager.order_by("pk").values_list())
        for model in apps.get_models()
        if model not in besides and model._meta.app_label != "analytics"
    }


# --- Once ----------------------------------------------------------------------------------------


def test_every_endpoint_that_changes_something_is_here():
    changing = {
        (method.upper(), f"/{pattern.pattern}")
        for pattern in urls.urlpatterns
        for method in pattern.callback.view_class.http_method_names
        if method not in ("get", "head", "options")
    }
    # Their answers are secrets, which are stored nowhere.
    secret = ("/auth/", "/client/calendarLink", "/provider/calendarLink", "/webhooks/secret")
    changing -= {one for one in changing if one[1].startswith(secret)}
    assert set(ENDPOINTS) == changing - {("POST", "/webhooks")}


@every_endpoint
def test_repeated_with_its_key_it_has_its_effect_once(api, clock, endpoint):
    request = request_to(endpoint)
    before = rows()
    first = send(api, request, KEY)
    after = rows()
    assert (first.status_code < 300, is_replayed(first)) == (True, False)
    assert after != before
    for key in (KEY, f'"{KEY}"'):  # as in RFC 8941, and as most callers send it
        again = send(api, request, key)
        assert (again.status_code, again.content) == (first.status_code, first.content)
        assert is_replayed(again)
        apart = {"X-Request-ID": first["X-Request-ID"], REPLAYED: "true"}
        assert {**again.headers, **apart} == {**first.headers, **apart}
        assert rows() == after


# A webhook that is told the same again is as it was.
@pytest.mark.parametrize("endpoint", sorted(set(ENDPOINTS) - {("PUT", "/webhooks")}), ids=" ".join)
def test_control_without_its_key_it_is_asked_anew(api, clock, endpoint):
    request = request_to(endpoint)
    first = send(api, request, KEY)
    after = rows()
    again = send(api, request, None)
    assert not is_replayed(again)
    assert (again.content, rows()) != (first.content, after)


@every_endpoint
def test_with_a_key_the_answer_has_the_same_form(api, clock, endpoint):
    plain, keyed = (send(api, request_to(endpoint), key) for key in (None, KEY))
    assert keyed.status_code == plain.status_code
    assert set(keyed.headers) == set(plain.headers)
    if plain.status_code == 204:
        assert keyed.content == plain.content == b""
        return
    assert keyed["Content-Type"] == plain["Content-Type"]
    assert list(keyed.json()) == list(plain.json())


@every_endpoint
def test_a_key_costs_so_many_statements(api, clock, django_assert_num_queries, endpoint):
    own, _ = ENDPOINTS[endpoint]
    with_a_key = request_to(endpoint)
    with django_assert_num_queries(own + LOCK_LOOK_STORE):
        assert send(api, with_a_key, KEY).status_code < 300
    with django_assert_num_queries(LOCK_LOOK):
        assert is_replayed(send(api, with_a_key, KEY))


@every_endpoint
def test_without_a_key_nothing_is_stored_and_it_costs_nothing(
    api, clock, django_assert_num_queries, endpoint
):
    own, _ = ENDPOINTS[endpoint]
    request = request_to(endpoint)
    with django_assert_num_queries(own):
        assert send(api, request, None).status_code < 300
    assert not StoredAnswer.objects.exists()


# --- The same key with another request ------------------------------------------------------------

OTHERS = {
    "body": ("POST", "/provider/availability", {"skip": "nothing"}),
    "path": ("POST", "/client/reserve", {}),
    "query": ("POST", "/provider/availability?a=b", {}),
    "method": ("DELETE", "/provider/availability", {}),
}


@pytest.mark.parametrize(("method", "path", "more"), OTHERS.values(), ids=OTHERS)
def test_a_key_is_for_one_request(api, clock, method, path, more):
    body = window_to_publish()
    request, other = ("POST", "/provider/availability", body), (method, path, body | more)
    first = send(api, request)
    before = rows()
    assert code_of(send(api, other)) == (422, "key_reused")
    assert rows() == before
    assert send(api, request).content == first.content


# --- Whose keys ----------------------------------------------------------------------------------


@pytest.fixture
def required(settings):
    settings.AUTHENTICATION = "required"


def test_keys_are_per_caller(api, clock, required):
    account = {"email": "emmy@example.org", "password": PASSWORD}
    signed_up = send(api, ("POST", "/client/create", NAMES | account))
    users = [callers.signed_in(api, email=f"{name}@example.org") for name in ("max", "sam")]
    answers = []
    for user in users:
        callers.authorize(api, accounts.start_session(user=user).access)
        answers.append(send(api, CREATE_CLIENT))
    ids = {answer.json()["client_id"] for answer in (signed_up, *answers)}
    assert (len(ids), Client.objects.count()) == (3, 3)
    # Signed in anew they are the same callers.
    for user, first in zip(users, answers, strict=True):
        callers.authorize(api, accounts.start_session(user=user).access)
        again = send(api, CREATE_CLIENT)
        assert (is_replayed(again), again.content) == (True, first.content)


def test_an_answer_is_for_nobody_else(api, clock, required):
    client = make_client()
    request = ("POST", "/client/reserve", timeslot_to_reserve() | {"client_id": client.pk})
    callers.signed_in(api, client=client)
    assert send(api, request).status_code == 200
    callers.signed_in(api, client=make_client(), email="other@example.org")
    assert code_of(send(api, request)) == (403, "not_permitted")
    api.credentials()
    assert code_of(send(api, request)) == (401, "not_authenticated")


# --- For how long --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("age", "is_kept"), [(DAY - MOMENT, True), (DAY, False), (DAY + MOMENT, False)]
)
def test_a_key_is_kept_for_24_hours(api, clock, age, is_kept):
    first = send(api, CREATE_CLIENT)
    clock.shift(seconds=age.total_seconds())
    again = send(api, CREATE_CLIENT)
    assert (is_replayed(again), again.content == first.content) == (is_kept, is_kept)
    assert Client.objects.count() == (1 if is_kept else 2)
    assert StoredAnswer.objects.get().created_at == clock.now - (age if is_kept else 0 * DAY)


@pytest.mark.parametrize(("age", "status"), [(DAY - MOMENT, 422), (DAY, 201)])
def test_after_24_hours_a_key_is_good_for_another_request(api, clock, age, status):
    assert send(api, CREATE_CLIENT).status_code == 201
    clock.shift(seconds=age.total_seconds())
    assert send(api, ("POST", "/provider/create", NAMES)).status_code == status


def test_a_new_secret_key_recognises_what_its_predecessor_stored(api, clock, settings):
    first = send(api, CREATE_CLIENT)
    old, settings.SECRET_KEY = (
        settings.SECRET_KEY,
        "the next one, as long as a key has to be, or so",
    )
    settings.SECRET_KEY_FALLBACKS = ["one between", old]
    again = send(api, CREATE_CLIENT)
    assert (is_replayed(again), again.content) == (True, first.content)
    assert code_of(send(api, ("POST", "/provider/create", NAMES))) == (422, "key_reused")
    settings.SECRET_KEY_FALLBACKS = []
    assert code_of(send(api, CREATE_CLIENT)) == (422, "key_reused")


# --- Refusals ------------------------------------------------------------------------------------


def too_far_ahead(clock):
    span = {"start_time": "2031-11-30T09:00:00Z", "end_time": "2031-11-30T09:15:00Z"}
    body = {"provider_id": make_provider().pk, **span}
    return ("POST", "/provider/availability", body), lambda: clock.shift(minutes=15)


def unknown_client(clock):
    body = {"client_id": 2**40, "timeslot_id": make_timeslot().pk}
    return ("POST", "/client/reserve", body), lambda: Client.objects.create(pk=2**40, **NAMES)


def taken_timeslot(clock):
    taken = make_hold()
    body = {"client_id": make_client().pk, "timeslot_id": taken.timeslot_id}
    given_up = partial(
        send, JSONClient(), ("PUT", "/provider/cancel", {"reservation_id": taken.pk})
    )
    return ("POST", "/client/reserve", body), partial(given_up, key=None)


def overlapping_timeslot(clock):
    timeslot = make_timeslot()
    body = {
        "provider_id": timeslot.provider_id,
        "start_time": timeslot.start_time,
        "end_time": timeslot.end_time,
    }
    return ("POST", "/provider/availability", body), timeslot.delete


def overdue_hold(clock):
    hold = make_hold(age=OVERDUE)
    body = {"client_id": hold.client_id, "reservation_id": hold.pk}
    later = partial(Reservation.objects.update, expires_at=clock.now)
    return ("PUT", "/client/confirm", body), later


REFUSALS = {
    too_far_ahead: (400, "invalid"),
    unknown_client: (404, "client_not_found"),
    taken_timeslot: (409, "timeslot_taken"),
    overlapping_timeslot: (409, "timeslots_overlap"),
    overdue_hold: (410, "hold_expired"),
}


@pytest.mark.parametrize(("refused", "refusal"), REFUSALS.items())
def test_a_refusal_stores_nothing_and_is_tried_again(api, clock, refused, refusal):
    request, mend = refused(clock)
    before = rows()
    for _ in range(2):
        answer = send(api, request)
        assert (code_of(answer), is_replayed(answer)) == (refusal, False)
        assert rows() == before
    mend()
    granted = send(api, request)
    assert (granted.status_code < 300, is_replayed(granted)) == (True, False)
    assert send(api, request).content == granted.content


def test_who_is_registered_already_can_try_again(api, clock, required):
    client = make_client()
    callers.signed_in(api, client=client)
    before = rows()
    assert code_of(send(api, CREATE_CLIENT)) == (409, "already_registered")
    assert rows() == before
    Client.objects.update(user=None)
    assert send(api, CREATE_CLIENT).status_code == 201


# --- Keys that are none --------------------------------------------------------------------------

X255 = "x" * 255


@pytest.mark.parametrize("key", ["x", '"x"', X255, f'"{X255}"', '" a, b; c=d "', "!#$%&'()*+-./:~"])
def test_it_takes_any_string_of_1_to_255_characters(api, db, key):
    assert send(api, CREATE_CLIENT, key).status_code == 201
    assert is_replayed(send(api, CREATE_CLIENT, key))


@pytest.mark.parametrize(
    ("quoted", "key"), [(f'"{KEY}"', KEY), (r'"a\"b\\c"', r'a"b\c'), (r'"\\\\"', r"\\")]
)
def test_what_counts_is_the_string_between_the_quotes(api, db, quoted, key):
    assert send(api, CREATE_CLIENT, quoted).status_code == 201
    assert StoredAnswer.objects.get().key == key


@pytest.mark.parametrize("other", [KEY.upper(), f"{KEY}0", KEY[:-1], f'"{KEY} "'])
def test_keys_that_look_alike_are_two(api, db, other):
    assert send(api, CREATE_CLIENT).status_code == 201
    assert not is_replayed(send(api, CREATE_CLIENT, other))
    assert Client.objects.count() == 2


BAD_KEYS = {
    "empty": "",
    "empty between quotes": '""',
    "256 characters": f"{X255}x",
    "256 characters between quotes": f'"{X255}x"',
    "a NUL": "a\x00b",
    "a tab": "a\tb",
    "a tab between quotes": '"a\tb"',
    "a line's end": '"a\n"',
    "a line's end after it": "a\n",
    "DEL": "a\x7fb",
    "no ASCII": "\u00e9",
    "a space": "a b",
    "a comma": "a,b",
    "two headers": "a, b",
    "two headers with quotes": '"a", "b"',
    "twice the same header": f"{KEY},{KEY}",
    "a semicolon": "a;b",
    "a parameter": '"a";b=c',
    "one quote": '"a',
    "a quote within": 'a"b',
    "a quote within quotes": '"a"b"',
    "a backslash": r"a\b",
    "a backslash before nothing to escape": r'"a\b"',
}


@pytest.mark.parametrize("key", BAD_KEYS.values(), ids=BAD_KEYS)
def test_it_refuses_what_is_no_key(api, db, key):
    answer = send(api, CREATE_CLIENT, key)
    assert code_of(answer) == (400, "invalid")
    assert [one["field"] for one in answer.json()["errors"]] == ["Idempotency-Key"]
    assert not Client.objects.exists()
    assert not StoredAnswer.objects.exists()


def test_over_a_socket_it_is_the_same(server):
    def ask(*keys):
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
        with contextlib.closing(connection):
            body = json.dumps(NAMES)
            connection.putrequest("POST", "/client/create")
            connection.putheader("Content-Type", "application/json")
            connection.putheader("Content-Length", str(len(body)))
            for key in keys:
                connection.putheader("Idempotency-Key", key)
            connection.endheaders(body.encode())
            answer = connection.getresponse()
            return answer.status, answer.getheader(REPLAYED), answer.read()

    created = ask(KEY)
    assert created[:2] == (201, None)
    assert ask(f'"{KEY}"') == (201, "true", created[2])
    for keys in (("a", "b"), ('"a"', '"b"'), (KEY, KEY), ("",), ("\u00e9".encode(),)):
        status, _, body = ask(*keys)
        assert (status, json.loads(body)["errors"][0]["field"]) == (400, "Idempotency-Key")


# --- What is stored, and what has no keys ---------------------------------------------------------


def test_no_password_can_be_had_from_what_is_stored(api, clock, settings, required):
    request = ("POST", "/client/create", NAMES | {"email": "e@example.org", "password": PASSWORD})
    answer = send(api, request)
    [stored] = StoredAnswer.objects.values()
    stored["body"] = bytes(stored["body"])
    sent = answer.wsgi_request.body
    assert (answer.status_code, PASSWORD.encode() in sent) == (201, True)
    unkeyed = {PASSWORD}
    for text in (PASSWORD.encode(), sent, b"POST /client/create\n" + sent):
        for algorithm in hashlib.algorithms_guaranteed - {"shake_128", "shake_256"}:
            unkeyed.add(hashlib.new(algorithm, text).hexdigest())
    written = repr(stored)
    assert [one for one in unkeyed if one in written] == []
    # It depends on our key, which is not in the database.
    settings.SECRET_KEY = "another one, as long as a key has to be, or so it is said"
    send(api, request, "another")
    one, other = StoredAnswer.objects.values_list("fingerprint", flat=True)
    assert one != other
    settings.SECRET_KEY_FALLBACKS = []
    assert code_of(send(api, request)) == (422, "key_reused")


@pytest.mark.parametrize("key", [KEY, "", "no key, but that matters not"])
@pytest.mark.parametrize("method", ["get", "head"])
@pytest.mark.parametrize(
    "path", ["/client/profile?client_id=1", "/client/findTimeslots", "/provider/list"]
)
def test_reading_has_no_keys(api, db, method, path, key):
    Client.objects.create(pk=1, **NAMES)
    for _ in range(2):
        answer = getattr(api, method)(path, headers={"Idempotency-Key": key})
        assert (answer.status_code, is_replayed(answer)) == (200, False)
    assert not StoredAnswer.objects.exists()


@pytest.mark.parametrize("key", [KEY, "no key, but that matters not"])
def test_signing_in_and_out_has_no_keys(api, clock, required, key):
    make_account(email="emmy@example.org")
    sign_in = ("POST", "/auth/token", {"email": "emmy@example.org", "password": PASSWORD})
    pairs = [send(api, sign_in, key).json() for _ in range(2)]
    assert pairs[0]["refresh"] != pairs[1]["refresh"]
    refresh = ("POST", "/auth/token/refresh", {"refresh": pairs[0]["refresh"]})
    assert [send(api, refresh, key).status_code for _ in range(2)] == [200, 401]
    sign_out = ("POST", "/auth/logout", {"refresh": pairs[1]["refresh"]})
    answers = [send(api, sign_out, key) for _ in range(2)]
    assert [(answer.status_code, is_replayed(answer)) for answer in answers] == [(204, False)] * 2
    assert not StoredAnswer.objects.exists()


# --- At the same time ----------------------------------------------------------------------------


def replay_or_be_told_to_wait(answer, first):
    """What the second gets while the first runs; whether it was the answer."""
    if answer.status_code == 409:
        assert connection.vendor == "postgresql"
        assert code_of(answer) == (409, "still_running")
        assert answer["Retry-After"] == "1"
        return False
    assert (is_replayed(answer), answer.content) == (True, first.content)
    return True


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("moment", ['SELECT "scheduling_storedanswer"', "INSERT INTO"])
def test_while_the_first_runs_the_second_is_told_to_wait_or_waits(is_postgresql, moment):
    request = ("POST", "/client/reserve", timeslot_to_reserve())
    with started_after(moment, lambda: send(JSONClient(), request)) as started:
        first = send(JSONClient(), request)
    assert (first.status_code, is_replayed(first)) == (200, False)
    [second] = started[0].result(LONGEST_WAIT)
    assert replay_or_be_told_to_wait(second, first) == (not is_postgresql)
    assert replay_or_be_told_to_wait(send(JSONClient(), request), first)
    assert Reservation.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_other_keys_and_other_callers_do_not_wait(is_postgresql):
    """On SQLite they wait for the one writer, as everybody does who writes."""
    with started_after("INSERT INTO", lambda: send(JSONClient(), CREATE_CLIENT, "b")) as started:
        assert send(JSONClient(), CREATE_CLIENT, "a").status_code == 201
    [other] = started[0].result(LONGEST_WAIT)
    assert (other.status_code, is_replayed(other)) == (201, False)
    assert Client.objects.count() == 2


@pytest.mark.django_db(transaction=True)
def test_while_a_refusal_is_on_its_way_the_second_waits_as_well(is_postgresql):
    taken = make_hold()
    body = {"client_id": make_client().pk, "timeslot_id": taken.timeslot_id}
    request = ("POST", "/client/reserve", body)
    with started_after("INSERT INTO", lambda: send(JSONClient(), request)) as started:
        assert code_of(send(JSONClient(), request)) == (409, "timeslot_taken")
    [second] = started[0].result(LONGEST_WAIT)
    assert code_of(second) == (409, "still_running" if is_postgresql else "timeslot_taken")
    assert code_of(send(JSONClient(), request)) == (409, "timeslot_taken")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "endpoint", [("POST", "/client/create"), ("POST", "/provider/availability")], ids=" ".join
)
def test_of_many_at_once_one_has_the_effect(endpoint):
    request = request_to(endpoint)
    answers = at_once(*(partial(send, JSONClient(), request) for _ in range(12)))
    [first] = [one for one in answers if one.status_code == 201 and not is_replayed(one)]
    answered = Counter(replay_or_be_told_to_wait(one, first) for one in answers if one is not first)
    assert answered.total() == 11
    assert (Client.objects.count(), Timeslot.objects.count()) in [(1, 0), (0, 4)]
    assert StoredAnswer.objects.count() == 1


# --- A store that fails --------------------------------------------------------------------------


def full_disk():
    def wrapper(execute, sql, *args):
        if sql.startswith('INSERT INTO "scheduling_storedanswer"'):
            raise OperationalError("database or disk is full")
        return execute(sql, *args)

    return connection.execute_wrapper(wrapper)


@contextlib.contextmanager
def refusing_table():
    """The database itself refuses the row."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("ALTER TABLE scheduling_storedanswer ADD CONSTRAINT no CHECK (id < 0)")
        else:
            cursor.execute(
                "CREATE TRIGGER no BEFORE INSERT ON scheduling_storedanswer "
                "BEGIN SELECT RAISE(ABORT, 'no'); END"
            )
    yield
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("ALTER TABLE scheduling_storedanswer DROP CONSTRAINT no")
        else:
            cursor.execute("DROP TRIGGER no")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("failing", "refusal"),
    [(full_disk, (503, "unavailable")), (refusing_table, (500, "internal_error"))],
)
@every_endpoint
def test_what_cannot_be_stored_has_no_effect(api, endpoint, failing, refusal):
    request = request_to(endpoint)
    before = rows()
    with failing():
        assert code_of(send(api, request)) == refusal
        assert rows() == before
    again = send(api, request)
    assert (again.status_code < 300, is_replayed(again)) == (True, False)


# --- The purge -----------------------------------------------------------------------------------


def test_the_purge_deletes_what_has_no_effect_any_more(api, clock):
    user = make_account()
    for nth, age in enumerate([2 * DAY, DAY + MOMENT, DAY, DAY - MOMENT, 0 * DAY]):
        clock.shift(seconds=-age.total_seconds())
        assert send(api, CREATE_CLIENT, f"key-{nth}").status_code == 201
        clock.shift(seconds=age.total_seconds())
    for expires_at in (clock.now - DAY, clock.now - MOMENT, clock.now, clock.now + DAY):
        SignIn.objects.create(user=user, created_at=clock.now - DAY, expires_at=expires_at)
    make_hold(age=2 * DAY)
    make_hold(age=2 * DAY, status="expired")
    callers.service(api)
    purged = (StoredAnswer, SignIn)
    before = rows(besides=purged)
    printed = StringIO()
    call_command("purge", stdout=printed)
    assert printed.getvalue() == "3 stored answers, 2 sign-ins, 0 deliveries, 0 notifications\n"
    assert set(StoredAnswer.objects.values_list("key", flat=True)) == {"key-3", "key-4"}
    assert {one.expires_at for one in SignIn.objects.all()} == {clock.now, clock.now + DAY}
    assert rows(besides=purged) == before
    printed = StringIO()
    call_command("purge", stdout=printed)
    assert printed.getvalue() == "0 stored answers, 0 sign-ins, 0 deliveries, 0 notifications\n"


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
def test_the_purge_without_a_database_exits_with_1_and_says_why(tmp_path, engine):
    url = {
        "sqlite": f"sqlite:///{tmp_path}/missing/db.sqlite3",
        "postgresql": f"postgresql://postgres@127.0.0.1:{free_port()}/postgres",
    }[engine]
    purge = subprocess.run(
        [sys.executable, "manage.py", "purge"],
        cwd=ROOT,
        env=os.environ | {"DATABASE_URL": url},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert (purge.returncode, purge.stdout) == (1, "")
    assert "The database cannot be used" in purge.stderr
    assert "Traceback" not in purge.stderr
