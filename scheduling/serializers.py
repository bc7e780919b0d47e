"""Shapes in: types, ranges, formats. Nothing here asks the database."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

from django.contrib.auth.models import User
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError as DjangoValidationError
from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail

from . import calendars, errors
from .calendars import Window
from .fields import (
    CursorField,
    DateField,
    DatesField,
    DeliveryStatusField,
    EmailField,
    FlagField,
    IDField,
    IDsField,
    KindsField,
    LimitField,
    MomentField,
    NameField,
    OnOverlapField,
    PasswordField,
    ProviderIDsParameter,
    QuarterHourField,
    ReasonField,
    RuleField,
    SlotMinutesField,
    SlotMinutesParameter,
    StatusField,
    StrictField,
    TimeZoneField,
    TokenField,
    WallClockField,
    WebhookURLField,
    WeekField,
)
from .models import ReservationEvent

MOST_RANGES = 100
PROFILE = ("first_name", "last_name", "time_zone", "is_emailed")


class Shape(serializers.Serializer[Any]):
    """Made once for each class: the framework makes one for each request and copies every field,
    which cost more than to validate them, a sixth of a list. None of them keeps anything."""

    @classmethod
    def read(cls, data: Any) -> dict[str, Any]:
        """What is given, valid. Raises ValidationError."""
        return dict(_of(cls).run_validation(data))


@cache
def _of(shape: type[Shape]) -> Shape:
    return shape()


class NamesInput(Shape):
    """Of a person for an account that is signed in."""

    first_name = NameField()
    last_name = NameField()

    def run_validation(self, data: Any = serializers.empty) -> Any:
        valid = super().run_validation(data)
        if given := {"email", "password"} & set(data):
            raise _invalid(
                min(given), "signed_in", "No account is made by who is signed in: leave it out."
            )
        return valid


class PersonInput(Shape):
    first_name = NameField()
    last_name = NameField()
    email = EmailField(required=False, default=None)
    password = PasswordField(required=False, default=None)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        missing = [name for name in ("email", "password") if attrs[name] is None]
        if len(missing) == 1:
            raise _invalid(missing[0], "required", "E-mail and password belong together.")
        if not missing:
            _require_good_password(**attrs)
        return attrs


class AccountInput(PersonInput):
    """Of somebody who signs up: without an account nobody could act as the person."""

    email = EmailField()
    password = PasswordField()


class SignInInput(Shape):
    email = EmailField()
    password = PasswordField()


class RefreshInput(Shape):
    refresh = TokenField()


class Availability(Shape):
    """What every way of saying when a provider works has in common.

    Of what is valid, `windows` says it in real time; `zone` matters where there is a `time_zone`.
    """

    provider_id = IDField()
    slot_minutes = SlotMinutesField(required=False, default=15)
    on_overlap = OnOverlapField(required=False, default="reject")

    def run_validation(self, data: Any = serializers.empty) -> Any:
        valid = super().run_validation(data)
        # A time_zone without the rrule it was meant for would be passed over in silence.
        if strays := set(data) & MEMBERS - set(self.fields):
            raise _invalid(
                min(strays), "one_form", "It belongs to another way to say it; give one."
            )
        slot, skip = timedelta(minutes=valid["slot_minutes"]), valid["on_overlap"] == "skip"
        return valid | {"slot": slot, "skip": skip}

    @staticmethod
    def windows(given: dict[str, Any], zone: ZoneInfo) -> list[Window]:
        raise NotImplementedError


class WindowInput(Availability):
    """One window: the contract's plain form."""

    start_time = QuarterHourField()
    end_time = QuarterHourField()

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        return _require_order(attrs)

    @staticmethod
    def windows(given: dict[str, Any], zone: ZoneInfo) -> list[Window]:
        window = Window(given["start_time"], given["end_time"], given["slot"])
        calendars.require_publishable([window], field="end_time")
        return [window]


class RangeInput(Shape):
    start_time = QuarterHourField()
    end_time = QuarterHourField()
    slot_minutes = SlotMinutesField(required=False, default=None)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        return _require_order(attrs)


