"""What is tried once more when the database fails over, and what is not: nothing is done twice."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler
from django.db import connection
from django.test import RequestFactory

from reservation_system.admission import Admission
from scheduling.models import Client, Reservation

from .concurrency import wait_until
from .factories import make_client, make_hold, make_provider, make_timeslot
from .wire import Wire

if not settings.DATABASES["default"]["ENGINE"].endswith("postgresql"):
    pytest.skip("SQLite has no connection that could be lost", allow_module_level=True)

pytestmark = pytest.mark.django_db(transaction=True)
KEY = {"Idempotency-Key": "asked-again"}


@pytest.fixture
def wire(transactional_db, monkeypatch):
    with Wire(int(connection.settings_dict["PORT"])) as wire, monkeypatch.context() as through:
        connection.close()
        through.setitem(connection.settings_dict, "PORT", str(wire.port))
        yield wire
        assert wire.cut_after is None, "it was not cut"
        connection.close()


def reserve(api, timeslot, **sent):
    body = {"client_id": make_client().pk, "timeslot_id": timeslot.pk}
    return lambda: api.post("/client/reserve", body, **sent)


def assert_unavailable(answer):
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert int(answer["Retry-After"]) > 0
    connection.close_if_unusable_or_obsolete()  # as each request of a server begins


# --- The connection breaks under a statement -----------------------------------------------------


@pytest.mark.parametrize(
    ("lost", "is_done"),
    [(b"COMMIT", True), (b"INSERT INTO scheduling_reservation ", False)],
)
def test_a_reserve_whose_answer_was_lost_is_repeated_under_its_key(api, wire, lost, is_done):
    ask = reserve(api, make_timeslot(), headers=KEY)
    wire.cut_after = lost
    assert_unavailable(ask())
    answers = []

    def is_answered():
        # PostgreSQL may take a moment to notice that its client has gone.
        answers.append(ask())
        return answers[-1].status_code != 409

    wait_until(is_answered)
    [again, once_again] = [answers[-1], ask()]
    assert again.status_code == 200, again.content
    assert ("Idempotent-Replayed" in again) == is_done
    assert once_again.content == again.content
    reservation = Reservation.objects.get()
    assert again.json()["Reservation scheduled"]["reservation_id"] == reservation.pk


def test_what_was_perhaps_written_is_not_written_again(api, wire):
    ask = reserve(api, make_timeslot())
    wire.cut_after = b"INSERT INTO scheduling_reservation "
    assert_unavailable(ask())
    assert Reservation.objects.get().status == "held"
    assert ask().json()["code"] == "timeslot_taken"
    hold = make_hold()
    body = {"client_id": hold.client_id, "reservation_id": hold.pk}
    wire.cut_after = b"UPDATE scheduling_reservation"
    assert_unavailable(api.put("/client/confirm", body))
    assert api.put("/client/confirm", body).json()["code"] == "already_confirmed"


def test_what_writes_nothing_is_asked_again(api, wire):
    hold, timeslot = make_hold(), make_timeslot()
    bookable = f"/client/getProviderAvailability?provider_id={timeslot.provider_id}"
    wire.cut_after = b"scheduling_timeslot"
    [shown] = api.get(bookable).json()["available timeslots"]
    assert shown["timeslot_id"] == timeslot.pk
    asked = f"?client_id={hold.client_id}&reservation_id={hold.pk}"
    wire.cut_after = b"scheduling_reservation"
    assert api.get(f"/client/reservation{asked}").status_code == 200


# --- The server that was the primary only reads ---------------------------------------------------


@pytest.fixture
def demoted():
    """Makes a standby of the server, as seen over the connection that there is."""

    def demote():
        with connection.cursor() as cursor:
            cursor.execute("SET default_transaction_read_only = on")

    return demote


def test_a_standby_has_written_nothing_so_reserve_and_confirm_ask_the_new_primary(api, demoted):
    ask, hold = reserve(api, make_timeslot()), make_hold()
    demoted()
    assert ask().status_code == 200
    demoted()
    body = {"client_id": hold.client_id, "reservation_id": hold.pk}
    assert api.put("/client/confirm", body).status_code == 200
    assert Reservation.objects.count() == 2


def test_so_does_whatever_has_a_key_as_a_whole(api, demoted):
    demoted()
    person = {"first_name": "Emmy", "last_name": "Noether"}
    created = api.post("/client/create", person, headers=KEY)
    assert created.status_code == 201
    assert "Idempotent-Replayed" not in created
    assert api.post("/client/create", person, headers=KEY).content == created.content
    assert Client.objects.count() == 1


def test_the_rest_finds_the_new_primary_at_the_next_request(api, demoted):
    demoted()
    person = {"first_name": "Emmy", "last_name": "Noether"}
    assert_unavailable(api.post("/client/create", person))
    assert api.post("/client/create", person).status_code == 201
    assert Client.objects.count() == 1


# --- The connection breaks while nobody uses it ---------------------------------------------------

END_OTHERS = """
    SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
     WHERE datname = current_database() AND pid <> pg_backend_pid()
       AND backend_type = 'client backend'
    """


@pytest.fixture
def service(transactional_db):
    service = Admission(WSGIHandler())
    yield service
    for place in service._callers._free:
        place["default"].close()


def asked(service, path, body):
    told = []
    request = RequestFactory().post(path, json.dumps(body), content_type="application/json")
    # In a thread of its own, which is left without the connection that it was given.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(service, request.environ, lambda status, _: told.append(status)).result()
    return told


def test_a_connection_that_broke_meanwhile_is_found_before_anything_is_sent_on_it(service):
    ids = {"client_id": make_client().pk, "timeslot_id": make_timeslot(make_provider()).pk}
    person = {"first_name": "Emmy", "last_name": "Noether"}
    assert asked(service, "/client/create", person) == ["201 Created"]
    for path, body, status in [
        ("/client/reserve", ids, "200 OK"),
        ("/client/create", person, "201 Created"),
    ]:
        with connection.cursor() as cursor:
            cursor.execute(END_OTHERS)
            assert cursor.fetchall() == [(True,)]
        assert asked(service, path, body) == [status]
