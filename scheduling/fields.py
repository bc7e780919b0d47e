"""Fields: a value is exactly what it should be, or refused with a reason."""

import base64
import re
import unicodedata
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import orjson
from dateutil.parser import isoparse
from django.core.exceptions import ValidationError as DjangoValidationError
from django.core.validators import validate_email
from rest_framework import serializers
from rest_framework.exceptions import ValidationError

from . import calendars, outbound, policy
from .models import Reservation, ReservationEvent, WebhookDelivery

LARGEST_ID = 2**63 - 1
# Long enough for every moment and short enough that nothing can be costly about it.
LONGEST_TIME = 40
MOST_DATES = 2000
WALL_CLOCK = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(:[0-9]{2})?")
LONGEST_EMAIL = 254
LONGEST_PASSWORD = 1000
LONGEST_REASON = 500
MOST_IDS = 1000
MOST_PROVIDERS = 100
# Unicode's categories. A letter newer than Python's tables (Cn) is taken for visible.
KIND_OF = {f"reservation.{kind}": kind for kind in ReservationEvent.Kind.values}
EVENT_NAMES = list(KIND_OF)
CONTROL = ("Cc", "Zl", "Zp")
INVISIBLE = (*CONTROL, "Cf", "Zs")


class StrictField(serializers.Field[Any, Any, Any, Any]):
    """A field whose value is exactly what the caller sent or is refused."""

    def to_representation(self, value: Any) -> Any:
        return value


class IDField(StrictField):
    """A positive integer below 2^63, or a string of its digits."""

    default_error_messages = {
        "invalid": "A whole number from 1 to 9223372036854775807 is required.",
    }

    def to_internal_value(self, data: Any) -> int:
        if isinstance(data, str) and re.fullmatch(r"[0-9]{1,19}", data):
            data = int(data)
        if type(data) is not int or not 1 <= data <= LARGEST_ID:
            self.fail("invalid")
        return data


class NameField(StrictField):
    """1 to 100 characters of any script after trimming; no control characters."""

    default_error_messages = {
        "invalid": "A name is a string.",
        "blank": "A name has at least one visible character.",
        "max_length": "A name has at most 100 characters.",
        "control_character": "A name has no control characters.",
    }

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        name = data.strip()
        if any(unicodedata.category(character) in CONTROL for character in name):
            self.fail("control_character")
        if all(unicodedata.category(character) in INVISIBLE for character in name):
            self.fail("blank")
        if len(name) > 100:
            self.fail("max_length")
        return name


class EmailField(StrictField):
    """An e-mail address of ASCII characters; comes out in lower case."""

    default_error_messages = {
        "invalid": "An e-mail address such as ada@example.org is required.",
    }

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str) or len(data) > LONGEST_EMAIL or not data.isascii():
            self.fail("invalid")
        email = data.strip().lower()
        try:
            validate_email(email)
        except DjangoValidationError:
            self.fail("invalid")
        return email


class PasswordField(StrictField):
    """A string, taken as it is; whether it is a good one is asked when an account is made."""

    default_error_messages = {
        "invalid": "A password is a string.",
        "blank": "A password has at least one character.",
        "max_length": "A password has at most 1000 characters.",
    }

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        if not data:
            self.fail("blank")
        if len(data) > LONGEST_PASSWORD:
            self.fail("max_length")
        return data


class TokenField(StrictField):
    default_error_messages = {"invalid": "A token is a string, as it was answered."}

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return data


class MomentField(StrictField):
    """An ISO 8601 date and time; without an offset it is UTC. Comes out in UTC."""

    default_error_messages = {
        "invalid": (
            "A date and a time in ISO 8601 are required, such as 2026-12-30T10:00:00Z "
            "(a + in a URL is written %2B)."
        ),
    }

    def to_internal_value(self, data: Any) -> datetime:
        # isoparse alone would take a date for midnight.
        if (
            not isinstance(data, str)
            or len(data) > LONGEST_TIME
            or not re.match(r"\d{4}-?\d\d-?\d\d[Tt ]\d\d", data, re.ASCII)
        ):
            self.fail("invalid")
        try:
            moment = isoparse(data)
            return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
        except (ValueError, OverflowError):
            self.fail("invalid")


