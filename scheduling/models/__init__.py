"""The tables, what the database guarantees of them, and the sets of rows the business speaks of."""

from .accounts import ServiceToken, SignIn
from .answers import StoredAnswer
from .events import ArchivedHistory, ReservationEvent
from .links import CalendarLink
from .notifications import Notification
from .people import Client, Person, Provider, ProviderRow, ProviderState
from .readers import EventReader
from .reservations import Reservation, ReservationRow
from .timeslots import Timeslot, TimeslotRow
from .webhooks import Webhook, WebhookAttempt, WebhookDelivery

__all__ = [
    "ArchivedHistory",
    "CalendarLink",
    "Client",
    "EventReader",
    "Notification",
    "Person",
    "Provider",
    "ProviderRow",
    "ProviderState",
    "Reservation",
    "ReservationEvent",
    "ReservationRow",
    "ServiceToken",
    "SignIn",
    "StoredAnswer",
    "Timeslot",
    "TimeslotRow",
    "Webhook",
    "WebhookAttempt",
    "WebhookDelivery",
]
