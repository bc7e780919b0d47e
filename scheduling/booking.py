"""What a client does: reserve a timeslot, and confirm it before the hold's deadline."""

import logging
from datetime import datetime

from django.db import transaction
from django.utils import timezone

from . import errors, policy
from .models import Client, Reservation, Timeslot

logger = logging.getLogger(__name__)


def reserve(*, client_id: int, timeslot_id: int) -> Reservation:
    """Hold a timeslot for a client until the hold's deadline."""
    now = timezone.now()
    reservation = _hold(client_id, timeslot_id, now)
    if reservation is None:
        reservation = _take_over(client_id, timeslot_id, now)
    logger.info(
        "reservation held",
        extra={"reservation_id": reservation.pk, "timeslot_id": timeslot_id},
    )
    return reservation


def confirm(*, client_id: int, reservation_id: int) -> Reservation:
    """Make a hold firm; at its deadline itself that is still possible."""
    now = timezone.now()
    reservation = Reservation.objects.confirm(
        reservation_id=reservation_id, client_id=client_id, now=now
    )
    if reservation is None:
        raise _why_not_confirmed(client_id, reservation_id)
    logger.info("reservation confirmed", extra={"reservation_id": reservation.pk})
    return reservation


def _hold(client_id: int, timeslot_id: int, now: datetime) -> Reservation | None:
    return Reservation.objects.hold(
        client_id=client_id,
        timeslot_id=timeslot_id,
        earliest_start=policy.earliest_reservable_start(now),
        deadline=policy.hold_deadline(now),
        now=now,
    )


def _take_over(client_id: int, timeslot_id: int, now: datetime) -> Reservation:
    """Say why the timeslot is refused, or hold it in place of an overdue hold.

    Such a hold has no effect, but until it is written down as expired it is in the index that
    guards the timeslot. In one transaction: a refused reserve must not have expired anything.
    """
    timeslot = _require_reservable(client_id, timeslot_id, now)
    with transaction.atomic():
        Reservation.objects.on(timeslot).overdue(now).update(status=Reservation.Status.EXPIRED)
        reservation = _hold(client_id, timeslot_id, now)
        if reservation is None:  # somebody was faster
            raise errors.TimeslotTaken
    return reservation


def _require_reservable(client_id: int, timeslot_id: int, now: datetime) -> Timeslot:
    if not Client.objects.filter(pk=client_id).exists():
        raise errors.ClientNotFound
    timeslot = Timeslot.objects.filter(pk=timeslot_id).first()
    if timeslot is None:
        raise errors.TimeslotNotFound
    if timeslot.start_time < policy.earliest_reservable_start(now):
        earliest_start = policy.earliest_start(now)
        raise errors.NoticeTooShort(
            "This timeslot starts too soon. Reservations can be made for timeslots that start at "
            f"{earliest_start:%Y-%m-%d %H:%M:%S} UTC or later.",
            earliest_start=earliest_start,
        )
    if Reservation.objects.on(timeslot).live(now).exists():
        raise errors.TimeslotTaken
    return timeslot


def _why_not_confirmed(client_id: int, reservation_id: int) -> errors.Refusal:
    reservation = Reservation.objects.filter(pk=reservation_id).first()
    if reservation is None:
        return errors.ReservationNotFound()
    if reservation.client_id != client_id:
        return errors.NotYourReservation()
    if reservation.status == Reservation.Status.CONFIRMED:
        return errors.AlreadyConfirmed()
    if reservation.status == Reservation.Status.CANCELLED:
        return errors.Cancelled()
    return errors.HoldExpired()
