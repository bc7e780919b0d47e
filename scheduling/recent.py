"""Who has just changed something, and of whom: their reads are answered by the primary.

A replica is asked only while it is less than REPLICA_LAG_SECONDS behind. So a mark that lasts for
that long, in the Redis that all instances share, lets everybody see what they wrote, on whichever
instance they ask next; and what others wrote of the same provider or client too. While the Redis
is away nobody knows, and the primary answers everything.
"""

from collections.abc import Callable, Collection
from contextlib import suppress
from datetime import timedelta
from functools import partial, wraps
from typing import Any, TypeVar

from django.conf import settings
from django.db import transaction
from rest_framework.request import Request

from . import metrics, shared
from .authentication import address_of, caller_of
from .replica import replica
from .wire import Response

T = TypeVar("T")
MILLISECOND = timedelta(milliseconds=1)
MARK = "reservations:changed:{}"
PARTIES = {"provider_id": "provider", "client_id": "client", "provider_ids": "provider"}


def changed(
    request: Request, *, providers: Collection[int] = (), clients: Collection[int] = ()
) -> None:
    """Once the change has committed, and before it is answered, have it seen by whom it concerns.
    Costs nothing where there is neither a replica nor a cache of lists."""
    if not (settings.HAS_REPLICA or (settings.CACHE_LISTS and providers)):
        return
    marks = [f"provider:{one}" for one in providers] + [f"client:{one}" for one in clients]
    marks += _caller(request)
    transaction.on_commit(partial(_tell, marks, providers))


def from_replica(view: Callable[[Request], Response]) -> Callable[[Request], Response]:
    """Of a view that reads: answered by a replica that is fresh enough, where there is one."""

    @wraps(view)
    def wrapped(request: Request) -> Response:
        return read(request, lambda: view(request))

    return wrapped


def read(request: Request, question: Callable[[], T]) -> T:
    """The answer of the replica, or of the primary."""
    if not settings.HAS_REPLICA or request.method not in ("GET", "HEAD"):
        return question()
    marks = [MARK.format(mark) for mark in [*_asked_about(request), *_caller(request)]]
    try:
        is_changed = bool(marks) and shared.redis.ask(lambda redis: redis.exists(*marks))
    except shared.Away:
        outcome = "redis_away"
    else:
        if not is_changed:
            return replica.ask(question)
        outcome = "just_changed"
    metrics.REPLICA_READS.labels(outcome).inc()
    return question()


def trust_in(provider_id: int) -> str:
    """Where it is noted that lists of this provider can be trusted (listings.py)."""
    return f"reservations:lists:{provider_id}:trust"


def _tell(marks: list[str], providers: Collection[int]) -> None:
    trusts = list(map(trust_in, providers)) if settings.CACHE_LISTS else []

    def tell(redis: Any) -> None:
        if not settings.HAS_REPLICA:  # a third of what a pipeline costs
            redis.delete(*trusts)
            return
        pipeline = redis.pipeline(transaction=False)
        for mark in marks:
            pipeline.set(MARK.format(mark), b"", px=settings.REPLICA_LAG // MILLISECOND)
        if trusts:
            pipeline.delete(*trusts)
        pipeline.execute()

    with suppress(shared.Away):  # then nobody reads from a replica, nor a list that is kept
        shared.redis.ask(tell)


def _asked_about(request: Request) -> list[str]:
    """By the parameters as they stand there: what is no id has no mark."""
    return [
        f"{party}:{one.lstrip('0')}"
        for name, party in PARTIES.items()
        for one in request.query_params.get(name, "").split(",", 100)
        if one
    ]


def _caller(request: Request) -> list[str]:
    """The account, or of an open service the address."""
    caller = caller_of(request)
    who = caller.subject if caller is not None else address_of(request._request)
    return [] if who is None else [f"caller:{who}"]
