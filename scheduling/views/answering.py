"""Say where a list goes on."""

from datetime import datetime
from typing import Any

from django.http import QueryDict
from rest_framework.request import Request

from scheduling.fields import CursorField
from scheduling.wire import Response


def page(
    request: Request, body: dict[str, Any], goes_on_at: tuple[datetime | str | int, ...] | None
) -> Response:
    return page_before(request, body, CursorField.encode(*goes_on_at) if goes_on_at else None)


def page_before(request: Request, body: Any, cursor: str | None) -> Response:
    response = Response(body)
    if cursor is not None:
        response["Link"] = f'<{_this_list_from(request, cursor)}>; rel="next"'
    return response


def _this_list_from(request: Request, cursor: str) -> str:
    query: QueryDict = request.query_params.copy()
    query["cursor"] = cursor
    return request.build_absolute_uri(f"{request.path}?{query.urlencode()}")
