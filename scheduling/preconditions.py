"""ETag, If-Match and If-None-Match (RFC 9110, 8.8.3 and 13.1): what a caller has seen of a thing.

The tag is the count of changes that stands beside each row, so the verbs compare it within the
statement that changes the row. Nobody changes lists and calendars as such: a list has a tag of the
numbers that it was made from, a calendar one of its content.
"""

import re
from collections.abc import Collection
from datetime import datetime
from hashlib import sha256

from django.http import HttpResponse, HttpResponseNotModified
from django.utils.http import http_date, parse_etags, parse_http_date_safe
from rest_framework.request import Request

from .wire import Response

NUMBERS = re.compile(r'"(?:0|[1-9][0-9]{0,17})(?:\.(?:0|[1-9][0-9]{0,17}))*"')
A_VERSION = re.compile(r'"([1-9][0-9]{0,8})"')


def versions_to_match(request: Request) -> Collection[int] | None:
    """What If-Match allows; None for anything. A tag that was never sent matches nothing."""
    given = request.META.get("HTTP_IF_MATCH", "*").strip()
    if given == "*":  # that there is one, the verbs ask in any case
        return None
    tags = [A_VERSION.fullmatch(tag) for tag in parse_etags(given)]
    return {int(tag[1]) for tag in tags if tag}


def tag_of(numbers: Collection[int]) -> str:
    return f'"{".".join(map(str, numbers))}"'


def numbers_seen(request: Request, count: int) -> list[int] | None:
    """The first tag of so many numbers in If-None-Match."""
    if "HTTP_IF_NONE_MATCH" not in request.META:
        return None
    for tag in _strong(parse_etags(request.META["HTTP_IF_NONE_MATCH"])):
        if NUMBERS.fullmatch(tag) and tag.count(".") == count - 1:
            return [int(number) for number in tag[1:-1].split(".")]
    return None


def not_modified(tag: str, cache_control: str) -> Response:
    return Response(status=304, headers={"ETag": tag, "Cache-Control": cache_control})


def tagged(request: Request, body: object, version: int) -> Response:
    """The answer with its tag; or 304, when the caller says that it has it already."""
    tag = tag_of((version,))
    seen = parse_etags(request.META.get("HTTP_IF_NONE_MATCH", ""))
    if request.method in ("GET", "HEAD") and (seen == ["*"] or tag in _strong(seen)):
        return Response(status=304, headers={"ETag": tag})
    return Response(body, headers={"ETag": tag})


def fresh(request: Request, response: HttpResponse, changed_at: datetime | None) -> HttpResponse:
    """The answer with the tag of its content; or 304, when the caller says that it has it already.

    If-Modified-Since counts only without If-None-Match (RFC 9110, 13.1.3).
    """
    response["ETag"] = f'"{sha256(response.content).hexdigest()[:32]}"'
    if changed_at is not None:
        response["Last-Modified"] = http_date(changed_at.timestamp())
    if "HTTP_IF_NONE_MATCH" in request.META:
        seen = parse_etags(request.META["HTTP_IF_NONE_MATCH"])
        is_seen = seen == ["*"] or response["ETag"] in _strong(seen)
    else:
        since = parse_http_date_safe(request.META.get("HTTP_IF_MODIFIED_SINCE", ""))
        is_seen = bool(since and changed_at and changed_at.timestamp() <= since)
    if not is_seen:
        return response
    kept = ("ETag", "Last-Modified", "Cache-Control")
    headers = {name: response[name] for name in kept if name in response}
    return HttpResponseNotModified(headers=headers)


def _strong(tags: Collection[str]) -> list[str]:
    """If-None-Match compares weakly; proxies that compress weaken the tag they pass on."""
    return [tag.removeprefix("W/") for tag in tags]
