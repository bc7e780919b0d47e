"""How often one account, or one address, may ask: counted in Django's cache.

Each instance counts for itself, unless REDIS_URL names a cache that all of them share. Signing in
is not counted by account, for whoever fails on purpose would keep the owner out; django-axes counts
failures by account and address together.
"""

import logging
import math
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from django.conf import settings
from django.core.cache import BaseCache, caches
from django.http import HttpRequest, HttpResponse
from rest_framework.exceptions import Throttled
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from . import errors
from .authentication import STAFF, Caller, address_of, caller_of

logger = logging.getLogger(__name__)

# While the cache is away everybody is let through, and it is asked again only after this.
PAUSE_SECONDS = 5.0
_paused_until = 0.0
CHANGING = ("POST", "PUT")


class Quota(NamedTuple):
    name: str
    setting: str
    is_by_account: bool = False
    # Whoever can reach an open service may do all of it; only passwords are guarded there.
    is_for_open_service: bool = False


_SIGN_UP = [
    Quota("sign-up", "SIGN_UP_RATE"),
    Quota("sign-up-account", "SIGN_UP_RATE", is_by_account=True),
]
_RESERVE = [
    Quota("reserve", "RESERVE_RATE", is_by_account=True),
    Quota("reserve-address", "RESERVE_RATE_PER_ADDRESS"),
]
QUOTAS = {
    "sign_in": [Quota("sign-in", "SIGN_IN_RATE", is_for_open_service=True)],
    "create_client": _SIGN_UP,
    "create_provider": _SIGN_UP,
    "reserve": _RESERVE,
    "reschedule": _RESERVE,
}


class Standing(NamedTuple):
    """Where a caller stands with a quota in its present window."""

    name: str
    quota: int
    window: int
    remaining: int
    resets_in: int


class ByTheTable(BaseThrottle):
    """Counts the request by every quota of its view; staff are not counted."""

    def allow_request(self, request: Request, view: object) -> bool:
        quotas = QUOTAS.get(type(view).__name__, []) if request.method in CHANGING else []
        self._wait = _seconds_to_wait(request._request, quotas, caller_of(request))
        return self._wait is None

    def wait(self) -> float | None:
        return self._wait


class RateLimitFields:
    """Middleware: RateLimit and RateLimit-Policy on whatever was counted.

    As in draft-ietf-httpapi-ratelimit-headers-10: q requests in w seconds; r are left, for t
    seconds.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self._refusal_of_an_operator(request) or self.get_response(request)
        standings: list[Standing] = getattr(request, "standings", [])
        if standings:
            response["RateLimit-Policy"] = ", ".join(
                f'"{one.name}";q={one.quota};w={one.window}' for one in standings
            )
            response["RateLimit"] = ", ".join(
                f'"{one.name}";r={max(one.remaining, 0)};t={one.resets_in}' for one in standings
            )
        return response

    def _refusal_of_an_operator(self, request: HttpRequest) -> HttpResponse | None:
        """The login of the admin is no view of the framework's, and guessed at just the same."""
        login = f"/{settings.ADMIN_PATH}/login/"
        if request.method != "POST" or request.path_info != login:
            return None
        wait = _seconds_to_wait(request, QUOTAS["sign_in"], None)
        return None if wait is None else errors.response(Throttled(wait))


def _seconds_to_wait(
    request: HttpRequest, quotas: list[Quota], caller: Caller | None
) -> float | None:
    """Count the request by each quota; None when it exceeds none."""
    standings = [found for quota in quotas if (found := _count(request, quota, caller))]
    if standings:
        request.standings = standings  # type: ignore[attr-defined]
    return max((one.resets_in for one in standings if one.remaining < 0), default=None)


def _count(request: HttpRequest, quota: Quota, caller: Caller | None) -> Standing | None:
    """None when the request is not counted by this quota."""
    rate: tuple[int, int] | None = getattr(settings, quota.setting)
    if rate is None or (settings.AUTHENTICATION == "open" and not quota.is_for_open_service):
        return None
    if caller is not None and caller.role == STAFF:
        return None
    if quota.is_by_account:
        who = caller.subject if caller is not None else None
    else:
        who = address_of(request)
    if who is None:
        return None
    most, window = rate
    now = time.time()
    asked = _increment(f"{quota.name}:{who}:{now // window:.0f}", window)
    resets_in = math.ceil(window - now % window)
    return Standing(quota.name, most, window, most - asked, resets_in)


def _increment(key: str, seconds: int) -> int:
    """The count of this key by now; 0 while the cache is away."""
    global _paused_until
    if time.monotonic() < _paused_until:
        return 0
    try:
        return _incremented(caches["default"], key, seconds)
    except _cache_errors() as away:
        _paused_until = time.monotonic() + PAUSE_SECONDS
        logger.error("cache unavailable", extra={"reason": str(away)})
        return 0


def _cache_errors() -> tuple[type[Exception], ...]:
    """Redis's, once it is in use: its library would take 8 MiB of every worker without one."""
    library: Any = sys.modules.get("redis.exceptions")
    return (library.RedisError,) if library else ()


def _incremented(cache: BaseCache, key: str, seconds: int) -> int:
    """Both steps are atomic, and `add` does nothing to a count that is there: none is lost."""
    try:
        return int(cache.incr(key))
    except ValueError:  # the first in this window
        cache.add(key, 0, timeout=seconds)
    try:
        return int(cache.incr(key))
    except ValueError:  # dropped in between, to make room
        return 1