class RangesField(StrictField):
    default_error_messages = {"invalid": "A list of 1 to 100 ranges is required."}

    def to_internal_value(self, data: Any) -> list[Window]:
        if not isinstance(data, list) or not 1 <= len(data) <= MOST_RANGES:
            self.fail("invalid")
        return [self._window(nth, each) for nth, each in enumerate(data)]

    def _window(self, nth: int, data: Any) -> Window:
        if not isinstance(data, Mapping):
            raise errors.InvalidInput(
                field=f"ranges[{nth}]",
                code="invalid",
                detail="An object with start_time and end_time is required.",
            )
        try:
            one = RangeInput.read(data)
        except serializers.ValidationError as refused:
            problems: Any = refused.detail
            field, [problem, *_] = next(iter(problems.items()))
            raise errors.InvalidInput(
                field=f"ranges[{nth}].{field}", code=problem.code, detail=str(problem)
            ) from None
        slot = timedelta(minutes=one["slot_minutes"] or 0)
        return Window(one["start_time"], one["end_time"], slot)


class RangesInput(Availability):
    """Several windows at once."""

    ranges = RangesField()

    @staticmethod
    def windows(given: dict[str, Any], zone: ZoneInfo) -> list[Window]:
        windows = [one._replace(slot=one.slot or given["slot"]) for one in given["ranges"]]
        calendars.require_publishable(windows, field="ranges")
        return windows


class WeeklyInput(Availability):
    """The hours of each weekday, from one date to another, on the clock of a time zone."""

    weekly = WeekField()
    from_date = DateField()
    until_date = DateField()
    except_dates = DatesField(required=False, default=())
    time_zone = TimeZoneField(required=False, default=None)

    @staticmethod
    def windows(given: dict[str, Any], zone: ZoneInfo) -> list[Window]:
        return calendars.weekly_windows(
            week=given["weekly"],
            from_date=given["from_date"],
            until_date=given["until_date"],
            except_dates=given["except_dates"],
            zone=zone,
            slot=given["slot"],
        )


class RecurringInput(Availability):
    """A window on the clock of a time zone that recurs by a rule of RFC 5545."""

    start_time = WallClockField()
    end_time = WallClockField()
    rrule = RuleField()
    time_zone = TimeZoneField(required=False, default=None)

    @staticmethod
    def windows(given: dict[str, Any], zone: ZoneInfo) -> list[Window]:
        return calendars.recurring_windows(
            start=given["start_time"],
            end=given["end_time"],
            rule=given["rrule"],
            zone=zone,
            slot=given["slot"],
        )


FORMS = {"ranges": RangesInput, "weekly": WeeklyInput, "rrule": RecurringInput}
MEMBERS = {name for form in (WindowInput, *FORMS.values()) for name in form._declared_fields}


def availability_form(data: Any) -> type[Availability]:
    """By the one member that only this way of saying it has; the plain form has none."""
    return next((form for name, form in FORMS.items() if name in data), WindowInput)


class WithdrawInput(Shape):
    provider_id = IDField()
    start_time = MomentField(required=False, default=None)
    end_time = MomentField(required=False, default=None)
    timeslot_ids = IDsField(required=False, default=None)
    cancel_reservations = FlagField(required=False, default=False)
    reason = ReasonField(required=False, default="")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        window = attrs.pop("start_time"), attrs.pop("end_time")
        edges = dict(zip(("start_time", "end_time"), window, strict=True))
        given = [name for name, edge in edges.items() if edge is not None]
        if attrs["timeslot_ids"] is not None and given:
            raise _invalid(given[0], "one_form", "Give a window or timeslot_ids, not both.")
        if attrs["timeslot_ids"] is None and len(given) < 2:
            [missing, *_] = [name for name in edges if name not in given]
            raise _invalid(
                missing, "required", "Give start_time and end_time, or else timeslot_ids."
            )
        if given:
            _require_order(edges)
        return attrs | {"window": window if given else None}


class ProviderProfileQuery(Shape):
    provider_id = IDField()


class ClientProfileQuery(Shape):
    client_id = IDField()


class CalendarQuery(Shape):
    key = TokenField()


