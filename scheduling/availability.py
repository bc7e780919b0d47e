"""What providers offer: publishing when they work, withdrawing it, and listing it."""

import logging
from bisect import bisect_left
from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from django.db import IntegrityError, transaction
from django.utils import timezone

from . import errors, policy
from .calendars import Window
from .models import Provider, ProviderState, Reservation, Timeslot, TimeslotRow

logger = logging.getLogger(__name__)

THE_BEGINNING_OF_TIME = datetime.min.replace(tzinfo=UTC)
THE_END_OF_TIME = datetime.max.replace(tzinfo=UTC)


class Page(NamedTuple):
    """A stretch of a list, and the first on the next when there is more."""

    timeslots: list[TimeslotRow]
    goes_on_at: TimeslotRow | None


class Basis(NamedTuple):
    """What a provider's list was made from, in numbers. As long as it holds, so does the list."""

    notice: int  # seconds
    holds_until: int  # microseconds since 1970
    version: int
    availability_version: int
    settled_before: int
    events_since: int


def publish(
    *, provider_id: int, windows: Sequence[Window], skip: bool = False
) -> list[TimeslotRow]:
    """Cut windows into timeslots: all of them or, when one would overlap, none.

    With `skip`, what overlaps a timeslot that is there is left out instead. The windows do not
    overlap each other.
    """
    now = timezone.now()
    if max(window.end_time for window in windows) > policy.farthest_end(now):
        raise errors.InvalidInput(
            field="end_time",
            code="too_far_ahead",
            detail="Publish at most 5 years ahead.",
        )
    try:
        with transaction.atomic():
            # One publisher at a time for each provider: two that overlap would wait for each
            # other inside the exclusion constraint until one is shot as a deadlock.
            provider = _lock(provider_id)
            timeslots = Timeslot.objects.publish(provider, windows, skip=skip)
    except IntegrityError as clash:
        if not any(name in str(clash) for name in Timeslot.OVERLAP_CONSTRAINTS):
            raise
        raise _overlap(provider_id, windows) from None
    logger.info(
        "availability published",
        extra={"provider_id": provider_id, "timeslots": len(timeslots)},
    )
    return timeslots


class Withdrawn(NamedTuple):
    timeslots: list[TimeslotRow]
    cancelled: list[Reservation]


def withdraw(
    *,
    provider_id: int,
    window: tuple[datetime, datetime] | None,
    timeslot_ids: Collection[int] | None,
    cancel_reservations: bool,
    reason: str,
) -> Withdrawn:
    """Remove a provider's timeslots: those that share a moment with the window, or those of these
    ids. All of them or, when one is reserved and that must not be cancelled, none.

    Raises ProviderNotFound, TimeslotNotFound, TimeslotsReserved, or InvalidInput for too many.
    """
    now = timezone.now()
    with transaction.atomic():
        provider = _lock(provider_id)
        # Locked, so that a reserve or a move that meets this waits, and finds them gone.
        timeslots = _lock_timeslots(provider_id, window, timeslot_ids)
        if not timeslots:
            return Withdrawn([], [])
        starts = {
            "provider_id": provider_id,
            "start_time__range": (timeslots[0].start_time, timeslots[-1].start_time),
        }
        removed = Timeslot.objects.filter(**starts)
        reservations = Reservation.objects.unfinished().filter(**starts)
        if timeslot_ids is not None:
            removed = removed.filter(pk__in=timeslot_ids)
            reservations = reservations.filter(timeslot_id__in=timeslot_ids)
        locked = list(reservations.select_for_update().order_by("pk"))
        live = [reservation for reservation in locked if not reservation.is_overdue(now)]
        if live and not cancel_reservations:
            raise errors.TimeslotsReserved(
                timeslot_ids=[reservation.timeslot_id for reservation in live],
                reservation_ids=[reservation.pk for reservation in live],
            )
        reservations.overdue(now).expire(now)
        reservations.cancel(by=Reservation.Party.PROVIDER, reason=reason, now=now)
        removed.delete()
    for reservation in live:
        reservation.status = Reservation.Status.CANCELLED
    logger.info(
        "availability withdrawn",
        extra={
            "provider_id": provider_id,
            "timeslots": len(timeslots),
            "cancelled": len(live),
        },
    )
    names = provider.first_name, provider.last_name
    return Withdrawn(
        [
            TimeslotRow(one.pk, provider_id, *names, one.start_time, one.end_time, is_free=False)
            for one in timeslots
        ],
        live,
    )


def list_bookable(
    *,
    provider_id: int,
    start_from: datetime | None,
    start_before: datetime | None,
    goes_on_at: tuple[datetime, int] | None,
    limit: int,
) -> tuple[Page, Basis]:
    """The provider's free timeslots that start at least the notice period ahead, oldest first.

    Raises ProviderNotFound.
    """
    now = timezone.now()
    earliest_start = policy.earliest_start(now)
    bookable = Timeslot.objects.bookable(
        provider_id=provider_id,
        # No two start together, so the start alone says where a page begins.
        start_from=max(goes_on_at[0] if goes_on_at else start_from or now, earliest_start),
        start_before=start_before or THE_END_OF_TIME,
        limit=limit + 1,
        now=now,
    )
    if bookable is None:
        raise errors.ProviderNotFound
    found, state, next_lapse = bookable
    # The clock alone changes it when its first timeslot comes too close, or when a hold lapses.
    turns = [policy.last_listed(row.start_time) for row in found[:1]]
    turns += [next_lapse] if next_lapse else []
    holds_until = _microseconds(min(turns, default=THE_END_OF_TIME))
    basis = Basis(policy.notice_seconds(), holds_until, *state)
    return _page(found, limit), basis


