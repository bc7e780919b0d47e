"""JSON in and JSON out, as strict as RFC 8259 and as fast as orjson."""

from collections.abc import Mapping
from typing import Any

import orjson
from django.http import HttpResponse
from rest_framework.exceptions import UnsupportedMediaType
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request

from . import errors

TIMES = orjson.OPT_UTC_Z | orjson.OPT_OMIT_MICROSECONDS | orjson.OPT_NAIVE_UTC


def encode(data: Any) -> bytes:
    return b"" if data is None else orjson.dumps(data, option=TIMES)


def decode(body: bytes) -> dict[str, Any]:
    """An object in UTF-8. NaN, lone surrogates and bottomless nesting are no JSON."""
    try:
        data = orjson.loads(body)
    except orjson.JSONDecodeError as malformed:
        raise errors.MalformedJSON(
            f"The body is not valid JSON in UTF-8: {malformed.msg}, "
            f"line {malformed.lineno}, column {malformed.colno}."
        ) from malformed
    if not isinstance(data, dict):
        raise errors.InvalidInput(
            field="body", code="not_an_object", detail="Send a JSON object: {...}."
        )
    return data


class JSONRequest(Request):
    """The framework's request, whose body is JSON and nothing else: no forms and no files to look
    for, at a third of the cost."""

    _json: dict[str, Any] | None = None

    @property
    def data(self) -> dict[str, Any]:
        if self._json is None:
            body = self._request.body
            is_json = self.content_type.partition(";")[0].strip().lower() == "application/json"
            if body and not is_json:
                raise UnsupportedMediaType(self.content_type)
            self._json = decode(body) if body else {}
        return self._json


class Response(HttpResponse):
    """An answer in JSON; None is no content. There is one form of it, so nothing is left to be
    negotiated and rendered later, as the framework's own responses are."""

    def __init__(
        self, data: Any = None, status: int = 200, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(encode(data), JSONRenderer.media_type, status, headers=headers)
        if data is None:
            del self["Content-Type"]


class JSONRenderer(BaseRenderer):
    """Datetimes go out in UTC as 2026-12-30T10:00:00Z, whole seconds."""

    media_type = "application/json"
    format = "json"
    charset = None

    def render(
        self,
        data: Any,
        accepted_media_type: str | None = None,
        renderer_context: Mapping[str, Any] | None = None,
    ) -> bytes:
        return encode(data)


class AlwaysJSON(BaseContentNegotiation):
    """Whatever a caller says it accepts, there is one form (RFC 9110, 12.4.1 leaves that open)."""

    def select_renderer(  # type: ignore[override]
        self, request: Request, renderers: list[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        return renderers[0], str(renderers[0].media_type)
