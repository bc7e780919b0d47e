"""What happens around every request: who sent it, its id and log line, its size, its session."""

import logging
import random
import re
import time
from collections.abc import Callable
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

from django.conf import settings
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.messages.middleware import MessageMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from django.core.exceptions import DisallowedHost, MiddlewareNotUsed
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, UnreadablePostError
from django.http.response import HttpResponseBase
from django.middleware.gzip import GZipMiddleware
from rest_framework.exceptions import APIException, MethodNotAllowed

from scheduling import errors, metrics

from . import logs

logger = logging.getLogger(__name__)

GetResponse = Callable[[HttpRequest], HttpResponseBase]
ACCEPTABLE_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
# No content, and not modified: a length of 0 would be one of the thing itself (RFC 9110, 8.6).
WITHOUT_LENGTH = (204, 304)
# What labels are made of: nothing that a caller can choose at will.
METHODS = frozenset(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
NOWHERE = "none"
# In the environ: when a request came that had to wait its turn (admission.py).
ARRIVED = "reservations.arrived"
MOST_HOSTS = 1000
BOOKING = ("/client/", "/provider/")
WITH_A_PORT = re.compile(r"\[(.*)\](?::\d+)?|([\d.]+):\d+")

Address = IPv4Address | IPv6Address


class BehindProxies:
    """Learn the caller's address and scheme from trusted proxies, and from nobody else."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        # Taken out in any case: nothing behind this can believe them by mistake.
        forwarded_for = request.META.pop("HTTP_X_FORWARDED_FOR", "")
        forwarded_proto = request.META.pop("HTTP_X_FORWARDED_PROTO", "")
        peer = _address(request.META["REMOTE_ADDR"])
        if peer is not None:
            request.META["REMOTE_ADDR"] = _text(self._caller(peer, forwarded_for))
            # Of several, the last is what the peer itself has said.
            scheme = forwarded_proto.rpartition(",")[2].strip().lower()
            if scheme in ("http", "https") and self._is_trusted(peer):
                request.META["wsgi.url_scheme"] = scheme
        return self.get_response(request)

    def _caller(self, address: Address, forwarded_for: str) -> Address:
        """From the peer on to whom each trusted proxy names, as far as that is an address."""
        for named in reversed(forwarded_for.split(",")):
            further = _address(named) if self._is_trusted(address) else None
            if further is None:
                break
            address = further
        return address

    def _is_trusted(self, address: Address) -> bool:
        return any(address in network for network in settings.TRUSTED_PROXIES)


@lru_cache(maxsize=1024)
def _address(text: str) -> Address | None:
    text = text.strip()
    if with_a_port := WITH_A_PORT.fullmatch(text):
        text = with_a_port[1] or with_a_port[2]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv4Address):
        return address
    # A zone means something on the proxy's machine alone.
    return None if address.scope_id else address.ipv4_mapped or address


@lru_cache(maxsize=1024)
def _text(address: Address) -> str:
    return str(address)


class PagePolicy:
    """Pages run no script and send no form but our own, and stand in nobody's frame."""

    POLICY = (
        "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; "
        "form-action 'self'; frame-ancestors 'none'"
    )

    def __init__(self, get_response: GetResponse) -> None:
        if settings.DEBUG:  # Django's own pages for developers are full of inline scripts
            raise MiddlewareNotUsed
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        if response.get("Content-Type", "").startswith("text/html"):
            response["Content-Security-Policy"] = self.POLICY
        return response


class RequestLog:
    """Give each request an id (the caller's own X-Request-ID if it is a plain word), log it and
    count it."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        started = request.META.get(ARRIVED) or time.perf_counter()
        request_id = request_id_of(request.META)
        logs.request_id.set(request_id)
        response = self.get_response(request)
        response["X-Request-ID"] = request_id
        if (
            isinstance(response, HttpResponse)
            and "Content-Length" not in response
            and response.status_code not in WITHOUT_LENGTH
        ):
            response["Content-Length"] = str(len(response.content))
        seconds = time.perf_counter() - started
        method = str(request.method)
        metrics.count_request(
            endpoint_of(request),
            method if method in METHODS else "other",
            response.status_code,
            seconds,
        )
        # The path without its query: people's names may stand there.
        logger.info(
            "request",
            extra={
                "method": method,
                "path": request.path,
                "status": response.status_code,
                "milliseconds": round(seconds * 1000, 2),
            },
        )
        return response


def request_id_of(environ: dict[str, Any]) -> str:
    given = environ.get("HTTP_X_REQUEST_ID", "")
    return given if ACCEPTABLE_REQUEST_ID.fullmatch(given) else f"{random.getrandbits(128):032x}"


def endpoint_of(request: HttpRequest) -> str:
    """The route and never the path; one for all that led nowhere or was refused before."""
    if request.resolver_match is not None:
        return f"/{request.resolver_match.route}"
    is_static = request.path_info.startswith(settings.STATIC_URL)
    return str(settings.STATIC_URL) if is_static else NOWHERE


class Gate:
    """Refuse what nothing behind it should see: a foreign host, a body too large or unmeasured.

    Refusals of a method are given the form of all others.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response
        self.served: set[str] = set()

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        refusal = self._refusal(request)
        if refusal is not None:
            return errors.response(refusal)
        response = self.get_response(request)
        if isinstance(response, HttpResponseNotAllowed):
            problem = errors.response(MethodNotAllowed(str(request.method)))
            problem["Allow"] = response["Allow"]
            return problem
        return response

    def _is_served(self, request: HttpRequest) -> bool:
        """Whether it names a host of ours; those that were named lately are not looked at again."""
        host = request.META.get("HTTP_HOST", "")
        if host in self.served:
            return True
        try:
            request.get_host()
        except DisallowedHost:
            return False
        if len(self.served) >= MOST_HOSTS:  # there are wildcards
            self.served.clear()
        if host:
            self.served.add(host)
        return True

    def _refusal(self, request: HttpRequest) -> APIException | None:
        # Probes ask by the machine's address, which no ALLOWED_HOSTS can list beforehand.
        if request.path_info not in ("/healthz", "/readyz") and not self._is_served(request):
            return errors.BadRequest()
        length = request.META.get("CONTENT_LENGTH") or "0"
        if not length.isdecimal():
            return errors.BadRequest()
        # int() refuses thousands of digits, so the number of digits is looked at first.
        if len(length) > 18 or int(length) > settings.BODY_LIMIT:
            return errors.BodyTooLarge()
        if "HTTP_TRANSFER_ENCODING" in request.META:
            return errors.LengthRequired()
        if length != "0":
            try:
                request.body  # noqa: B018  read, and kept for whoever parses it
            except UnreadablePostError:  # the caller has gone
                return errors.BadRequest()
        return None


class BookingLane:
    """Past the rest of the middleware for /client and /provider: a call of theirs takes no form, no
    cookie and no static file, and each further layer costs it some microseconds."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response
        self.to_the_view = _behind_all_middleware(get_response)

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if request.path_info.startswith(BOOKING):
            return self.to_the_view(request)
        return self.get_response(request)


def _behind_all_middleware(get_response: Any) -> GetResponse:
    """Django wraps each middleware in a function that turns what it raises into an answer."""
    while further := getattr(getattr(get_response, "__wrapped__", None), "get_response", None):
        get_response = further
    return get_response  # type: ignore[no-any-return]


class Compression(GZipMiddleware):
    """Pages and static files leave compressed.

    That makes their tags weak, which WhiteNoise compares as they are written; and a range of what
    is compressed is none of the file, so the whole is answered, as it may be (RFC 9110, 14.2).
    """

    def process_request(self, request: HttpRequest) -> None:
        request.META.pop("HTTP_RANGE", None)
        if tag := request.META.get("HTTP_IF_NONE_MATCH"):
            request.META["HTTP_IF_NONE_MATCH"] = tag.removeprefix("W/")


class _OnAdminPages:
    get_response: Any

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if request.path_info.startswith(f"/{settings.ADMIN_PATH}/"):
            return super().__call__(request)  # type: ignore[misc, no-any-return]
        response: HttpResponseBase = self.get_response(request)
        return response


class AdminSessions(_OnAdminPages, SessionMiddleware):
    pass


class AdminAuthentication(_OnAdminPages, AuthenticationMiddleware):
    pass


class AdminMessages(_OnAdminPages, MessageMiddleware):
    pass