class ProfileInput(Shape):
    """What is left out stays as it is."""

    first_name = NameField(required=False)
    last_name = NameField(required=False)
    time_zone = TimeZoneField(required=False)
    is_emailed = FlagField(required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        changes = {name: attrs.pop(name) for name in PROFILE if name in attrs}
        if "time_zone" in changes:
            changes["time_zone"] = str(changes["time_zone"])
        if not changes:
            raise _invalid("body", "nothing_to_change", f"Give some of {', '.join(PROFILE)}.")
        return changes


class ProviderProfileInput(ProfileInput):
    provider_id = IDField()


class ClientProfileInput(ProfileInput):
    client_id = IDField()


class ListQuery(Shape):
    """What every list by time takes."""

    start_from = MomentField(required=False, default=None)
    start_before = MomentField(required=False, default=None)
    limit = LimitField(required=False, default=1000)
    cursor = CursorField(datetime, int, required=False, default=None)
    time_zone = TimeZoneField(required=False, default=None)

    def get_fields(self) -> dict[str, Any]:
        # `from` is a word of Python's, so the two are declared by their meaning.
        names = {"start_from": "from", "start_before": "to"}
        return {names.get(name, name): field for name, field in super().get_fields().items()}

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        start_from, start_before = attrs.pop("from"), attrs.pop("to")
        if start_from and start_before and start_before <= start_from:
            raise _invalid("to", "end_before_start", "`to` comes after `from`.")
        return attrs | {
            "start_from": start_from,
            "start_before": start_before,
            "goes_on_at": attrs.pop("cursor"),
        }


class BookableQuery(ListQuery):
    provider_id = IDField()


class ProviderTimeslotsQuery(ListQuery):
    provider_id = IDField()


class FindQuery(ListQuery):
    slot_minutes = SlotMinutesParameter(required=False, default=None)
    provider_ids = ProviderIDsParameter(required=False, default=None)


class ReservationsQuery(ListQuery):
    status = StatusField(required=False, default=None)


class ClientReservationsQuery(ReservationsQuery):
    client_id = IDField()


class ProviderReservationsQuery(ReservationsQuery):
    provider_id = IDField()


class EventsQuery(Shape):
    provider_id = IDField(required=False, default=None)
    client_id = IDField(required=False, default=None)
    after = CursorField(int, int, required=False, default=None)
    limit = LimitField(required=False, default=1000)


class WebhookInput(Shape):
    provider_id = IDField(required=False, default=None)
    url = WebhookURLField()
    # Called, or the schema would show what the database calls them.
    events = KindsField(required=False, default=lambda: ReservationEvent.Kind.values)


class WebhookChangeInput(Shape):
    """What is left out stays as it is."""

    webhook_id = IDField()
    url = WebhookURLField(required=False)
    events = KindsField(required=False)
    is_enabled = FlagField(required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if len(attrs) == 1:
            raise _invalid("body", "nothing_to_change", "Give some of url, events and is_enabled.")
        return attrs


class WebhookQuery(Shape):
    webhook_id = IDField()


class WebhooksQuery(Shape):
    provider_id = IDField(required=False, default=None)
    limit = LimitField(required=False, default=1000)
    cursor = CursorField(int, required=False, default=None)


class DeliveriesQuery(WebhookQuery):
    status = DeliveryStatusField(required=False, default=None)
    limit = LimitField(required=False, default=1000)
    cursor = CursorField(int, required=False, default=None)


class ReplayInput(WebhookQuery):
    delivery_id = IDField(required=False, default=None)


class ProvidersQuery(Shape):
    name = NameField(required=False, default=str)  # called, since "" cannot be sent
    limit = LimitField(required=False, default=1000)
    cursor = CursorField(str, int, required=False, default=None)


class ReservationQuery(Shape):
    reservation_id = IDField()


class ClientReservationQuery(ReservationQuery):
    client_id = IDField(required=False, default=None)


class ProviderReservationQuery(ReservationQuery):
    provider_id = IDField(required=False, default=None)


class ReserveInput(Shape):
    client_id = IDField()
    timeslot_id = IDField()


class ConfirmInput(Shape):
    client_id = IDField()
    reservation_id = IDField()


class ClientCancelInput(ClientReservationQuery):
    reason = ReasonField(required=False, default="")


class ProviderCancelInput(ProviderReservationQuery):
    reason = ReasonField(required=False, default="")


class RescheduleInput(ConfirmInput):
    timeslot_id = IDField()


def _require_good_password(*, first_name: str, last_name: str, email: str, password: str) -> None:
    try:
        validate_password(password, User(first_name=first_name, last_name=last_name, email=email))
    except DjangoValidationError as weak:
        reasons = [
            ErrorDetail(" ".join(reason.messages), code=str(reason.code))
            for reason in weak.error_list
        ]
        raise serializers.ValidationError({"password": reasons}) from None


def _require_order(attrs: dict[str, Any]) -> dict[str, Any]:
    if attrs["end_time"] <= attrs["start_time"]:
        raise _invalid("end_time", "end_before_start", "The end comes after the start.")
    return attrs


def _invalid(field: str, code: str, detail: str) -> serializers.ValidationError:
    errors: Mapping[str, Any] = {field: [ErrorDetail(detail, code=code)]}
    return serializers.ValidationError(errors)
