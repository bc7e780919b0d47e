"""Under /client."""

from drf_spectacular.utils import inline_serializer
from rest_framework import exceptions

from scheduling import errors
from scheduling.parties import Party
from scheduling.serializers import (
    BookableQuery,
    ClientCancelInput,
    ClientReservationQuery,
    ClientReservationsQuery,
    ConfirmInput,
    FindQuery,
    RescheduleInput,
    ReserveInput,
)

from . import parties
from .answers import (
    AVAILABLE,
    CANCELLED,
    FULL_RESERVATION,
    LISTED_RESERVATION,
    ONE_RESERVATION,
    RESERVATION,
    RESERVATIONS,
    TIMESLOT,
    Reservation,
)
from .operation import UNCANCELLABLE, operation

create = parties.create(Party.CLIENT)

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
    answer=inline_serializer(
        "ReservationScheduledAnswer", {"Reservation scheduled": Reservation()}
    ),
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
    answer=inline_serializer(
        "ReservationConfirmedAnswer", {"Reservation is confirmed": Reservation()}
    ),
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
    answer=inline_serializer(
        "ReservationRescheduledAnswer", {"Reservation rescheduled": Reservation()}
    ),
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

profile = parties.profile(Party.CLIENT)

change_profile = parties.change_profile(Party.CLIENT)

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

make_calendar_link = parties.make_calendar_link(Party.CLIENT)

revoke_calendar_link = parties.revoke_calendar_link(Party.CLIENT)

calendar = parties.calendar(Party.CLIENT)
