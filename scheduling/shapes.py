"""Shapes out: what answers and messages hold, in the order in which people read it."""

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from . import calendars
from .accounts import Pair
from .models import (
    Client,
    Person,
    Provider,
    ProviderRow,
    Reservation,
    ReservationEvent,
    ReservationRow,
    TimeslotRow,
    Webhook,
    WebhookDelivery,
)


def provider_shape(provider: Provider) -> dict[str, Any]:
    return {"provider_id": provider.pk, **_names(provider)}


def client_shape(client: Client) -> dict[str, Any]:
    return {"client_id": client.pk, **_names(client)}


def provider_row_shape(provider: ProviderRow) -> dict[str, Any]:
    provider_id, first_name, last_name, _ = provider
    return {"provider_id": provider_id, "first_name": first_name, "last_name": last_name}


def profile_shape(person: Person) -> dict[str, Any]:
    name = "client_id" if isinstance(person, Client) else "provider_id"
    return {
        name: person.pk,
        **_names(person),
        "time_zone": person.time_zone,
        "is_emailed": person.is_emailed,
    }


def timeslot_shapes(timeslots: list[TimeslotRow]) -> list[dict[str, Any]]:
    return [
        {
            "timeslot_id": pk,
            "provider_id": provider_id,
            "first_name": first_name,
            "last_name": last_name,
            "start_time": start_time,
            "end_time": end_time,
            "is_available": is_free,
        }
        for pk, provider_id, first_name, last_name, start_time, end_time, is_free in timeslots
    ]


def reservation_shape(reservation: Reservation | ReservationRow) -> dict[str, Any]:
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


def full_reservation_shape(reservation: Reservation) -> dict[str, Any]:
    """As the contract has it, and what became of it; null where it has not."""
    return {
        **reservation_shape(reservation),
        "status": reservation.status,
        "expires_at": reservation.expires_at,
        "cancelled_at": reservation.cancelled_at,
        "cancelled_by": reservation.cancelled_by,
        "reason": reservation.reason or None,
    }


def listed_reservation_shape(reservation: Reservation) -> dict[str, Any]:
    return {
        **full_reservation_shape(reservation),
        "provider": _names(reservation.provider),
        "client": _names(reservation.client),
    }


def event_shape(event: ReservationEvent) -> dict[str, Any]:
    return {
        "event_id": event.pk,
        "event": f"reservation.{event.kind}",
        "happened_at": event.happened_at,
        "caused_by": event.caused_by,
        "reason": event.reason or None,
        "reservation_id": event.reservation_id,
        "timeslot_id": event.timeslot_id,
        "provider_id": event.provider_id,
        "client_id": event.client_id,
        "start_time": event.start_time,
        "end_time": event.end_time,
        "version": event.version,
    }


def webhook_shape(webhook: Webhook) -> dict[str, Any]:
    """All but its secret, which is shown only when it is made."""
    return {
        "webhook_id": webhook.pk,
        "provider_id": webhook.provider_id,
        "url": webhook.url,
        "events": [f"reservation.{kind}" for kind in webhook.kinds],
        "is_enabled": not webhook.disabled_because,
        "disabled_because": webhook.disabled_because or None,
        "disabled_at": webhook.disabled_at,
        "created_at": webhook.created_at,
    }


def delivery_shape(delivery: WebhookDelivery) -> dict[str, Any]:
    event = delivery.event
    is_pending = delivery.status == WebhookDelivery.Status.PENDING
    return {
        "delivery_id": delivery.pk,
        "message_id": delivery.webhook_message_id,
        "event": f"reservation.{event.kind}" if event else "webhook.test",
        "event_id": delivery.event_id,
        "reservation_id": delivery.reservation_id,
        "status": delivery.status,
        "created_at": delivery.created_at,
        "next_attempt_at": delivery.next_attempt_at if is_pending else None,
        "finished_at": delivery.finished_at,
        "attempts": [
            {
                "attempted_at": attempt.attempted_at,
                "milliseconds": attempt.milliseconds,
                "status": attempt.status,
                "failure": attempt.failure or None,
                "detail": attempt.detail or None,
                "body": attempt.body,
            }
            for attempt in delivery.attempts.all()
        ],
    }


def in_zone(shapes: list[dict[str, Any]], zone: ZoneInfo | None) -> list[dict[str, Any]]:
    """The same moments, written with the offset that the zone has then."""
    if zone is None:
        return shapes
    return [
        {
            name: calendars.with_offset(value, zone) if isinstance(value, datetime) else value
            for name, value in shape.items()
        }
        for shape in shapes
    ]


def pair_shape(pair: Pair) -> dict[str, str]:
    return {"access": pair.access, "refresh": pair.refresh}


def _names(person: Person) -> dict[str, str]:
    return {"first_name": person.first_name, "last_name": person.last_name}
