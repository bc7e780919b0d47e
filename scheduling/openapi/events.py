"""/events."""

from scheduling import errors
from scheduling.serializers import EventsQuery

from .answers import EVENTS, RESERVATION
from .operation import operation

events = operation(
    "listEvents",
    "What happened to reservations, in order.",
    description=(
        "Everybody's for staff and machines, otherwise the caller's own. Go on with `after` of the "
        "answer: nothing is ever slipped in before it. What has just been committed can be a "
        "moment late, while transactions that began before it are still running. What has been "
        "archived is not in it."
    ),
    tag="events",
    query=EventsQuery,
    refusals=(errors.HistoryArchived,),
    answer=EVENTS,
    example={
        "events": [
            {
                **{"event_id": 1, "event": "reservation.reserved"},
                **{"happened_at": RESERVATION["created_at"], "caused_by": "client"},
                **{"reason": None, "reservation_id": 1, "timeslot_id": 1},
                **{"provider_id": 1, "client_id": 1},
                **{name: RESERVATION[name] for name in ("start_time", "end_time")},
                "version": 1,
            }
        ],
        "after": "WzEsMV0=",
        "has_more": False,
    },
)
