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
from django.core.exceptions import DisallowedHost
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, UnreadablePostError
from django.http.response import HttpResponseBase
from rest_framework.exceptions import APIException, MethodNotAllowed

from scheduling import errors

from . import logs, watchdog

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


class Gate:
    """Refuse what nothing behind it should see: a foreign host, a body too large or unmeasured.

    Refusals of a method are given the form of all others.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

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

    def _refusal(self, request: HttpRequest) -> APIException | None:
        # Probes ask by the machine's address, which no ALLOWED_HOSTS can list beforehand.
        if request.path_info not in ("/healthz", "/readyz"):
            try:
                request.get_host()
            except DisallowedHost:
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
                with watchdog.reading_a_body():
                    request.body  # noqa: B018  read, and kept for whoever parses it
            except UnreadablePostError:  # the caller has gone
                return errors.BadRequest()
        return None


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
