"""Under /client."""

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import inline_serializer
from rest_framework import exceptions

from scheduling import errors
from scheduling.serializers import (
    BookableQuery,
    CalendarQuery,
    ClientCancelInput,
    ClientProfileInput,
    ClientProfileQuery,
    ClientReservationQuery,
    ClientReservationsQuery,
    ConfirmInput,
    FindQuery,
    PersonInput,
    RescheduleInput,
    ReserveInput,
)

from .answers import (
    AVAILABLE,
    CALENDAR,
    CALENDAR_LINK,
    CANCELLED,
    FULL_RESERVATION,
    LISTED_RESERVATION,
    ONE_RESERVATION,
    PERSON,
    PROFILE,
    RESERVATION,
    RESERVATIONS,
    TIMESLOT,
    Client,
    ClientProfile,
    Reservation,
)
from .operation import ABOUT_ACCOUNTS, ABOUT_LINKS, UNCANCELLABLE, operation

create = operation(
    "createClient",
    "Create a client.",
    description=ABOUT_ACCOUNTS.format(kind="client"),
    refusals=(errors.AlreadyRegistered, errors.EmailTaken, exceptions.Throttled),
    tag="client",
    request=PersonInput,
    requests={"request": PERSON},
    status=201,
    answer=Client,
    example={"client_id": 1, **PERSON},
)

list_bookable = operation(
    "getProviderAvailability",
    "List a provider's bookable timeslots.",
    description=(
        "Free timeslots that start at least the notice period (24 hours) from now, oldest first. "
        'When there are more than `limit`, the `Link` header names the next page with rel="next".'
    ),
    tag="client",
    query=BookableQuery,
    is_paged=True,
    is_tagged=True,
    answer=AVAILABLE,
    example={"available timeslots": [TIMESLOT]},
    refusals=(errors.ProviderNotFound,),
)

reserve = operation(
    "reserveTimeslot",
    "Hold a timeslot for a client for 30 minutes.",
    tag="client",
    request=ReserveInput,
    requests={"request": {"client_id": 1, "timeslot_id": 1}},
    answer=inline_serializer("ReservationScheduled", {"Reservation scheduled": Reservation()}),
    example={"Reservation scheduled": RESERVATION},
    refusals=(
        errors.ClientNotFound,
        errors.TimeslotNotFound,
        errors.TimeslotTaken,
        errors.NoticeTooShort,
        exceptions.Throttled,
        errors.TooManyHolds,
    ),
)

confirm = operation(
    "confirmReservation",
    "Make a hold firm, within its 30 minutes.",
    tag="client",
    request=ConfirmInput,
    requests={"request": {"client_id": 1, "reservation_id": 1}},
    answer=inline_serializer("ReservationConfirmed", {"Reservation is confirmed": Reservation()}),
    example={"Reservation is confirmed": RESERVATION | {"is_confirmed": True}},
    refusals=(
        errors.NotYourReservation,
        errors.ReservationNotFound,
        errors.AlreadyConfirmed,
        errors.Cancelled,
        errors.HoldExpired,
    ),
)

find_timeslots = operation(
    "findTimeslots",
    "The earliest bookable timeslots over all providers.",
    description="Or over those of `provider_ids`; of one length with `slot_minutes`.",
    tag="client",
    query=FindQuery,
    answer=AVAILABLE,
    example={"available timeslots": [TIMESLOT]},
    is_paged=True,
)

cancel = operation(
    "cancelReservation",
    "Cancel a reservation; its timeslot is free again.",
    tag="client",
    request=ClientCancelInput,
    requests={"request": {"client_id": 1, "reservation_id": 1, "reason": "I am on a journey."}},
    answer=CANCELLED,
    example={"Reservation cancelled": RESERVATION},
    refusals=(*UNCANCELLABLE, errors.TooLateToCancel),
    matches=True,
)

reschedule = operation(
    "rescheduleReservation",
    "Move a reservation to another timeslot, all at once.",
    description="It keeps its id and is confirmed if it was; a hold keeps its deadline.",
    tag="client",
    request=RescheduleInput,
    requests={"request": {"client_id": 1, "reservation_id": 1, "timeslot_id": 2}},
    answer=inline_serializer("ReservationRescheduled", {"Reservation rescheduled": Reservation()}),
    example={"Reservation rescheduled": RESERVATION | {"timeslot_id": 2}},
    refusals=(
        *UNCANCELLABLE,
        errors.TooLateToCancel,
        errors.TimeslotNotFound,
        errors.TimeslotTaken,
        errors.NoticeTooShort,
        exceptions.Throttled,
    ),
    matches=True,
)

profile = operation(
    "getClientProfile",
    "A client's names and time zone.",
    method="GET",
    tag="client",
    query=ClientProfileQuery,
    answer=ClientProfile,
    example={"client_id": 1, **PERSON, **PROFILE},
    refusals=(errors.ClientNotFound,),
    is_tagged=True,
)

change_profile = operation(
    "changeClientProfile",
    "Change a client's names or time zone: what is given.",
    method="PUT",
    tag="client",
    request=ClientProfileInput,
    requests={"request": {"client_id": 1, "time_zone": "America/New_York"}},
    answer=ClientProfile,
    example={"client_id": 1, **PERSON, **PROFILE},
    refusals=(errors.ClientNotFound,),
    matches=True,
)

reservation = operation(
    "getReservation",
    "One reservation, as it stands now.",
    tag="client",
    query=ClientReservationQuery,
    answer=ONE_RESERVATION,
    example={"reservation": FULL_RESERVATION},
    refusals=(errors.ReservationNotFound,),
    is_tagged=True,
)

reservations = operation(
    "listReservations",
    "A client's reservations, by start.",
    tag="client",
    query=ClientReservationsQuery,
    answer=RESERVATIONS,
    example={"reservations": [LISTED_RESERVATION]},
    refusals=(errors.ClientNotFound,),
    is_paged=True,
)

make_calendar_link = operation(
    "makeClientCalendarLink",
    "Make the secret link of a client's calendar.",
    method="POST",
    description=ABOUT_LINKS,
    tag="client",
    request=ClientProfileQuery,
    requests={"request": {"client_id": 1}},
    status=201,
    answer=CALENDAR_LINK,
    example={"calendar_link": "https://reservations.example/client/calendar.ics?key=rsc_6cUf..."},
    refusals=(errors.ClientNotFound,),
    stores_answer=False,
)

revoke_calendar_link = operation(
    "revokeClientCalendarLink",
    "Revoke the link of a client's calendar.",
    method="DELETE",
    description="Whether or not there is one. The same member is taken from a JSON body too.",
    tag="client",
    query=ClientProfileQuery,
    status=204,
    answer=None,
    example=None,
    refusals=(errors.ClientNotFound,),
    stores_answer=False,
)

calendar = operation(
    "getClientCalendar",
    "A client's calendar, by its secret link.",
    description=(
        "For calendar apps: each reservation from 90 days back on, those that were cancelled or "
        "expired as cancelled events."
    ),
    tag="client",
    query=CalendarQuery,
    answer=OpenApiTypes.STR,
    example=CALENDAR,
    media_type="text/calendar",
    refusals=(errors.NotFound,),
    by_the_table=False,
    is_tagged=True,
)
