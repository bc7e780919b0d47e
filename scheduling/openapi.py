"""What /schema says of each endpoint: shapes, examples, refusals. It decides nothing."""

from collections.abc import Callable
from typing import Any

from drf_spectacular.extensions import OpenApiSerializerFieldExtension
from drf_spectacular.utils import (
    OpenApiExample,
    OpenApiParameter,
    OpenApiResponse,
    extend_schema,
    inline_serializer,
)
from rest_framework import exceptions, serializers

from . import errors
from .serializers import AvailabilityInput, ConfirmInput, PersonInput, ReserveInput

# --- What is sent --------------------------------------------------------------------------------

_NO_CONTROL = r"\u0000-\u001f\u007f-\u009f\u2028\u2029"
_TIME = "ISO 8601; any offset is turned into UTC, none means UTC."
_FIELDS: dict[str, dict[str, Any]] = {
    "IDField": {
        "anyOf": [
            {"type": "integer", "minimum": 1, "maximum": 2**63 - 1},
            {"type": "string", "pattern": "^0*[1-9][0-9]{0,17}$", "maxLength": 19},
        ],
        "description": "A positive whole number below 2^63, or a string of its digits.",
    },
    "NameField": {
        "type": "string",
        "minLength": 1,
        "maxLength": 100,
        "pattern": rf"^[^{_NO_CONTROL}]*[^\s{_NO_CONTROL}][^{_NO_CONTROL}]*$",
        "description": "1 to 100 characters after trimming, any script, no control characters.",
    },
    "QuarterHourField": {
        "type": "string",
        "format": "date-time",
        "pattern": (
            r"^\d{4}-\d\d-\d\dT\d\d:(00|15|30|45)(:00(\.0{1,6})?)?(Z|[+-]\d\d:(00|15|30|45))?$"
        ),
        "description": f"On a quarter hour. {_TIME}",
    },
    "MomentField": {"type": "string", "format": "date-time", "description": _TIME},
}


class _StrictFields(OpenApiSerializerFieldExtension):  # type: ignore[no-untyped-call]
    target_class = "scheduling.serializers.StrictField"
    match_subclasses = True

    def map_serializer_field(self, auto_schema: Any, direction: str) -> dict[str, Any]:
        return dict(_FIELDS[type(self.target).__name__])


# --- What is answered ----------------------------------------------------------------------------


class Provider(serializers.Serializer[Any]):
    provider_id = serializers.IntegerField()
    first_name = serializers.CharField()
    last_name = serializers.CharField()


class Client(serializers.Serializer[Any]):
    client_id = serializers.IntegerField()
    first_name = serializers.CharField()
    last_name = serializers.CharField()


class Timeslot(serializers.Serializer[Any]):
    timeslot_id = serializers.IntegerField()
    provider_id = serializers.IntegerField()
    first_name = serializers.CharField()
    last_name = serializers.CharField()
    start_time = serializers.DateTimeField()
    end_time = serializers.DateTimeField()
    is_available = serializers.BooleanField(help_text="No live reservation points at it.")


class Reservation(serializers.Serializer[Any]):
    reservation_id = serializers.IntegerField()
    timeslot_id = serializers.IntegerField()
    provider_id = serializers.IntegerField()
    client_id = serializers.IntegerField()
    start_time = serializers.DateTimeField()
    end_time = serializers.DateTimeField()
    created_at = serializers.DateTimeField()
    is_confirmed = serializers.BooleanField()


class FieldProblem(serializers.Serializer[Any]):
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
    errors: Any = FieldProblem(many=True, required=False, help_text="With `invalid`.")
    timeslot_id = serializers.IntegerField(required=False, help_text="With `timeslots_overlap`.")
    start_time = serializers.DateTimeField(required=False, help_text="With `timeslots_overlap`.")
    end_time = serializers.DateTimeField(required=False, help_text="With `timeslots_overlap`.")
    earliest_start = serializers.DateTimeField(required=False, help_text="With `notice_too_short`.")


_PERSON = {"first_name": "Ada", "last_name": "Lovelace"}
_SLOT = {"start_time": "2026-12-30T10:00:00Z", "end_time": "2026-12-30T10:15:00Z"}
_TIMESLOT = {"timeslot_id": 1, "provider_id": 1, **_PERSON, **_SLOT, "is_available": True}
_RESERVATION = {
    **{"reservation_id": 1, "timeslot_id": 1, "provider_id": 1, "client_id": 1},
    **_SLOT,
    **{"created_at": "2026-12-28T09:00:00Z", "is_confirmed": False},
}

# --- Refusals ------------------------------------------------------------------------------------

