"""What is sent: the fields, and who sends it."""

from typing import Any

from django.conf import settings
from drf_spectacular.extensions import (
    OpenApiAuthenticationExtension,
    OpenApiSerializerExtension,
    OpenApiSerializerFieldExtension,
)

from scheduling import permissions
from scheduling.fields import EVENT_NAMES

_NO_CONTROL = r"\u0000-\u001f\u007f-\u009f\u2028\u2029"
_TIME = "ISO 8601; any offset is turned into UTC, none means UTC."
_QUARTER_HOUR = {
    "type": "string",
    "format": "date-time",
    "pattern": (
        r"^\d{4}-\d\d-\d\dT\d\d:(00|15|30|45)(:00(\.0{1,6})?)?(Z|[+-]\d\d:(00|15|30|45))?$"
    ),
    "description": f"On a quarter hour. {_TIME}",
}
_WEEK = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_HOURS = {
    "type": "string",
    "pattern": (
        r"^(([01]\d|2[0-3]):[0-5]\d-(([01]\d|2[0-3]):[0-5]\d|24:00)"
        r"|([1-9]|1[0-2])(:[0-5]\d)?(am|pm)-([1-9]|1[0-2])(:[0-5]\d)?(am|pm))$"
    ),
}
FIELDS: dict[str, dict[str, Any]] = {
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
    "EmailField": {
        "type": "string",
        "format": "email",
        "maxLength": 254,
        "description": "Unique whatever its case. With a password it makes an account.",
    },
    "PasswordField": {
        "type": "string",
        "format": "password",
        "minLength": 1,
        "maxLength": 1000,
        "description": "Of an account, as it is: nothing is trimmed.",
    },
    "TokenField": {"type": "string", "description": "As it was answered."},
    "QuarterHourField": _QUARTER_HOUR,
    "SlotMinutesField": {"type": "integer", "minimum": 5, "maximum": 480},
    "OnOverlapField": {"type": "string", "enum": ["reject", "skip"]},
    "DateField": {"type": "string", "format": "date"},
    "DatesField": {
        "type": "array",
        "maxItems": 2000,
        "items": {"type": "string", "format": "date"},
        "description": "Days without any window.",
    },
    "TimeZoneField": {
        "type": "string",
        "maxLength": 40,
        "description": "The IANA name of the zone whose clock is meant, such as America/New_York.",
    },
    "WeekField": {
        "type": "object",
        "properties": {day: {"type": "array", "items": _HOURS, "maxItems": 96} for day in _WEEK},
        "additionalProperties": False,
        "minProperties": 1,
        "description": "Windows of each weekday on the clock of the zone.",
    },
    "WallClockField": {
        "type": "string",
        "pattern": r"^\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?$",
        "description": "On the clock of the zone, without an offset.",
    },
    "RuleField": {
        "type": "string",
        "maxLength": 1000,
        "description": "RFC 5545: DAILY, WEEKLY or MONTHLY, ending by COUNT or UNTIL.",
    },
    "RangesField": {
        "type": "array",
        "minItems": 1,
        "maxItems": 100,
        "items": {
            "type": "object",
            "properties": {
                "start_time": _QUARTER_HOUR,
                "end_time": _QUARTER_HOUR,
                "slot_minutes": {"type": "integer", "minimum": 5, "maximum": 480},
            },
            "required": ["start_time", "end_time"],
        },
        "description": "Windows that do not overlap each other.",
    },
    "MomentField": {"type": "string", "format": "date-time", "description": _TIME},
    "IDsField": {
        "type": "string",
        "pattern": "^[1-9][0-9]{0,17}(,[1-9][0-9]{0,17}){0,999}$",
        "description": "Up to 1000 ids with commas; in a body, a list of them.",
    },
    "ProviderIDsParameter": {
        "type": "string",
        "pattern": "^[1-9][0-9]{0,17}(,[1-9][0-9]{0,17}){0,99}$",
        "description": "Up to 100 ids with commas.",
    },
    "SlotMinutesParameter": {"type": "integer", "minimum": 5, "maximum": 480},
    "LimitField": {
        "type": "integer",
        "minimum": 1,
        "maximum": 5000,
        "default": 1000,
        "description": "At most so many.",
    },
    "CursorField": {"type": "string", "description": "From a `Link` header; opaque."},
    "StatusField": {"$ref": "#/components/schemas/ReservationStatus"},
    "FlagField": {"type": "boolean"},
    "DeliveryStatusField": {"$ref": "#/components/schemas/DeliveryStatus"},
    "WebhookURLField": {
        "type": "string",
        "format": "uri",
        "pattern": "^https://",
        "maxLength": 2000,
        "description": "Where to send to, by https; only to the public internet.",
    },
    "KindsField": {
        "type": "array",
        "items": {"type": "string", "enum": EVENT_NAMES},
        "minItems": 1,
        "description": "What to be told of; unless given, everything.",
    },
    "ReasonField": {
        "type": "string",
        "maxLength": 500,
        "pattern": rf"^[^{_NO_CONTROL}]*$",
        "description": "Why; kept with the history.",
    },
}


class _StrictFields(OpenApiSerializerFieldExtension):  # type: ignore[no-untyped-call]
    target_class = "scheduling.fields.StrictField"
    match_subclasses = True

    def map_serializer_field(self, auto_schema: Any, direction: str) -> dict[str, Any]:
        return dict(FIELDS[type(self.target).__name__])


class _Person(OpenApiSerializerExtension):  # type: ignore[no-untyped-call]
    target_class = "scheduling.serializers.PersonInput"

    def map_serializer(self, auto_schema: Any, direction: Any) -> dict[str, Any]:
        shape: dict[str, Any] = auto_schema._map_serializer(
            self.target, direction, bypass_extensions=True
        )
        shape["properties"]["password"] |= {
            "minLength": 8,
            "description": (
                "At least 8 characters, not digits alone, not common, not like the name or e-mail "
                "address."
            ),
        }
        shape["dependentRequired"] = {"email": ["password"], "password": ["email"]}
        return shape


class _Bearer(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "scheduling.authentication.BearerAuthentication"
    name = "bearer"

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:
        return {
            "type": "http",
            "scheme": "bearer",
            "description": "An access token from /auth/token, or a service token.",
        }

    def get_security_requirement(self, auto_schema: Any) -> list[dict[str, list[Any]]]:
        if settings.AUTHENTICATION == "open":
            return []
        anybody = permissions.anybody_may(type(auto_schema.view).__name__)
        return [{"bearer": []}, {}] if anybody else [{"bearer": []}]


def any_of_the_forms(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """A postprocessing hook: a body may look like two forms and is still one of them; and it must
    be one."""
    availability = result["components"]["schemas"]["Availability"]
    availability["anyOf"] = availability.pop("oneOf")
    result["paths"]["/provider/availability"]["post"]["requestBody"]["required"] = True
    return result
