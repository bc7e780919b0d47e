"""Reservations: reserve a timeslot, confirm it before the hold's deadline, cancel it, move it.

Whoever locks more than one row does so in this order: provider, client, timeslot, reservation.
"""

import logging
from collections.abc import Collection
from datetime import datetime
from typing import NamedTuple

from django.db import IntegrityError, transaction
from django.utils import timezone

from . import errors, parties, policy
from .models import Client, Reservation, ReservationRow, Timeslot

logger = logging.getLogger(__name__)

MOVED = [
    *("timeslot", "provider", "start_time", "end_time"),
    *("version", "changed_at", "changed_by"),
]


class Page(NamedTuple):
    """A stretch of a list, and the start and id of the first on the next when there is more."""

    reservations: list[Reservation]
    goes_on_at: tuple[datetime, int] | None


def reserve(*, client_id: int, timeslot_id: int) -> ReservationRow:
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


def confirm(*, client_id: int, reservation_id: int) -> ReservationRow:
    """Make a hold firm; at its deadline itself that is still possible."""
    now = timezone.now()
    reservation = Reservation.objects.confirm(
        reservation_id=reservation_id, client_id=client_id, now=now
    )
    if reservation is None:
        raise _why_not_confirmed(client_id, reservation_id)
    logger.info("reservation confirmed", extra={"reservation_id": reservation.pk})
    return reservation


def cancel(
    *,
    reservation_id: int,
    by: Reservation.Party,
    party_id: int | None,
    reason: str,
    versions: Collection[int] | None,
) -> Reservation:
    """Give a live reservation up, for its client or its provider; its timeslot is free again.

    With `party_id`, only one of that client or provider. With `versions`, only if it is still at
    one of them. Raises ReservationNotFound, ChangedMeanwhile, Cancelled, HoldExpired, or
    TooLateToCancel, which holds for clients alone.
    """
    now = timezone.now()
    with transaction.atomic():
        reservation = _lock_live(reservation_id, by, party_id, versions, now)
        if by is Reservation.Party.CLIENT:
            _require_cancellable(reservation, now)
        Reservation.objects.filter(pk=reservation.pk).cancel(by=by, reason=reason, now=now)
        reservation.refresh_from_db()
    logger.info("reservation cancelled", extra={"reservation_id": reservation_id, "by": by.value})
    return reservation


def reschedule(
    *,
    client_id: int,
    reservation_id: int,
    timeslot_id: int,
    versions: Collection[int] | None,
) -> tuple[Reservation, int]:
    """Move a client's live reservation to another free timeslot; a hold keeps its deadline. Returns
    it, and the id of the provider whose timeslot it leaves.

    Raises what `cancel` raises, since the old timeslot is given up, and what `reserve` raises of
    the new one; then the reservation stays where it is.
    """
    now = timezone.now()
    with transaction.atomic():
        timeslot = Timeslot.objects.select_for_update().filter(pk=timeslot_id).first()
        reservation = _lock_live(reservation_id, Reservation.Party.CLIENT, client_id, versions, now)
        _require_cancellable(reservation, now)
        if reservation.timeslot_id == timeslot_id:
            raise errors.TimeslotTaken("This reservation is for that timeslot already.")
        if timeslot is not None:
            # Before the look, so that it sees a confirm that came in the last moment.
            Reservation.objects.on(timeslot).overdue(now).expire(now)
        timeslot = _require_reservable(timeslot, now)
        former_provider_id = reservation.provider_id
        reservation.timeslot = timeslot
        reservation.provider_id = timeslot.provider_id
        reservation.start_time, reservation.end_time = timeslot.start_time, timeslot.end_time
        reservation.version += 1
        reservation.changed_at, reservation.changed_by = now, Reservation.Party.CLIENT
        reservation.save(update_fields=MOVED)
    logger.info(
        "reservation rescheduled",
        extra={"reservation_id": reservation_id, "timeslot_id": timeslot_id},
    )
    return reservation, former_provider_id


def get(*, reservation_id: int, party: Reservation.Party, party_id: int | None) -> Reservation:
    """As it stands now; with `party_id`, only one of that client or provider.

    Raises ReservationNotFound.
    """
    of_party = Reservation.objects.of(party, party_id)
    return _found(of_party.filter(pk=reservation_id).first()).as_of(timezone.now())


