"""What is answered, with an example of each."""

from typing import Any

from drf_spectacular.extensions import OpenApiSerializerFieldExtension
from drf_spectacular.plumbing import ResolvedComponent
from drf_spectacular.utils import inline_serializer
from rest_framework import serializers

from scheduling import errors
from scheduling.fields import EVENT_NAMES

RESERVATION_STATUSES = ["held", "confirmed", "expired", "cancelled"]
DELIVERY_STATUSES = ["pending", "delivered", "failed"]
CODES = list(dict.fromkeys(refusal["code"] for refusal in errors.every_refusal()))


class Provider(serializers.Serializer[Any]):
    provider_id = serializers.IntegerField()
    first_name = serializers.CharField()
    last_name = serializers.CharField()


class NewClient(serializers.Serializer[Any]):  # Client is what clients made from this call theirs
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


class FullReservation(Reservation):
    status = serializers.ChoiceField(RESERVATION_STATUSES)
    expires_at = serializers.DateTimeField(help_text="Until when a hold can be confirmed.")
    cancelled_at = serializers.DateTimeField(allow_null=True)
    cancelled_by = serializers.ChoiceField(["client", "provider"], allow_null=True)
    reason = serializers.CharField(allow_null=True, help_text="Why it was cancelled.")


class Names(serializers.Serializer[Any]):
    first_name = serializers.CharField()
    last_name = serializers.CharField()


class ListedReservation(FullReservation):
    provider = Names()
    client = Names()


class ProviderProfile(Provider):
    time_zone = serializers.CharField(help_text="IANA; UTC unless set.")
    is_emailed = serializers.BooleanField(help_text="Told by e-mail, if there is an address.")


class ClientProfile(NewClient):
    time_zone = serializers.CharField(help_text="IANA; UTC unless set.")
    is_emailed = serializers.BooleanField(help_text="Told by e-mail, if there is an address.")


class ReservationEvent(serializers.Serializer[Any]):
    event_id = serializers.IntegerField(help_text="Unique; not in the order of the list.")
    event = serializers.ChoiceField(EVENT_NAMES)
    happened_at = serializers.DateTimeField()
    caused_by = serializers.ChoiceField(["client", "provider", "service"])
    reason = serializers.CharField(allow_null=True)
    reservation_id = serializers.IntegerField()
    timeslot_id = serializers.IntegerField()
    provider_id = serializers.IntegerField()
    client_id = serializers.IntegerField()
    start_time = serializers.DateTimeField()
    end_time = serializers.DateTimeField()
    version = serializers.IntegerField(help_text="Of the reservation after it.")


class Webhook(serializers.Serializer[Any]):
    webhook_id = serializers.IntegerField()
    provider_id = serializers.IntegerField(allow_null=True, help_text="Null: everybody's events.")
    url = serializers.CharField()
    events: Any = serializers.ListField(child=serializers.ChoiceField(EVENT_NAMES))
    is_enabled = serializers.BooleanField()
    disabled_because = serializers.ChoiceField(["owner", "failing", "gone"], allow_null=True)
    disabled_at = serializers.DateTimeField(allow_null=True)
    created_at = serializers.DateTimeField()


class Attempt(serializers.Serializer[Any]):
    attempted_at = serializers.DateTimeField()
    milliseconds = serializers.IntegerField()
    status = serializers.IntegerField(allow_null=True, help_text="Null: there was no answer.")
    failure = serializers.CharField(allow_null=True, help_text="Why not, in a word.")
    detail = serializers.CharField(allow_null=True, help_text="Why not, in a sentence.")
    body = serializers.CharField(help_text="How the answer began.")


class Delivery(serializers.Serializer[Any]):
    delivery_id = serializers.IntegerField()
    message_id = serializers.CharField(help_text="As sent in `webhook-id`.")
    event = serializers.CharField()
    event_id = serializers.IntegerField(allow_null=True)
    reservation_id = serializers.IntegerField(allow_null=True)
    status = serializers.ChoiceField(DELIVERY_STATUSES)
    created_at = serializers.DateTimeField()
    next_attempt_at = serializers.DateTimeField(allow_null=True)
    finished_at = serializers.DateTimeField(allow_null=True)
    attempts: Any = Attempt(many=True)