def may_hold(basis: Basis) -> bool:
    """Whether the list is the same still unless something was changed."""
    is_before = basis.holds_until >= _microseconds(timezone.now())
    return is_before and basis.notice == policy.notice_seconds()


def still_holds(basis: Basis, *, provider_id: int) -> bool:
    """Whether the list that was made from it is the same still, by one cheap statement."""
    if not may_hold(basis):
        return False
    _, _, *state = basis
    return Provider.objects.is_still(ProviderState(*state), provider_id)


def list_timeslots(
    *,
    provider_id: int,
    start_from: datetime | None,
    start_before: datetime | None,
    goes_on_at: tuple[datetime, int] | None,
    limit: int,
) -> Page:
    """All timeslots of the provider's, past ones too, oldest first, each free or not.

    Raises ProviderNotFound.
    """
    now = timezone.now()
    found = Timeslot.objects.of_provider(
        provider_id=provider_id,
        start_from=goes_on_at[0] if goes_on_at else start_from or THE_BEGINNING_OF_TIME,
        start_before=start_before or THE_END_OF_TIME,
        limit=limit + 1,
        now=now,
    )
    if found is None:
        raise errors.ProviderNotFound
    return _page(found, limit)


def find_timeslots(
    *,
    start_from: datetime | None,
    start_before: datetime | None,
    slot: timedelta | None,
    provider_ids: Collection[int] | None,
    goes_on_at: tuple[datetime, int] | None,
    limit: int,
) -> Page:
    """The earliest bookable timeslots of all providers, or of these; of this length, or of any."""
    now = timezone.now()
    earliest_start = policy.earliest_start(now)
    found = Timeslot.objects.find(
        start_from=max(start_from or earliest_start, earliest_start),
        start_before=start_before or THE_END_OF_TIME,
        slot=slot,
        provider_ids=provider_ids,
        goes_on_at=goes_on_at,
        limit=limit + 1,
        now=now,
    )
    return _page(found, limit)


def _microseconds(moment: datetime) -> int:
    return (moment - policy.EPOCH) // timedelta(microseconds=1)


def _page(found: list[TimeslotRow], limit: int) -> Page:
    return Page(found[:limit], goes_on_at=found[limit] if len(found) > limit else None)


def _lock(provider_id: int) -> Provider:
    provider = Provider.objects.lock_availability(provider_id)
    if provider is None:
        raise errors.ProviderNotFound
    return provider


def _lock_timeslots(
    provider_id: int,
    window: tuple[datetime, datetime] | None,
    timeslot_ids: Collection[int] | None,
) -> list[Timeslot]:
    """Those asked for, oldest first; until commit nobody reserves them or moves onto them."""
    if window is not None:
        asked = Timeslot.objects.overlapping(provider_id, *window)
    else:
        asked = Timeslot.objects.filter(provider_id=provider_id, pk__in=timeslot_ids or ())
    found = list(asked.select_for_update().order_by("pk")[: policy.MOST_TIMESLOTS + 1])
    if len(found) > policy.MOST_TIMESLOTS:
        raise errors.InvalidInput(
            field="end_time",
            code="too_many_timeslots",
            detail="One request removes at most 50,000 timeslots.",
        )
    if missing := set(timeslot_ids or ()) - {timeslot.pk for timeslot in found}:
        raise errors.TimeslotNotFound(
            f"This provider has no timeslot {min(missing)}. Nothing was removed."
        )
    return sorted(found, key=lambda timeslot: timeslot.start_time)


def _overlap(provider_id: int, windows: Sequence[Window]) -> errors.TimeslotsOverlap:
    spans = sorted(windows)
    taken = Timeslot.objects.overlapping(provider_id, spans[0].start_time, spans[-1].end_time)
    first = next(
        (timeslot for timeslot in taken.iterator() if _is_in_one_of(spans, timeslot)), None
    )
    if first is None:  # withdrawn since
        return errors.TimeslotsOverlap()
    return errors.TimeslotsOverlap(
        f"Timeslot {first.pk} of this provider already covers {first.start_time:%Y-%m-%d %H:%M} "
        f"to {first.end_time:%H:%M} UTC. Nothing was stored.",
        timeslot_id=first.pk,
        start_time=first.start_time,
        end_time=first.end_time,
    )


def _is_in_one_of(spans: list[Window], timeslot: Timeslot) -> bool:
    """Whether it shares a moment with one of these windows, which are in order and apart."""
    nth = bisect_left(spans, timeslot.end_time, key=lambda window: window.start_time) - 1
    return nth >= 0 and spans[nth].end_time > timeslot.start_time