def list_reservations(
    *,
    party: Reservation.Party,
    party_id: int,
    status: str | None,
    start_from: datetime | None,
    start_before: datetime | None,
    goes_on_at: tuple[datetime, int] | None,
    limit: int,
) -> Page:
    """What a client or a provider has, by start, each with both parties' names.

    Raises ClientNotFound or ProviderNotFound.
    """
    now = timezone.now()
    asked = Reservation.objects.of(party, party_id).from_key(goes_on_at)
    if status is not None:
        asked = asked.in_status(status, now)
    if start_from is not None:
        asked = asked.filter(start_time__gte=start_from)
    if start_before is not None:
        asked = asked.filter(start_time__lt=start_before)
    found = list(asked.select_related("client", "provider")[: limit + 1])
    if not found:
        parties.require(party, party_id)
    more = found[limit:]
    return Page(
        [reservation.as_of(now) for reservation in found[:limit]],
        goes_on_at=(more[0].start_time, more[0].pk) if more else None,
    )


def _hold(client_id: int, timeslot_id: int, now: datetime) -> ReservationRow | None:
    try:
        return Reservation.objects.hold(
            client_id=client_id,
            timeslot_id=timeslot_id,
            earliest_start=policy.earliest_reservable_start(now),
            deadline=policy.hold_deadline(now),
            max_holds=policy.max_holds_per_client(),
            now=now,
        )
    except IntegrityError as violated:
        if Reservation.ON_ITS_TIMESLOT not in str(violated):
            raise
        raise errors.TimeslotNotFound from None  # withdrawn while the statement ran


def _take_over(client_id: int, timeslot_id: int, now: datetime) -> ReservationRow:
    """Say why the timeslot is refused, or hold it in place of an overdue hold.

    Such a hold has no effect, but until it is written down as expired it is in the index that
    guards the timeslot. In one transaction: a refused reserve must not have expired anything.
    """
    if not Client.objects.filter(pk=client_id).exists():
        raise errors.ClientNotFound
    timeslot = _require_reservable(Timeslot.objects.filter(pk=timeslot_id).first(), now)
    with transaction.atomic():
        if policy.max_holds_per_client():
            # As in the statement of reserve, the client before anything of the timeslot: two
            # reserves of one client in opposite orders would wait for each other.
            Client.objects.select_for_update(no_key=True).get(pk=client_id)
        if not Timeslot.objects.select_for_update(no_key=True).filter(pk=timeslot_id):
            raise errors.TimeslotNotFound
        Reservation.objects.on(timeslot).overdue(now).expire(now)
        reservation = _hold(client_id, timeslot_id, now)
        if reservation is None:
            raise _why_not_held(timeslot, now)
    return reservation


def _lock_live(
    reservation_id: int,
    party: Reservation.Party,
    party_id: int | None,
    versions: Collection[int] | None,
    now: datetime,
) -> Reservation:
    """The reservation, if it is live and as expected; until commit nobody else changes it."""
    found = Reservation.objects.of(party, party_id).select_for_update()
    reservation = _found(found.filter(pk=reservation_id).first()).as_of(now)
    if versions is not None and reservation.version not in versions:
        raise errors.ChangedMeanwhile
    if reservation.status == Reservation.Status.CANCELLED:
        raise errors.Cancelled
    if reservation.status == Reservation.Status.EXPIRED:
        raise errors.HoldExpired
    return reservation


def _found(reservation: Reservation | None) -> Reservation:
    if reservation is None:
        raise errors.ReservationNotFound
    return reservation


def _require_cancellable(reservation: Reservation, now: datetime) -> None:
    if now > policy.latest_cancellation(reservation.start_time):
        raise errors.TooLateToCancel


def _require_reservable(timeslot: Timeslot | None, now: datetime) -> Timeslot:
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


def _why_not_held(timeslot: Timeslot, now: datetime) -> errors.Refusal:
    max_holds = policy.max_holds_per_client()
    somebody_was_faster = Reservation.objects.on(timeslot).live(now).exists()
    if somebody_was_faster or not max_holds:
        return errors.TimeslotTaken()
    return errors.TooManyHolds(
        f"A client's unconfirmed reservations are limited to {max_holds} at a time. "
        "Confirm one or let it lapse.",
        max_holds=max_holds,
    )


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