class QuarterHourField(MomentField):
    default_error_messages = {
        "quarter_hour": "Timeslots start and end on quarter hours: :00, :15, :30 or :45, in UTC.",
    }

    def to_internal_value(self, data: Any) -> datetime:
        moment = super().to_internal_value(data)
        if not policy.is_on_the_quarter_hour(moment):
            self.fail("quarter_hour")
        return moment


class SlotMinutesField(StrictField):
    default_error_messages = {"invalid": "A whole number of minutes from 5 to 480 is required."}

    def to_internal_value(self, data: Any) -> int:
        if type(data) is not int or data not in calendars.SLOT_MINUTES:
            self.fail("invalid")
        return data


class OnOverlapField(StrictField):
    default_error_messages = {"invalid": "One of these words is required: reject, skip."}

    def to_internal_value(self, data: Any) -> str:
        if data not in ("reject", "skip"):
            self.fail("invalid")
        return str(data)


class DateField(StrictField):
    default_error_messages = {"invalid": "A date in ISO 8601 is required, such as 2026-12-30."}

    def to_internal_value(self, data: Any) -> date:
        if not isinstance(data, str) or not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", data):
            self.fail("invalid")
        try:
            return date.fromisoformat(data)
        except ValueError:
            self.fail("invalid")


class DatesField(StrictField):
    default_error_messages = {"invalid": "A list of at most 2000 dates is required."}

    def to_internal_value(self, data: Any) -> list[date]:
        if not isinstance(data, list) or len(data) > MOST_DATES:
            self.fail("invalid")
        one = DateField()
        return [one.to_internal_value(each) for each in data]


class WallClockField(StrictField):
    """A date and a time as the clock on the wall shows them: without an offset."""

    default_error_messages = {
        "invalid": "A date and a time without an offset are required, such as 2026-12-30T09:00.",
    }

    def to_internal_value(self, data: Any) -> datetime:
        if not isinstance(data, str) or not WALL_CLOCK.fullmatch(data):
            self.fail("invalid")
        try:
            return datetime.fromisoformat(data)
        except ValueError:
            self.fail("invalid")


class TimeZoneField(StrictField):
    default_error_messages = {"invalid": "The name of a time zone is a string."}

    def to_internal_value(self, data: Any) -> ZoneInfo:
        if not isinstance(data, str):
            self.fail("invalid")
        return calendars.zone_named(data)


class WeekField(StrictField):
    def to_internal_value(self, data: Any) -> Any:
        return calendars.read_week(data)


class RuleField(StrictField):
    default_error_messages = {"invalid": "A rule is a string, such as FREQ=DAILY;COUNT=5."}

    def to_internal_value(self, data: Any) -> calendars.Rule:
        if not isinstance(data, str):
            self.fail("invalid")
        return calendars.read_rule(data)


class SlotMinutesParameter(SlotMinutesField):
    """As SlotMinutesField, in the query of a URL."""

    def to_internal_value(self, data: Any) -> int:
        if not isinstance(data, str) or not re.fullmatch(r"[0-9]{1,3}", data):
            self.fail("invalid")
        return super().to_internal_value(int(data))


class IDsField(StrictField):
    """A list of ids; in the query of a URL, with commas."""

    default_error_messages = {"invalid": "A list of 1 to 1000 ids is required."}

    def to_internal_value(self, data: Any) -> list[int]:
        if isinstance(data, str):
            data = data.split(",")
        if not isinstance(data, list) or not 1 <= len(data) <= MOST_IDS:
            self.fail("invalid")
        one = IDField()
        return [one.to_internal_value(each) for each in data]


