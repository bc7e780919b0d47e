"""Shapes in (types, ranges, formats) and shapes out. Nothing here asks the database."""

import base64
import binascii
import re
import unicodedata
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from dateutil.parser import isoparse
from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail

from . import policy
from .models import Client, Person, Provider, Reservation, TimeslotRow

LARGEST_ID = 2**63 - 1
# Long enough for every moment and short enough that nothing can be costly about it.
LONGEST_TIME = 40
# Unicode's categories. A letter newer than Python's tables (Cn) is taken for visible.
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


class LimitField(StrictField):
    default_error_messages = {"invalid": "A whole number from 1 to 5000 is required."}

    def to_internal_value(self, data: Any) -> int:
        if not re.fullmatch(r"[0-9]{1,4}", data) or not 1 <= int(data) <= 5000:
            self.fail("invalid")
        return int(data)


class CursorField(StrictField):
    """Where a list goes on: opaque to callers, the next start within."""

    default_error_messages = {"invalid": "Follow the Link header; cursors are not made by hand."}

    def to_internal_value(self, data: Any) -> datetime:
        try:
            moment = datetime.fromisoformat(base64.urlsafe_b64decode(data).decode("ascii"))
            return moment.astimezone(UTC)
        except (ValueError, OverflowError, binascii.Error):
            self.fail("invalid")

    @staticmethod
    def encode(next_start: datetime) -> str:
        return base64.urlsafe_b64encode(next_start.isoformat().encode()).decode()


class PersonInput(serializers.Serializer[Any]):
    first_name = NameField()
    last_name = NameField()


class AvailabilityInput(serializers.Serializer[Any]):
    provider_id = IDField()
    start_time = QuarterHourField()
    end_time = QuarterHourField()

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        start_time, end_time = attrs["start_time"], attrs["end_time"]
        if end_time <= start_time:
            raise _invalid("end_time", "end_before_start", "The end comes after the start.")
        if policy.count_of_timeslots(start_time, end_time) > policy.MOST_TIMESLOTS:
            raise _invalid(
                "end_time", "too_many_timeslots", "One request makes at most 50,000 timeslots."
            )
        return attrs


class BookableQuery(serializers.Serializer[Any]):
    provider_id = IDField()
    start_from = MomentField(required=False, default=None)
    start_before = MomentField(required=False, default=None)
    limit = LimitField(required=False, default=1000)
    cursor = CursorField(required=False, default=None)

    def get_fields(self) -> dict[str, Any]:
        # `from` is a word of Python's, so the two are declared by their meaning.
        names = {"start_from": "from", "start_before": "to"}
        return {names.get(name, name): field for name, field in super().get_fields().items()}

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        start_from, start_before = attrs["from"], attrs["to"]
        if start_from and start_before and start_before <= start_from:
            raise _invalid("to", "end_before_start", "`to` comes after `from`.")
        return {
            "provider_id": attrs["provider_id"],
            "start_from": attrs["cursor"] or start_from,
            "start_before": start_before,
            "limit": attrs["limit"],
        }


class ReserveInput(serializers.Serializer[Any]):
    client_id = IDField()
    timeslot_id = IDField()


class ConfirmInput(serializers.Serializer[Any]):
    client_id = IDField()
    reservation_id = IDField()


def provider_shape(provider: Provider) -> dict[str, Any]:
    return {"provider_id": provider.pk, **_names(provider)}


def client_shape(client: Client) -> dict[str, Any]:
    return {"client_id": client.pk, **_names(client)}


def timeslot_shapes(timeslots: list[TimeslotRow]) -> list[dict[str, Any]]:
    """Timeslots that are free: every answer that lists timeslots lists free ones."""
    return [
        {
            "timeslot_id": timeslot_id,
            "provider_id": provider_id,
            "first_name": first_name,
            "last_name": last_name,
            "start_time": start_time,
            "end_time": end_time,
            "is_available": True,
        }
        for timeslot_id, provider_id, first_name, last_name, start_time, end_time in timeslots
    ]


def reservation_shape(reservation: Reservation) -> dict[str, Any]:
    return {
        "reservation_id": reservation.pk,
        "timeslot_id": reservation.timeslot_id,
        "provider_id": reservation.provider_id,
        "client_id": reservation.client_id,
        "start_time": reservation.start_time,
        "end_time": reservation.end_time,
        "created_at": reservation.created_at,
        "is_confirmed": reservation.status == Reservation.Status.CONFIRMED,
    }


def _names(person: Person) -> dict[str, str]:
    return {"first_name": person.first_name, "last_name": person.last_name}


def _invalid(field: str, code: str, detail: str) -> serializers.ValidationError:
    errors: Mapping[str, Any] = {field: [ErrorDetail(detail, code=code)]}
    return serializers.ValidationError(errors)