class Tokens(serializers.Serializer[Any]):
    access = serializers.CharField(help_text="For `Authorization: Bearer`; lasts 15 minutes.")
    refresh = serializers.CharField(help_text="For the next pair, once; lasts 14 days.")


class CodeField(serializers.CharField):
    """Of a refusal."""


class _Codes(OpenApiSerializerFieldExtension):  # type: ignore[no-untyped-call]
    """A type of its own for clients made from the schema. Beside it stands any string: to one made
    before a code was added, that code is to be another refusal and not an answer it cannot read."""

    target_class = CodeField

    def map_serializer_field(self, auto_schema: Any, direction: str) -> dict[str, Any]:
        codes = ResolvedComponent(  # type: ignore[no-untyped-call]
            name="Code",
            type=ResolvedComponent.SCHEMA,
            schema={"type": "string", "enum": CODES, "description": "Explained at /problems."},
            object="Code",
        )
        auto_schema.registry.register_on_missing(codes)
        return {
            "anyOf": [codes.ref, {"type": "string"}],
            "description": "What is the case. More may be added; none changes.",
        }


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
    code = CodeField()
    errors: Any = FieldProblem(many=True, required=False, help_text="With `invalid`.")
    timeslot_id = serializers.IntegerField(required=False, help_text="With `timeslots_overlap`.")
    start_time = serializers.DateTimeField(required=False, help_text="With `timeslots_overlap`.")
    end_time = serializers.DateTimeField(required=False, help_text="With `timeslots_overlap`.")
    earliest_start = serializers.DateTimeField(required=False, help_text="With `notice_too_short`.")
    max_holds = serializers.IntegerField(required=False, help_text="With `too_many_holds`.")
    timeslot_ids: Any = serializers.ListField(
        child=serializers.IntegerField(), required=False, help_text="With `timeslots_reserved`."
    )
    reservation_ids: Any = serializers.ListField(
        child=serializers.IntegerField(), required=False, help_text="With `timeslots_reserved`."
    )


ACCOUNT = {"email": "ada@example.org", "password": "a long sentence is good"}
PERSON = {"first_name": "Ada", "last_name": "Lovelace"}
PROFILE = {"time_zone": "America/New_York", "is_emailed": True}
SLOT = {"start_time": "2026-12-30T10:00:00Z", "end_time": "2026-12-30T10:15:00Z"}
TIMESLOT = {"timeslot_id": 1, "provider_id": 1, **PERSON, **SLOT, "is_available": True}
RESERVATION = {
    **{"reservation_id": 1, "timeslot_id": 1, "provider_id": 1, "client_id": 1},
    **SLOT,
    **{"created_at": "2026-12-28T09:00:00Z", "is_confirmed": False},
}

FULL_RESERVATION = {
    **RESERVATION,
    **{"status": "held", "expires_at": "2026-12-28T09:30:00Z"},
    **{"cancelled_at": None, "cancelled_by": None, "reason": None},
}
LISTED_RESERVATION = {
    **FULL_RESERVATION,
    "provider": PERSON,
    "client": {"first_name": "Alan", "last_name": "Turing"},
}

# Named so that none is called as its only member: clients made from the schema mix the two up.
AVAILABLE = inline_serializer(
    "AvailableTimeslotsAnswer", {"available timeslots": Timeslot(many=True)}
)
ONE_RESERVATION = inline_serializer("ReservationAnswer", {"reservation": FullReservation()})
RESERVATIONS = inline_serializer(
    "ReservationsAnswer", {"reservations": ListedReservation(many=True)}
)
CANCELLED = inline_serializer(
    "ReservationCancelledAnswer", {"Reservation cancelled": Reservation()}
)
EVENTS = inline_serializer(
    "EventsAnswer",
    {
        "events": ReservationEvent(many=True),
        "after": serializers.CharField(allow_null=True, help_text="Where to go on, now or later."),
        "has_more": serializers.BooleanField(help_text="There is more already."),
    },
)
CALENDAR_LINK = inline_serializer("CalendarLinkAnswer", {"calendar_link": serializers.URLField()})
CALENDAR = (
    "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//reservation-service//calendar feed//EN\r\n"
    "METHOD:PUBLISH\r\nX-WR-CALNAME:Reservations of Ada Lovelace\r\nEND:VCALENDAR\r\n"
)
