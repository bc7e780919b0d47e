"""The queue of a worker: who has a place, who waits, and who is told to come again."""

import io
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connections

from reservation_system import admission
from reservation_system.admission import Admission, Lane

from .concurrency import LONGEST_WAIT, wait_until


@pytest.fixture
def threads():
    with ThreadPoolExecutor(20) as threads:
        yield threads


@pytest.fixture(autouse=True)
def _nobody_loses_patience(monkeypatch):
    monkeypatch.setattr(admission, "PATIENCE", LONGEST_WAIT)


def waiting_in(lane):
    return len(lane._waiting)


def test_a_place_goes_to_who_has_waited_longest(threads):
    lane, turns = Lane(1, 3), []
    place = lane.enter()

    def wait(name):
        given = lane.enter()
        turns.append(name)
        lane.leave(given)

    for nth in range(3):
        threads.submit(wait, nth)
        wait_until(lambda nth=nth: waiting_in(lane) == nth + 1)
    lane.leave(place)
    # Whoever comes now comes last, however fast.
    wait("late")
    assert turns == [0, 1, 2, "late"]


def test_who_finds_no_room_is_refused_at_once(threads):
    lane = Lane(1, 1)
    place = lane.enter()
    waits = threads.submit(lane.enter)
    wait_until(lambda: waiting_in(lane) == 1)
    assert lane.enter() is None
    lane.leave(place)
    assert waits.result(LONGEST_WAIT) is place


def test_who_waits_in_vain_takes_no_place_along(monkeypatch):
    monkeypatch.setattr(admission, "PATIENCE", 0.05)
    lane = Lane(1, 1)
    place = lane.enter()
    assert lane.enter() is None
    lane.leave(place)
    assert lane.enter() is place


def ask(application, path="/", **environ):
    told = []
    environ = {"PATH_INFO": path, "wsgi.input": io.BytesIO(), **environ}
    body = b"".join(application(environ, lambda *given: told.append(given)))
    return told, body


class Answer(list):
    def close(self):
        pass


def test_a_place_is_left_whatever_happens_in_it(threads, settings):
    def application(environ, start_response):
        raise ZeroDivisionError

    service = Admission(application)
    for _ in range(20):
        with pytest.raises(ZeroDivisionError):
            threads.submit(ask, service).result(LONGEST_WAIT)
    assert len(service._callers._free) == settings.WORKER_PLACES


def test_a_thread_keeps_nothing_of_a_place_that_it_has_left():
    seen = []

    def application(environ, start_response):
        seen.append(connections["default"])
        return Answer([b"answer"])

    def connections_left():
        assert ask(Admission(application)) == ([], b"answer")
        return [*connections.all(initialized_only=True)]

    with ThreadPoolExecutor(1) as thread:
        assert thread.submit(connections_left).result(LONGEST_WAIT) == []
    assert len(seen) == 1


def test_that_it_lives_is_said_although_nothing_else_is_answered(threads):
    """Not even those who ask whether it is ready: their questions hang in the database."""
    goes_on, asked = threading.Event(), []

    def application(environ, start_response):
        if environ["PATH_INFO"] != "/healthz":
            asked.append(environ["PATH_INFO"])
            assert goes_on.wait(LONGEST_WAIT)
        return Answer([b"answer"])

    service = Admission(application)
    paths = ["/readyz", "/metrics", "/client/reserve", "/provider/list"] * 4
    hanging = [threads.submit(ask, service, path) for path in paths]
    try:
        wait_until(lambda: len(asked) == 8)
        assert threads.submit(ask, service, "/healthz").result(LONGEST_WAIT) == ([], b"answer")
        assert not any(one.done() for one in hanging)
    finally:
        goes_on.set()
    assert [one.result(LONGEST_WAIT)[1] for one in hanging] == [b"answer"] * 16


@pytest.mark.parametrize("sent", [b"", b'{"client_id": 1', b'{"client_id": 1, "timeslot_id": 1'])
def test_a_body_that_breaks_off_is_none(threads, sent):
    """Nor is the beginning of one, even where that would be JSON."""

    def application(environ, start_response):
        with pytest.raises(OSError, match="gone"):
            environ["wsgi.input"].read()
        return Answer([b"answer"])

    body = {"wsgi.input": io.BytesIO(sent), "CONTENT_LENGTH": "40"}
    asked = threads.submit(ask, Admission(application), "/client/reserve", **body)
    assert asked.result(LONGEST_WAIT) == ([], b"answer")


@pytest.mark.parametrize("origin", ["https://app.example", "https://evil.example", None])
def test_pages_of_allowed_origins_can_read_that_there_is_too_much(threads, settings, origin):
    settings.CORS_ALLOWED_ORIGINS = ["https://app.example"]
    service = Admission(lambda environ, start_response: Answer([b"answer"]))
    service._callers = Lane(0, 0)
    environ = {} if origin is None else {"HTTP_ORIGIN": origin}
    told, body = threads.submit(ask, service, "/client/reserve", **environ).result(LONGEST_WAIT)
    [(status, headers)] = told
    names = [name for name, _ in headers]
    assert (status[:3], len(names)) == ("503", len(set(names)))
    assert b'"overloaded"' in body
    assert ("Retry-After", "1") in headers
    told_to = dict(headers).get("access-control-allow-origin")
    assert told_to == (origin if origin == "https://app.example" else None)
    if told_to:
        assert "Retry-After" in dict(headers)["access-control-expose-headers"]
