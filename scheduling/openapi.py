"""What /schema says of each endpoint: shapes, examples, refusals. It decides nothing."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from drf_spectacular.extensions import OpenApiSerializerFieldExtension
from drf_spectacular.utils import (
    OpenApiExample,
    OpenApiParameter,
    OpenApiResponse,
    extend_schema,
    inline_serializer,
)
from rest_framework import serializers

from . import errors
from .serializers import AvailabilityInput, ConfirmInput, PersonInput, ReserveInput

_ID = {
    "anyOf": [
        {"type": "integer", "minimum": 1, "maximum": 2**63 - 1},
        {"type": "string", "pattern": "^0*[1-9][0-9]{0,17}$", "maxLength": 19},
    ],
    "description": "A positive whole number below 2^63, or a string of its digits.",
}
_DATE = "[0-9]{4}-[0-9]{2}-[0-9]{2}"
_QUARTER = "(:(00|15|30|45)(:00(\\.0{1,6})?)?)"
_FIELD_SCHEMAS: dict[str, dict[str, Any]] = {
    "IDField": _ID,
    "NameField": {
        "type": "string",
        "minLength": 1,
        "maxLength": 100,
        # Printable somewhere, and no control character anywhere.
        "pattern": r"^[^\u0000-\u001f\u007f-\u009f\u2028\u2029]+$",
        "description": "1 to 100 characters after trimming, any script, no control characters.",
    },
    "QuarterHourField": {
        "type": "string",
        "format": "date-time",
        "pattern": f"^{_DATE}T[0-9]{{2}}{_QUARTER}(Z|[+-][0-9]{{2}}:[0-9]{{2}})?$",
        "description": (
            "ISO 8601 on a quarter hour; any offset is turned into UTC, none means UTC."
        ),
    },
    "MomentField": {
        "type": "string",
        "format": "date-time",
        "description": "ISO 8601; any offset is turned into UTC, none means UTC.",
    },
}


class _StrictFields(OpenApiSerializerFieldExtension):  # type: ignore[no-untyped-call]
    target_class = "scheduling.serializers.StrictField"
    match_subclasses = True

    def map_serializer_field(self, auto_schema: Any, direction: str) -> dict[str, Any]:
        return dict(_FIELD_SCHEMAS[type(self.target).__name__])


class TimeslotShape(serializers.Serializer[Any]):
    timeslot_id = serializers.IntegerField()
    provider_id = serializers.IntegerField()
    first_name = serializers.CharField()
    last_name = serializers.CharField()
    start_time = serializers.DateTimeField()
    end_time = serializers.DateTimeField()
    is_available = serializers.BooleanField(help_text="No live reservation points at it.")


class ReservationShape(serializers.Serializer[Any]):
    reservation_id = serializers.IntegerField()
    timeslot_id = serializers.IntegerField()
    provider_id = serializers.IntegerField()
    client_id = serializers.IntegerField()
    start_time = serializers.DateTimeField()
    end_time = serializers.DateTimeField()
    created_at = serializers.DateTimeField()
    is_confirmed = serializers.BooleanField()


class ProblemField(serializers.Serializer[Any]):
    field = serializers.CharField()
    code = serializers.CharField()
    detail = serializers.CharField()


class Problem(serializers.Serializer[Any]):
    """RFC 9457 problem details. Switch on `code`; show `detail` to a person."""

    type = serializers.CharField(help_text="Where the code is explained.")
    title = serializers.CharField()
    status = serializers.IntegerField()
    detail = serializers.CharField()
    code = serializers.CharField()
    errors: Any = ProblemField(
        many=True, required=False, help_text="With `invalid`: field by field."
    )


Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

_ANYWHERE: tuple[type[errors.Refusal], ...] = (errors.BodyTooLarge, errors.Unavailable)
_WITH_A_BODY = (errors.InvalidInput, errors.MalformedJSON, errors.LengthRequired)

_TIMESLOT = {
    "timeslot_id": 1,
    "provider_id": 1,
    "first_name": "Ada",
    "last_name": "Lovelace",
    "start_time": "2026-12-30T10:00:00Z",
    "end_time": "2026-12-30T10:15:00Z",
    "is_available": True,
}
_RESERVATION = {
    "reservation_id": 1,
    "timeslot_id": 1,
    "provider_id": 1,
    "client_id": 1,
    "start_time": "2026-12-30T10:00:00Z",
    "end_time": "2026-12-30T10:15:00Z",
    "created_at": "2026-12-28T09:00:00Z",
    "is_confirmed": False,
}
_PERSON = {"first_name": "Ada", "last_name": "Lovelace"}


def _problem_example(refusal: type[Any]) -> OpenApiExample:
    if refusal is errors.InvalidInput:
        value = errors.problem(
            errors.InvalidInput(field="field", code="required", detail="This field is required.")
        )
    else:
        value = errors.problem(refusal())
    return OpenApiExample(value["code"], value=value, response_only=True)


def _refusals(*refusals: type[errors.Refusal]) -> dict[tuple[int, str], OpenApiResponse]:
    by_status: dict[int, list[type[errors.Refusal]]] = {}
    for refusal in refusals:
        by_status.setdefault(refusal.status_code, []).append(refusal)
    return {
        (status, errors.PROBLEM_JSON): OpenApiResponse(
            Problem,
            description=f"{HTTPStatus(status).phrase}. "
            + " ".join(f"`{one.default_code}`: {one.default_detail}" for one in those),
            examples=[_problem_example(one) for one in those],
        )
        for status, those in sorted(by_status.items())
    }


def _operation(
    *,
    tag: str,
    operation_id: str,
    summary: str,
    answer: dict[str, serializers.Field[Any, Any, Any, Any]],
    example: dict[str, Any],
    status: int = 200,
    request: type[serializers.Serializer[Any]] | None = None,
    request_example: dict[str, Any] | None = None,
    refusals: tuple[type[errors.Refusal], ...] = (),
    description: str = "",
    parameters: tuple[OpenApiParameter, ...] = (),
    headers: tuple[OpenApiParameter, ...] = (),
) -> Decorator:
    responses: dict[Any, Any] = {
        (status, "application/json"): OpenApiResponse(
            inline_serializer(f"{operation_id}Answer", dict(answer)),
            description="Done.",
            examples=[OpenApiExample("answer", value=example, status_codes=[str(status)])],
        )
    }
    documented = (*refusals, *_ANYWHERE)
    if request is not None:
        documented += (*_WITH_A_BODY,)
    responses |= _refusals(*dict.fromkeys(documented))
    if request is not None:
        responses[(415, errors.PROBLEM_JSON)] = OpenApiResponse(
            Problem, description="`unsupported_media_type`: send application/json."
        )
    examples = [OpenApiExample("request", value=request_example, request_only=True)]
    return extend_schema(
        operation_id=operation_id,
        tags=[tag],
        summary=summary,
        description=description or summary,
        request={"application/json": request} if request else None,
        responses=responses,
        examples=examples if request_example else None,
        parameters=[*parameters, *headers],
    )


create_provider = _operation(
    tag="provider",
    operation_id="createProvider",
    summary="Create a provider.",
    status=201,
    request=PersonInput,
    request_example=_PERSON,
    answer={
        "provider_id": serializers.IntegerField(),
        "first_name": serializers.CharField(),
        "last_name": serializers.CharField(),
    },
    example={"provider_id": 1, **_PERSON},
)

create_client = _operation(
    tag="client",
    operation_id="createClient",
    summary="Create a client.",
    status=201,
    request=PersonInput,
    request_example=_PERSON,
    answer={
        "client_id": serializers.IntegerField(),
        "first_name": serializers.CharField(),
        "last_name": serializers.CharField(),
    },
    example={"client_id": 1, **_PERSON},
)

publish = _operation(
    tag="provider",
    operation_id="publishAvailability",
    summary="Publish when a provider works.",
    description=(
        "The window is cut into timeslots of 15 minutes: all of them are stored, or none. "
        "A window in the past is accepted; it is never bookable. At most 50,000 timeslots and "
        "five years a request."
    ),
    status=201,
    request=AvailabilityInput,
    request_example={
        "provider_id": 1,
        "start_time": "2026-12-30T10:00:00Z",
        "end_time": "2026-12-30T11:30:00Z",
    },
    answer={"available timeslots": TimeslotShape(many=True)},
    example={"available timeslots": [_TIMESLOT]},
    refusals=(errors.ProviderNotFound, errors.TimeslotsOverlap),
)

list_bookable = _operation(
    tag="client",
    operation_id="getProviderAvailability",
    summary="List a provider's bookable timeslots.",
    description=(
        "Free timeslots that start at least the notice period (24 hours) from now, oldest first. "
        'When there are more than `limit`, the `Link` header names the next page with rel="next".'
    ),
    parameters=(
        OpenApiParameter("provider_id", _ID, required=True),
        OpenApiParameter(
            "from", _FIELD_SCHEMAS["MomentField"], description="Start at this moment or later."
        ),
        OpenApiParameter(
            "to", _FIELD_SCHEMAS["MomentField"], description="Start before this moment."
        ),
        OpenApiParameter(
            "limit",
            {"type": "integer", "minimum": 1, "maximum": 5000, "default": 1000},
            description="At most so many timeslots.",
        ),
        OpenApiParameter("cursor", str, description="From a Link header; opaque."),
    ),
    headers=(
        OpenApiParameter(
            "Link",
            str,
            OpenApiParameter.HEADER,
            response=[200],
            description='RFC 8288: `<...>; rel="next"` when there is more.',
        ),
    ),
    answer={"available timeslots": TimeslotShape(many=True)},
    example={"available timeslots": [_TIMESLOT]},
    refusals=(errors.InvalidInput, errors.ProviderNotFound),
)

expire = _operation(
    tag="provider",
    operation_id="expireReservations",
    summary="Write down which holds ran out (the sweep).",
    description=(
        "For a scheduled job. Returns each released timeslot once, over all sweeps. Those that "
        "start within the notice period are closed and not returned. Any body is ignored."
    ),
    answer={
        "Expired reservations deleted and corresponding timeslots released": TimeslotShape(
            many=True
        )
    },
    example={"Expired reservations deleted and corresponding timeslots released": [_TIMESLOT]},
    refusals=(errors.LengthRequired,),
)

reserve = _operation(
    tag="client",
    operation_id="reserveTimeslot",
    summary="Hold a timeslot for a client for 30 minutes.",
    request=ReserveInput,
    request_example={"client_id": 1, "timeslot_id": 1},
    answer={"Reservation scheduled": ReservationShape()},
    example={"Reservation scheduled": _RESERVATION},
    refusals=(
        errors.ClientNotFound,
        errors.TimeslotNotFound,
        errors.TimeslotTaken,
        errors.NoticeTooShort,
    ),
)

confirm = _operation(
    tag="client",
    operation_id="confirmReservation",
    summary="Make a hold firm, within its 30 minutes.",
    request=ConfirmInput,
    request_example={"client_id": 1, "reservation_id": 1},
    answer={"Reservation is confirmed": ReservationShape()},
    example={"Reservation is confirmed": {**_RESERVATION, "is_confirmed": True}},
    refusals=(
        errors.NotYourReservation,
        errors.ReservationNotFound,
        errors.AlreadyConfirmed,
        errors.Cancelled,
        errors.HoldExpired,
    ),
)