_MEANING = {refusal["code"]: refusal["detail"] for refusal in errors.every_refusal()}
_ANYWHERE = (errors.BodyTooLarge, errors.LengthRequired, errors.Unavailable)
_WITH_A_BODY = (errors.InvalidInput, errors.MalformedJSON, exceptions.UnsupportedMediaType)
_ARGUMENTS: dict[Any, dict[str, Any]] = {
    errors.InvalidInput: {
        "field": "provider_id",
        "code": "required",
        "detail": "This field is required.",
    },
    errors.NoticeTooShort: {"earliest_start": "2026-12-31T09:00:00Z"},
    errors.TimeslotsOverlap: {"timeslot_id": 1, **_SLOT},
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


# --- Operations ----------------------------------------------------------------------------------


def _operation(
    operation_id: str,
    summary: str,
    *,
    tag: str,
    answer: Any,
    example: dict[str, Any],
    status: int = 200,
    request: type[serializers.Serializer[Any]] | None = None,
    request_example: dict[str, Any] | None = None,
    refusals: tuple[type[Any], ...] = (),
    description: str = "",
    parameters: tuple[OpenApiParameter, ...] = (),
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    success = OpenApiResponse(
        answer,
        description="Done.",
        examples=[OpenApiExample("answer", value=example, status_codes=[str(status)])],
    )
    refusals += _ANYWHERE + (_WITH_A_BODY if request else ())
    return extend_schema(
        operation_id=operation_id,
        tags=[tag],
        summary=summary,
        description=description,
        request={"application/json": request} if request else None,
        responses={(status, "application/json"): success, **_refusals(refusals)},
        examples=[OpenApiExample("request", value=request_example, request_only=True)]
        if request
        else None,
        parameters=[
            *parameters,
            OpenApiParameter("Retry-After", int, OpenApiParameter.HEADER, response=[503]),
        ],
    )


_AVAILABLE = inline_serializer("AvailableTimeslots", {"available timeslots": Timeslot(many=True)})

create_provider = _operation(
    "createProvider",
    "Create a provider.",
    tag="provider",
    request=PersonInput,
    request_example=_PERSON,
    status=201,
    answer=Provider,
    example={"provider_id": 1, **_PERSON},
)

create_client = _operation(
    "createClient",
    "Create a client.",
    tag="client",
    request=PersonInput,
    request_example=_PERSON,
    status=201,
    answer=Client,
    example={"client_id": 1, **_PERSON},
)

publish = _operation(
    "publishAvailability",
    "Publish when a provider works.",
    description=(
        "The window is cut into timeslots of 15 minutes: all of them are stored, or none. "
        "A window in the past is accepted; it is never bookable. At most 50,000 timeslots a "
        "request, and at most five years ahead."
    ),
    tag="provider",
    request=AvailabilityInput,
    request_example={"provider_id": 1, **_SLOT},
    status=201,
    answer=_AVAILABLE,
    example={"available timeslots": [_TIMESLOT]},
    refusals=(errors.ProviderNotFound, errors.TimeslotsOverlap),
)

list_bookable = _operation(
    "getProviderAvailability",
    "List a provider's bookable timeslots.",
    description=(
        "Free timeslots that start at least the notice period (24 hours) from now, oldest first. "
        'When there are more than `limit`, the `Link` header names the next page with rel="next".'
    ),
    tag="client",
    parameters=(
        OpenApiParameter(
            "provider_id",
            _FIELDS["IDField"],
            required=True,
            examples=[OpenApiExample("The first provider", value=1)],
        ),
        OpenApiParameter(
            "from", _FIELDS["MomentField"], description="Start at this moment or later."
        ),
        OpenApiParameter("to", _FIELDS["MomentField"], description="Start before this moment."),
        OpenApiParameter(
            "limit",
            {"type": "integer", "minimum": 1, "maximum": 5000, "default": 1000},
            description="At most so many timeslots.",
        ),
        OpenApiParameter("cursor", str, description="From a `Link` header; opaque."),
        OpenApiParameter(
            "Link",
            str,
            OpenApiParameter.HEADER,
            response=[200],
            description='RFC 8288: `<...>; rel="next"` when there is more.',
        ),
    ),
    answer=_AVAILABLE,
    example={"available timeslots": [_TIMESLOT]},
    refusals=(errors.InvalidInput, errors.ProviderNotFound),
)

expire = _operation(
    "expireReservations",
    "Write down which holds ran out (the sweep).",
    description=(
        "For a scheduled job. Returns each released timeslot once, over all sweeps. Those that "
        "start within the notice period are closed and not returned. Any body is ignored."
    ),
    tag="provider",
    answer=inline_serializer(
        "ReleasedTimeslots",
        {"Expired reservations deleted and corresponding timeslots released": Timeslot(many=True)},
    ),
    example={"Expired reservations deleted and corresponding timeslots released": [_TIMESLOT]},
)

reserve = _operation(
    "reserveTimeslot",
    "Hold a timeslot for a client for 30 minutes.",
    tag="client",
    request=ReserveInput,
    request_example={"client_id": 1, "timeslot_id": 1},
    answer=inline_serializer("ReservationScheduled", {"Reservation scheduled": Reservation()}),
    example={"Reservation scheduled": _RESERVATION},
    refusals=(
        errors.ClientNotFound,
        errors.TimeslotNotFound,
        errors.TimeslotTaken,
        errors.NoticeTooShort,
    ),
)

confirm = _operation(
    "confirmReservation",
    "Make a hold firm, within its 30 minutes.",
    tag="client",
    request=ConfirmInput,
    request_example={"client_id": 1, "reservation_id": 1},
    answer=inline_serializer("ReservationConfirmed", {"Reservation is confirmed": Reservation()}),
    example={"Reservation is confirmed": _RESERVATION | {"is_confirmed": True}},
    refusals=(
        errors.NotYourReservation,
        errors.ReservationNotFound,
        errors.AlreadyConfirmed,
        errors.Cancelled,
        errors.HoldExpired,
    ),
)
