"""How many requests a worker is at, how many wait for that, and what all others are told.

More at a time than there are cores to run them would only make each of them slower; so a few are
taken, some wait their turn, and under a load that cannot be borne the rest is refused within a
millisecond instead of being answered too late. A database connection goes with each place, not with
each thread: threads are many, so that one can always be spared for a refusal, or wait for a body.
"""

import contextlib
import io
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, cast

from corsheaders.middleware import CorsMiddleware
from django.conf import settings
from django.db import connections
from django.http import HttpRequest, HttpResponse
from django.middleware.clickjacking import XFrameOptionsMiddleware
from django.middleware.security import SecurityMiddleware

from scheduling import errors, failover, metrics

from . import watchdog
from .middleware import ARRIVED, request_id_of

logger = logging.getLogger(__name__)

PATIENCE = 5.0  # seconds, when all that are taken hang
# Whoever watches over the service is not turned away by its callers; and what asks no database has
# nothing to wait for.
OPERATORS = ("/readyz", "/metrics")
ALIVE = "/healthz"
NAMES = [name for name in ("default", "replica") if name in settings.DATABASES]

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


Place = dict[str, Any]  # its connections: to the database, and to a replica where there is one


class Waiter:
    """Somebody whose turn has not come; `turn` is locked until then."""

    def __init__(self) -> None:
        self.place: Place | None = None
        self.turn = threading.Lock()
        self.turn.acquire()


class Lane:
    """So many places, first come first served, and so much room to wait for one."""

    def __init__(self, places: int, room: int) -> None:
        self._lock = threading.Lock()
        self._room = room
        self._waiting: deque[Waiter] = deque()
        self._free: list[Place] = [_place() for _ in range(places)]

    def enter(self) -> Place | None:
        """A place; None when there is no room to wait for one, or in vain."""
        with self._lock:
            if self._free:
                return self._free.pop()
            if len(self._waiting) >= self._room:
                return None
            me = Waiter()
            self._waiting.append(me)
        if not me.turn.acquire(timeout=PATIENCE):
            with self._lock:
                if me.place is None:
                    self._waiting.remove(me)
        return me.place

    def leave(self, place: Place) -> None:
        """Handed on to who has waited longest: else whoever comes at this moment would be faster
        than a thread that has to wake up first, and some would wait for ever."""
        with self._lock:
            if self._waiting:
                next_one = self._waiting.popleft()
                next_one.place = place
                next_one.turn.release()
            else:
                self._free.append(place)


def _place() -> Place:
    place: Place = {name: connections.create_connection(name) for name in NAMES}
    for connection in place.values():
        connection.inc_thread_sharing()  # in turn, never at once
    return place


class Admission:
    """A WSGI application around another."""

    def __init__(self, application: Application) -> None:
        self.application = application
        self._callers = Lane(settings.WORKER_PLACES, settings.WORKER_ROOM)
        self._operators = Lane(settings.WORKER_PLACES, settings.WORKER_THREADS)
        self._refused, self._told_at = 0, 0.0

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        environ[ARRIVED] = time.perf_counter()
        _read_body(environ)
        path = environ["PATH_INFO"]
        if path == ALIVE:
            return self.application(environ, start_response)
        lane = self._operators if path in OPERATORS else self._callers
        place = lane.enter()
        if place is None:
            return self._refuse(environ, start_response)
        for name, connection in place.items():
            connections[name] = connection
        connection = place["default"]  # the replica's is looked at when it is used
        try:
            connection.close_if_unusable_or_obsolete()
            failover.drop_if_broken(connection)
            answer: Any = self.application(environ, start_response)
            try:
                return [b"".join(answer)]
            finally:
                answer.close()
                connection.close_if_unusable_or_obsolete()
        finally:
            # Whatever this thread does next, it is not to touch what another has then.
            for name in place:
                del connections[name]
            lane.leave(place)

    def _refuse(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        """Not logged one by one: that would be more of what there is too much of."""
        metrics.count_request("none", "other", 503, 0)
        self._refused += 1
        now = time.monotonic()
        if now - self._told_at >= 1:
            logger.warning("requests refused", extra={"refused": self._refused})
            self._refused, self._told_at = 0, now
        headers = [*REFUSAL.items(), ("X-Request-ID", request_id_of(environ))]
        if settings.CORS_ALLOWED_ORIGINS and "HTTP_ORIGIN" in environ:
            headers += _for_other_origins(environ).items()
        start_response("503 Service Unavailable", headers)
        return [REFUSAL.content]


def _refusal() -> Any:
    """With the headers that every answer carries."""
    response = errors.response(errors.Overloaded())
    response["Content-Length"] = str(len(response.content))
    framed = XFrameOptionsMiddleware(lambda _: response)
    return SecurityMiddleware(framed)(HttpRequest())


REFUSAL = _refusal()


def _for_other_origins(environ: dict[str, Any]) -> HttpResponse:
    """An answer with what a page of another origin must find to read ours, and nothing else."""
    bare = HttpResponse()
    del bare["Content-Type"]
    request = HttpRequest()
    request.META, request.path_info = environ, environ["PATH_INFO"]
    return cast(HttpResponse, CorsMiddleware(lambda _: bare).add_response_headers(request, bare))


def _read_body(environ: dict[str, Any]) -> None:
    """Before a place is taken: a caller who is slow to send it keeps a thread, and no more."""
    length = environ.get("CONTENT_LENGTH") or "0"
    if not length.isdecimal() or len(length) > 18 or not 0 < int(length) <= settings.BODY_LIMIT:
        return
    with watchdog.reading_a_body(), contextlib.suppress(OSError):
        body = environ["wsgi.input"].read(int(length))
        if len(body) == int(length):
            environ["wsgi.input"] = io.BytesIO(body)
            return
    environ["wsgi.input"] = _Gone()


class _Gone:
    """The body of a caller who has gone before it was sent."""

    def read(self, *_: Any) -> bytes:
        raise OSError("The caller has gone.")
