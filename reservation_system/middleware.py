"""What happens around every request: its id, its line in the log, its size, its browser session."""

import logging
import re
import time
import uuid
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.messages.middleware import MessageMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from scheduling import errors

from . import logs

logger = logging.getLogger(__name__)

GetResponse = Callable[[HttpRequest], HttpResponseBase]
ACCEPTABLE_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")


class RequestLog:
    """Give each request an id (the caller's own X-Request-ID if it is a plain word) and log it."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        started = time.perf_counter()
        given = request.META.get("HTTP_X_REQUEST_ID", "")
        request_id = given if ACCEPTABLE_REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
        logs.request_id.set(request_id)
        response = self.get_response(request)
        response["X-Request-ID"] = request_id
        if isinstance(response, HttpResponse) and "Content-Length" not in response:
            response["Content-Length"] = str(len(response.content))
        # The path without its query: people's names may stand there.
        logger.info(
            "request",
            extra={
                "method": request.method,
                "path": request.path,
                "status": response.status_code,
                "milliseconds": round((time.perf_counter() - started) * 1000, 2),
            },
        )
        return response


class BodyLimit:
    """Refuse a body that is too large, or of unknown length, before anything reads it."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        length = request.META.get("CONTENT_LENGTH") or "0"
        # int() refuses thousands of digits, so the number of digits is looked at first.
        if len(length) > 18 or (length.isdecimal() and int(length) > settings.BODY_LIMIT):
            return errors.response(errors.BodyTooLarge())
        if "HTTP_TRANSFER_ENCODING" in request.META:
            return errors.response(errors.LengthRequired())
        return self.get_response(request)


class _OnAdminPages:
    get_response: Any

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if request.path_info.startswith("/admin/"):
            return super().__call__(request)  # type: ignore[misc, no-any-return]
        response: HttpResponseBase = self.get_response(request)
        return response


class AdminSessions(_OnAdminPages, SessionMiddleware):
    pass


class AdminAuthentication(_OnAdminPages, AuthenticationMiddleware):
    pass


class AdminMessages(_OnAdminPages, MessageMiddleware):
    pass
