"""Under /provider."""

from drf_spectacular.utils import PolymorphicProxySerializer, inline_serializer

from scheduling import errors
from scheduling.parties import Party
from scheduling.serializers import (
    ProviderCancelInput,
    ProviderReservationQuery,
    ProviderReservationsQuery,
    ProvidersQuery,
    ProviderTimeslotsQuery,
    RangesInput,
    RecurringInput,
    WeeklyInput,
    WindowInput,
    WithdrawInput,
)

from . import parties
from .answers import (
    AVAILABLE,
    CANCELLED,
    FULL_RESERVATION,
    LISTED_RESERVATION,
    ONE_RESERVATION,
    PERSON,
    RESERVATION,
    RESERVATIONS,
    SLOT,
    TIMESLOT,
    Provider,
    Reservation,
    Timeslot,
)
from .operation import UNCANCELLABLE, operation

create = parties.create(Party.PROVIDER)

timeslots = operation(
    "listTimeslotsOfProvider",
    "A provider's own timeslots, free or not, by start.",
    method="GET",
    description=(
        "All of them, past ones too, with `is_available` where one is free; how soon it starts "
        "does not matter, so not every free one is bookable. Those that start from `from` on and "
        "before `to`."
    ),
    tag="provider",
    query=ProviderTimeslotsQuery,
    answer=inline_serializer("TimeslotsAnswer", {"timeslots": Timeslot(many=True)}),
    example={"timeslots": [TIMESLOT | {"is_available": False}]},
    refusals=(errors.ProviderNotFound,),
    is_paged=True,
)

publish = operation(
    "publishAvailability",
    "Publish when a provider works.",
    method="POST",
    description=(
        "A window, several `ranges`, `weekly` hours or a window that recurs by an `rrule`; the "
        "last two on the clock of `time_zone`, the provider's own unless given. They are cut into "
        "timeslots of `slot_minutes`, 15 unless given: all of them are stored, or none. With "
        "`on_overlap` of `skip`, what exists stays and the rest is stored. A window in the past is "
        "accepted; it is never bookable. At most 50,000 timeslots a request, and at most five "
        "years ahead."
    ),
    tag="provider",
    request=PolymorphicProxySerializer(
        component_name="Availability",
        serializers=[WindowInput, RangesInput, WeeklyInput, RecurringInput],
        resource_type_field_name=None,
    ),
    requests={
        "One window": {"provider_id": 1, **SLOT},
        "Several ranges": {
            "provider_id": 1,
            "ranges": [
                {"start_time": "2026-12-30T11:00:00Z", "end_time": "2026-12-30T12:00:00Z"},
                {
                    "start_time": "2026-12-31T11:00:00Z",
                    "end_time": "2026-12-31T12:00:00Z",
                    "slot_minutes": 30,
                },
            ],
        },
        "Hours of a week": {
            "provider_id": 1,
            "weekly": {"monday": ["09:00-12:00", "1pm-5pm"]},
            "from_date": "2027-03-01",
            "until_date": "2027-06-30",
            "except_dates": ["2027-05-31"],
            "time_zone": "America/New_York",
            "slot_minutes": 20,
        },
        "A rule": {
            "provider_id": 1,
            "start_time": "2027-03-02T09:00",
            "end_time": "2027-03-02T10:00",
            "rrule": "FREQ=WEEKLY;BYDAY=TU,TH;COUNT=10",
            "time_zone": "Europe/Berlin",
            "on_overlap": "skip",
        },
    },
    status=201,
    answer=AVAILABLE,
    example={"available timeslots": [TIMESLOT]},
    refusals=(errors.ProviderNotFound, errors.TimeslotsOverlap),
)

expire = operation(
    "expireReservations",
    "Write down which holds ran out (the sweep).",
    description=(
        "For a scheduled job. Returns each released timeslot once, over all sweeps. Those that "
        "start within the notice period are closed and not returned. Any body is ignored."
    ),
    tag="provider",
    answer=inline_serializer(
        "ReleasedTimeslotsAnswer",
        {"Expired reservations deleted and corresponding timeslots released": Timeslot(many=True)},
    ),
    example={"Expired reservations deleted and corresponding timeslots released": [TIMESLOT]},
)

withdraw = operation(
    "withdrawAvailability",
    "Remove timeslots.",
    method="DELETE",
    description=(
        "Those that share a moment with a window (`start_time` and `end_time`), or those of "
        "`timeslot_ids`; at most 50,000. When clients have reserved some, nothing is removed "
        "unless `cancel_reservations` is true. The history of reservations stays. The same "
        "members are taken from a JSON body too."
    ),
    tag="provider",
    query=WithdrawInput,
    answer=inline_serializer(
        "RemovedTimeslotsAnswer",
        {
            "removed timeslots": Timeslot(many=True),
            "cancelled reservations": Reservation(many=True),
        },
    ),
    example={
        "removed timeslots": [TIMESLOT | {"is_available": False}],
        "cancelled reservations": [RESERVATION],
    },
    refusals=(errors.ProviderNotFound, errors.TimeslotNotFound, errors.TimeslotsReserved),
)

profile = parties.profile(Party.PROVIDER)

change_profile = parties.change_profile(Party.PROVIDER)

list_providers = operation(
    "listProviders",
    "Find providers by name.",
    description=(
        "In the order of their names. With `name`, those whose first or last name begins so, "
        "whatever its case."
    ),
    tag="provider",
    query=ProvidersQuery,
    answer=inline_serializer("ProvidersAnswer", {"providers": Provider(many=True)}),
    example={"providers": [{"provider_id": 1, **PERSON}]},
    is_paged=True,
)

reservation = operation(
    "getReservationAsProvider",
    "One reservation, as it stands now.",
    tag="provider",
    query=ProviderReservationQuery,
    answer=ONE_RESERVATION,
    example={"reservation": FULL_RESERVATION},
    refusals=(errors.ReservationNotFound,),
    is_tagged=True,
)

reservations = operation(
    "listReservationsOfProvider",
    "A provider's reservations, by start.",
    tag="provider",
    query=ProviderReservationsQuery,
    answer=RESERVATIONS,
    example={"reservations": [LISTED_RESERVATION]},
    refusals=(errors.ProviderNotFound,),
    is_paged=True,
)

cancel = operation(
    "cancelReservationAsProvider",
    "Cancel a reservation; its timeslot is free again.",
    tag="provider",
    request=ProviderCancelInput,
    requests={"request": {"provider_id": 1, "reservation_id": 1, "reason": "I am ill."}},
    answer=CANCELLED,
    example={"Reservation cancelled": RESERVATION},
    refusals=UNCANCELLABLE,
    matches=True,
)

make_calendar_link = parties.make_calendar_link(Party.PROVIDER)

revoke_calendar_link = parties.revoke_calendar_link(Party.PROVIDER)

calendar = parties.calendar(Party.PROVIDER)
