"""The Idempotency-Key header, as in draft-ietf-httpapi-idempotency-key-header-07."""

import re
from collections.abc import Callable
from functools import wraps

from django.conf import settings
from django.http import HttpResponse
from django.utils.crypto import salted_hmac
from rest_framework.request import Request

from . import errors, retries
from .authentication import caller_of
from .wire import JSONRenderer, Response

# A string of RFC 8941; without the quotes too, as most callers send it.
QUOTED = re.compile(r'"((?:[ !#-\[\]-~]|\\["\\])+)"')
BARE = re.compile(r"[!#-+\--:<-\[\]-~]+")  # no quote, comma, semicolon or backslash
LONGEST_KEY = 255


def once(view: Callable[[Request], Response]) -> Callable[[Request], HttpResponse]:
    """Of a view that changes something: with the header, repeated within a day it only answers.

    Without the header nothing is stored and no statement is added.
    """

    @wraps(view)
    def wrapped(request: Request) -> HttpResponse:
        given = request.META.get("HTTP_IDEMPOTENCY_KEY")
        if given is None or request.method in ("GET", "HEAD"):
            return view(request)
        caller = caller_of(request)
        answer, is_replayed = retries.answer_once(
            caller=caller.subject if caller else "",
            key=_read(given),
            fingerprints=_fingerprints(request),
            effect=lambda: _answer(view(request)),
        )
        response = HttpResponse(
            answer.body,
            status=answer.status,
            headers=answer.headers,
        )
        if not answer.body:
            del response["Content-Type"]
        if is_replayed:
            response["Idempotent-Replayed"] = "true"
        return response

    return wrapped


def _answer(response: Response) -> retries.Answer:
    headers = {name: value for name, value in response.items() if name != "Content-Type"}
    headers["Content-Type"] = JSONRenderer.media_type
    return retries.Answer(response.status_code, headers, response.content)


def _read(given: str) -> str:
    if quoted := QUOTED.fullmatch(given):
        key = re.sub(r"\\(.)", r"\1", quoted[1])
    else:
        key = given if BARE.fullmatch(given) else ""
    if not 1 <= len(key) <= LONGEST_KEY:
        raise errors.InvalidInput(
            field="Idempotency-Key",
            code="invalid",
            detail="A string of 1 to 255 visible characters is required, best a UUID.",
        )
    return key


def _fingerprints(request: Request) -> list[str]:
    """By our key and by its predecessors: keyed, because there may be a password in the body."""
    sent = f"{request.method} {request.get_full_path()}\n".encode() + request._request.body
    return [
        salted_hmac("scheduling.idempotency", sent, secret=key, algorithm="sha256").hexdigest()
        for key in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)
    ]
