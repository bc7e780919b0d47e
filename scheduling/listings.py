"""What is bookable of a provider, as it is answered; with CACHE_LISTS, kept in the Redis for who
asks the same next.

Nothing that is kept is believed for long. Before lists of a provider are read, trust in them is
noted, which lasts for less than a second, and ends when something of the provider's has changed.
While that very trust lasts they are answered as they are kept. So neither an end of trust that got
lost, nor a list that was read before a change and is kept after it, shows what is taken as free for
longer. Without trust a list is compared with the provider's state, by the one cheap statement that
a tag is compared by, and trusted anew; or it is made again.
"""

import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple
from zlib import crc32
from zoneinfo import ZoneInfo

import orjson
from django.conf import settings
from django.http import QueryDict
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request

from . import availability, errors, metrics, recent, shared
from .availability import Basis
from .fields import CursorField
from .serializers import BookableQuery
from .shapes import in_zone, timeslot_shapes
from .wire import encode

TRUST = 900  # milliseconds
KEPT = 60  # seconds after it was last made or compared
SLOTS = 16  # of a provider: whoever asks for ever other pages of theirs fills no more
LONGEST_QUERY = 500
FORMAT = 1  # one more when what is kept changes: instances of two versions run side by side
ASKED = "reservations:lists:asked"
MOST_ASKED = 1000


class Listing(NamedTuple):
    body: Any  # None: as the caller has it already
    cursor: str | None  # of the next page
    basis: Basis


def bookable(request: Request, query: dict[str, Any], seen: Basis | None) -> Listing:
    """What the query asks for, as BookableQuery has read it, unless the caller has seen the same.
    Raises ProviderNotFound."""
    text = request.META.get("QUERY_STRING", "")
    if settings.CACHE_LISTS and len(text) <= LONGEST_QUERY:
        with suppress(shared.Away):
            shelf = Shelf(text, query["provider_id"], with_body=seen is None, is_asked=True)
            return _from_shelf(shelf, query, seen)
    if seen is None:
        return recent.read(request, lambda: _made(query))
    if recent.read(request, lambda: _holds(seen, query)):
        return Listing(None, None, seen)
    return _made(query)  # by the primary: what the caller has seen may be newer than the replica


def refresh(should_stop: Callable[[], bool]) -> None:
    """Compare what was asked for in the last minute, and make again what has changed."""
    with suppress(shared.Away):
        for text in shared.redis.ask(_asked_lately):
            if should_stop():
                return
            with suppress(ValidationError, errors.ProviderNotFound):
                query = BookableQuery.read(QueryDict(text).dict())
                provider_id = query["provider_id"]
                shelf = Shelf(text.decode(), provider_id, with_body=True, is_asked=False)
                _from_shelf(shelf, query, None)


