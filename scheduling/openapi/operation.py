"""What every call has in common: its refusals and its headers."""

from collections.abc import Callable
from typing import Any

from drf_spectacular.utils import (
    OpenApiExample,
    OpenApiParameter,
    OpenApiResponse,
    PolymorphicProxySerializer,
    extend_schema,
)
from rest_framework import exceptions, serializers

from scheduling import errors

from .answers import SLOT, Problem

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

_MEANING = {refusal["code"]: refusal["detail"] for refusal in errors.every_refusal()}
_ANYWHERE = (errors.BodyTooLarge, errors.LengthRequired, errors.Unavailable, errors.Overloaded)
_WITH_A_BODY = (errors.InvalidInput, errors.MalformedJSON, exceptions.UnsupportedMediaType)
_WITH_A_TOKEN = (
    exceptions.NotAuthenticated,
    errors.TokenInvalid,
    errors.TokenExpired,
    exceptions.PermissionDenied,
)
_ONCE = (errors.InvalidInput, errors.StillRunning, errors.KeyReused)
_ARGUMENTS: dict[Any, dict[str, Any]] = {
    errors.InvalidInput: {
        "field": "provider_id",
        "code": "required",
        "detail": "This field is required.",
    },
    errors.NoticeTooShort: {"earliest_start": "2026-12-31T09:00:00Z"},
    errors.TooManyHolds: {"max_holds": 5},
    errors.TimeslotsOverlap: {"timeslot_id": 1, **SLOT},
    errors.TimeslotsReserved: {"timeslot_ids": [1], "reservation_ids": [1]},
    errors.TooManyAttempts: {"wait": 900},
    exceptions.Throttled: {"wait": 30},
    exceptions.UnsupportedMediaType: {"media_type": "text/plain"},
}


def _refusals(kinds: tuple[type[Any], ...]) -> dict[tuple[int, str], OpenApiResponse]:
    """One response for each status, with an example for each code."""
    problems = [errors.problem(kind(**_ARGUMENTS.get(kind, {}))) for kind in kinds]
    by_status: dict[int, list[dict[str, Any]]] = {}
    for problem in sorted(problems, key=lambda problem: problem["status"]):
        by_status.setdefault(problem["status"], []).append(problem)
    return {
        (status, errors.PROBLEM_JSON): OpenApiResponse(
            Problem,
            description=" ".join(f"`{one['code']}`: {_MEANING[one['code']]}" for one in those),
            examples=[
                OpenApiExample(one["code"], value=one, status_codes=[str(status)]) for one in those
            ],
        )
        for status, those in by_status.items()
    }


def operation(
    operation_id: str,
    summary: str,
    *,
    tag: str,
    answer: Any,
    example: dict[str, Any] | str | None,
    status: int = 200,
    method: str | None = None,
    request: type[serializers.Serializer[Any]] | PolymorphicProxySerializer | None = None,
    requests: dict[str, dict[str, Any]] | None = None,
    query: type[serializers.Serializer[Any]] | None = None,
    refusals: tuple[type[Any], ...] = (),
    description: str = "",
    by_the_table: bool = True,
    is_paged: bool = False,
    is_tagged: bool = False,
    matches: bool = False,
    stores_answer: bool = True,
    media_type: str = "application/json",
) -> Decorator:
    """A call: `by_the_table` says that permissions apply, `is_tagged` that the answer has an ETag,
    `matches` that If-Match is looked at, `stores_answer` that an Idempotency-Key is. `method` is
    for a view that takes several."""
    success = OpenApiResponse(
        answer,
        description="Done.",
        examples=[OpenApiExample("answer", value=example, status_codes=[str(status)])]
        if example
        else None,
    )
    is_once = stores_answer and by_the_table and (query is None or method == "DELETE")
    refusals += _ANYWHERE + (_WITH_A_BODY if request else ())
    refusals += _WITH_A_TOKEN if by_the_table else ()
    refusals += _ONCE if is_once else ()
    refusals += (errors.ChangedMeanwhile,) if matches else ()
    refusals += (errors.InvalidInput,) if query else ()
    return extend_schema(
        methods=[method] if method else None,
        operation_id=operation_id,
        tags=[tag],
        summary=summary,
        description=description,
        request={"application/json": request} if request else None,
        responses={
            (status, media_type) if answer else status: success,
            **({304: OpenApiResponse(description="As If-None-Match says.")} if is_tagged else {}),
            **_refusals(tuple(dict.fromkeys(refusals))),
        },
        examples=[
            OpenApiExample(name, value=value, request_only=True)
            for name, value in (requests or {}).items()
        ],
        parameters=[
            *([query] if query else []),
            *(_OF_ONCE if is_once else []),
            *(_OF_PAGES if is_paged else []),
            *(_OF_TAGS if is_tagged else []),
            *(_OF_MATCHES if matches else []),
            _header("Retry-After", int, response=[429, 503]),
        ],
    )


def _header(
    name: str, kind: Any = str, response: list[int] | bool = False, description: str = ""
) -> OpenApiParameter:
    return OpenApiParameter(
        name, kind, OpenApiParameter.HEADER, response=response, description=description
    )


_OF_ONCE = [
    _header(
        "Idempotency-Key",
        {"type": "string", "pattern": r"^[A-Za-z0-9_-]{1,255}$"},
        description="Best a UUID. Repeated with it within 24 hours, the call only answers again.",
    ),
    _header("Idempotent-Replayed", response=[200, 201], description="`true` when it only answers."),
]
_OF_PAGES = [
    _header("Link", response=[200], description='RFC 8288: `<...>; rel="next"` when there is more.')
]
_OF_TAGS = [
    _header("If-None-Match", description="An `ETag`: answer 304 as long as it is the same."),
    _header("ETag", response=[200], description="For `If-Match` and `If-None-Match`."),
]
_OF_MATCHES = [
    _header("If-Match", description="An `ETag`: refuse the call when it has changed since.")
]

ABOUT_ACCOUNTS = (
    "With `email` and `password` an account is made that can sign in. Where sign-in is required: "
    "whoever signs up must give both; who is signed in gives neither, and the {kind} becomes one "
    "of that account. An e-mail address that has an account gets the same answer as any other."
)
ABOUT_LINKS = (
    "Whoever has it reads the calendar, so it is shown only now, and not to be passed on. There is "
    "one: a new link takes the place of the one before, which is good no more. An Idempotency-Key "
    "has no effect, because what is stored for it would hold the link."
)
UNCANCELLABLE = (errors.ReservationNotFound, errors.Cancelled, errors.HoldExpired)