class ProviderIDsParameter(IDsField):
    """Fewer, since each provider's timeslots are looked for by themselves."""

    default_error_messages = {"invalid": "1 to 100 ids with commas are required."}

    def to_internal_value(self, data: Any) -> list[int]:
        found = super().to_internal_value(data)
        if len(found) > MOST_PROVIDERS:
            self.fail("invalid")
        return found


class FlagField(StrictField):
    default_error_messages = {"invalid": "One of these words is required: true, false."}

    def to_internal_value(self, data: Any) -> bool:
        # As words in the query of a URL.
        if type(data) is not bool and data not in ("true", "false"):
            self.fail("invalid")
        return data in (True, "true")


class ReasonField(StrictField):
    """Why, for the other party and the history: up to 500 characters; may be empty."""

    default_error_messages = {
        "invalid": "A reason is a string.",
        "max_length": "A reason has at most 500 characters.",
        "control_character": "A reason has no control characters.",
    }

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        reason = data.strip()
        if any(unicodedata.category(character) in CONTROL for character in reason):
            self.fail("control_character")
        if len(reason) > LONGEST_REASON:
            self.fail("max_length")
        return reason


class StatusField(StrictField):
    default_error_messages = {
        "invalid": "One of these words is required: held, confirmed, expired, cancelled.",
    }

    def to_internal_value(self, data: Any) -> str:
        if data not in Reservation.Status.values:
            self.fail("invalid")
        return str(data)


class DeliveryStatusField(StrictField):
    default_error_messages = {
        "invalid": "One of these words is required: pending, delivered, failed.",
    }

    def to_internal_value(self, data: Any) -> str:
        if data not in WebhookDelivery.Status.values:
            self.fail("invalid")
        return str(data)


class WebhookURLField(StrictField):
    """Where to send to; what its name resolves to is looked at with each request."""

    default_error_messages = {"invalid": "A URL is a string."}

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        try:
            outbound.check_url(data)
        except ValueError as refused:
            raise ValidationError(str(refused), code="forbidden_url") from refused
        return data


class KindsField(StrictField):
    """What to be told of, by the names that events have in answers: each once, in our order."""

    default_error_messages = {
        "invalid": "A list of these words is required: {words}.",
    }

    def to_internal_value(self, data: Any) -> list[str]:
        is_list = isinstance(data, list) and all(isinstance(word, str) for word in data)
        if not is_list or not data or not set(data) <= set(KIND_OF):
            self.fail("invalid", words=", ".join(EVENT_NAMES))
        return [kind for word, kind in KIND_OF.items() if word in data]


class LimitField(StrictField):
    default_error_messages = {"invalid": "A whole number from 1 to 5000 is required."}

    def to_internal_value(self, data: Any) -> int:
        if not re.fullmatch(r"[0-9]{1,4}", data) or not 1 <= int(data) <= 5000:
            self.fail("invalid")
        return int(data)


class CursorField(StrictField):
    """Where a list goes on: opaque to callers; within, what the next page begins at."""

    default_error_messages = {"invalid": "Follow the Link header; cursors are not made by hand."}

    def __init__(self, *kinds: type[datetime | int | str], **options: Any) -> None:
        super().__init__(**options)
        self.kinds = kinds

    def to_internal_value(self, data: Any) -> tuple[Any, ...]:
        try:
            parts = orjson.loads(base64.urlsafe_b64decode(data))
            return tuple(
                CURSOR_PARTS[kind](part) for kind, part in zip(self.kinds, parts, strict=True)
            )
        except (ValueError, TypeError, OverflowError, ValidationError):
            self.fail("invalid")

    @staticmethod
    def encode(*parts: datetime | int | str) -> str:
        return base64.urlsafe_b64encode(orjson.dumps(parts)).decode()


def _text(part: Any) -> str:
    if not isinstance(part, str) or "\0" in part:
        raise ValueError
    return part


CURSOR_PARTS: dict[type, Callable[[Any], Any]] = {
    datetime: MomentField().to_internal_value,
    int: IDField().to_internal_value,
    str: _text,
}