class Shelf:
    """Where a query's list is kept, if it is, and whether it can be trusted. Its body is kept by
    itself: trusted anew it stays as it is, and whoever has seen it need not be sent it."""

    def __init__(self, text: str, provider_id: int, *, with_body: bool, is_asked: bool) -> None:
        """Raises Away."""
        self._text, self._is_asked = text, is_asked
        slot = crc32(text.encode()) % SLOTS
        self._head_in = f"reservations:lists:{provider_id}:{FORMAT}:{slot}"
        self._body_in = f"{self._head_in}:body"
        trust_in = recent.trust_in(provider_id)
        keys = [trust_in, self._head_in, *([self._body_in] if with_body else [])]
        trust, head, *bodies = shared.redis.ask(lambda redis: redis.mget(keys))
        self._body: bytes | None = bodies[0] if bodies else None
        self.basis: Basis | None = None
        self.is_trusted = False
        if head is not None:
            kept_text, kept_trust, self._cursor, self._mark, basis = orjson.loads(head)
            if kept_text == text and availability.may_hold(Basis(*basis)):
                self.basis = Basis(*basis)
                self.is_trusted = trust is not None and kept_trust == trust.decode()
        self._trust = trust.decode() if trust is not None else self._begin_trust(trust_in)

    def _begin_trust(self, trust_in: str) -> str:
        """Never the same again, and noted before anything is read that is kept with it. Where
        somebody else was faster, nobody ever notes this one, and what is kept with it is not
        trusted."""
        trust = secrets.token_hex(8)
        shared.redis.ask(lambda redis: redis.set(trust_in, trust, nx=True, px=TRUST))
        return trust

    def listing(self) -> Listing | None:
        """None when another body is there by now. Raises Away."""
        assert self.basis is not None
        body = self._body or shared.redis.ask(lambda redis: redis.get(self._body_in)) or b""
        if not body.startswith(self._mark.encode()):
            return None
        return Listing(orjson.Fragment(body[len(self._mark) :]), self._cursor, self.basis)

    def trust_again(self) -> None:
        self._keep(lambda redis: redis.expire(self._body_in, KEPT))

    def keep(self, listing: Listing) -> Listing:
        """The same, whose body need not be written out again."""
        self.basis, self._cursor, self._mark = listing.basis, listing.cursor, secrets.token_hex(8)
        body = encode(listing.body)
        marked = self._mark.encode() + body
        self._keep(lambda redis: redis.set(self._body_in, marked, ex=KEPT))
        return listing._replace(body=orjson.Fragment(body))

    def _keep(self, with_body: Callable[[Any], Any]) -> None:
        assert self.basis is not None
        head = orjson.dumps([self._text, self._trust, self._cursor, self._mark, [*self.basis]])

        def keep(redis: Any) -> None:
            pipeline = redis.pipeline(transaction=False)
            with_body(pipeline)
            pipeline.set(self._head_in, head, ex=KEPT)
            if self._is_asked:
                pipeline.zadd(ASKED, {self._text: time.time()})
                pipeline.zremrangebyrank(ASKED, 0, -MOST_ASKED - 1)
            pipeline.execute()

        with suppress(shared.Away):
            shared.redis.ask(keep)


def _from_shelf(shelf: Shelf, query: dict[str, Any], seen: Basis | None) -> Listing:
    basis, outcome = shelf.basis, "trusted"
    if basis is not None and not shelf.is_trusted:
        outcome = "compared"
        if _holds(basis, query):
            shelf.trust_again()
        else:
            basis = None
    listing = None
    if basis is not None:
        listing = Listing(None, None, basis) if basis == seen else shelf.listing()
    elif seen is not None and seen != shelf.basis and _holds(seen, query):
        outcome, listing = "compared", Listing(None, None, seen)
    if listing is None:
        outcome, listing = "made", shelf.keep(_made(query))
    metrics.LISTS.labels(outcome).inc()
    return listing


def _holds(basis: Basis, query: dict[str, Any]) -> bool:
    return availability.still_holds(basis, provider_id=query["provider_id"])


def written(
    page: availability.Page, zone: ZoneInfo | None, name: str = "available timeslots"
) -> tuple[Any, str | None]:
    """A page of timeslots as it is answered, and the cursor of the next."""
    more = page.goes_on_at
    cursor = CursorField.encode(more.start_time, more.timeslot_id) if more else None
    return {name: in_zone(timeslot_shapes(page.timeslots), zone)}, cursor


def _made(query: dict[str, Any]) -> Listing:
    asked = dict(query)
    zone = asked.pop("time_zone")
    page, basis = availability.list_bookable(**asked)
    return Listing(*written(page, zone), basis)


def _asked_lately(redis: Any) -> list[bytes]:
    pipeline = redis.pipeline(transaction=False)
    pipeline.zremrangebyscore(ASKED, 0, time.time() - KEPT)
    pipeline.zrange(ASKED, 0, -1)
    return pipeline.execute()[1]  # type: ignore[no-any-return]
