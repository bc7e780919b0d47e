"""The past moves out of the service's database: timeslots, finished reservations, their events.

Each batch is copied and committed there before what is found there is deleted here. So a row is
in one place or, for a moment, in both, whenever a run is killed and however many run at once.
"""

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any, NamedTuple, TypeVar

from django.db import models, transaction
from django.db.models import Exists, F, Min, OuterRef, Q, QuerySet
from django.utils import timezone

from scheduling import policy
from scheduling.models import (
    ArchivedHistory,
    Client,
    EventReader,
    Notification,
    Provider,
    Reservation,
    ReservationEvent,
    Timeslot,
    Webhook,
    WebhookDelivery,
)

from . import store
from .models import (
    ArchivedClient,
    ArchivedEvent,
    ArchivedProvider,
    ArchivedReservation,
    ArchivedTimeslot,
)
from .router import DATABASE

logger = logging.getLogger(__name__)

BATCH = 500
FINISHED = ("confirmed", "expired", "cancelled")  # of what is over
NOWHERE = (-(2**63), 0)
IS_BEHIND = """(scheduling_archivedhistory.transaction_id, scheduling_archivedhistory.event_id)
             > (excluded.transaction_id, excluded.event_id)"""

M = TypeVar("M", bound=models.Model)
R = TypeVar("R", Reservation, Timeslot)


class Needs(NamedTuple):
    """Which events stay: those that are too young, and those that are news to somebody yet."""

    young_since: datetime
    news_since: datetime  # what happened before, webhooks and people are not told any more
    passed_on: tuple[int, int]

    def hold(self, event: ReservationEvent) -> bool:
        is_news = event.position > self.passed_on and event.happened_at >= self.news_since
        return event.happened_at >= self.young_since or is_news


class Copied(NamedTuple):
    """What the analytics database has of a batch, as it reads after that was committed."""

    reservations: set[tuple[int, int]]  # with their versions
    events: set[int]


def archive(
    *, older_than: timedelta, should_stop: Callable[[], bool] = lambda: False
) -> dict[str, int]:
    """Move what was over so long ago and has not changed since; how much of what.

    A reservation stays while it is needed: until webhooks and people have been told all of it that
    they are to be told, and as long as what was sent to them is kept. Raises AnalyticsAway.
    """
    now = timezone.now()
    cutoff = now - older_than
    store.prepare()
    moved = Counter(reservations=0, events=0, timeslots=0, needed=0)
    needs = _needs(cutoff, now)
    for batch in _batches(_old_reservations(cutoff), "provider_id", "start_time", "pk"):
        if should_stop():
            break
        moved.update(_move_reservations(batch, needs))
    for free in _batches(_free_timeslots(cutoff), "start_time", "pk"):
        if should_stop():
            break
        moved.update(_move_timeslots(free))
    logger.info("archived", extra={"archived": dict(moved)})
    return moved


def _old_reservations(cutoff: datetime) -> QuerySet[Reservation]:
    # By the start too: the index has that.
    is_over = Q(start_time__lt=cutoff, end_time__lt=cutoff, changed_at__lt=cutoff)
    return Reservation.objects.filter(is_over, status__in=FINISHED)


def _free_timeslots(cutoff: datetime) -> QuerySet[Timeslot]:
    """Those whose reservations have left: with one that is held or confirmed, a timeslot stays."""
    unfinished = Reservation.objects.unfinished().filter(
        provider_id=OuterRef("provider_id"),
        # By the start too, or all of the provider's would be read for each.
        start_time=OuterRef("start_time"),
        timeslot_id=OuterRef("pk"),
    )
    return Timeslot.objects.filter(~Exists(unfinished), start_time__lt=cutoff, end_time__lt=cutoff)


def _needs(cutoff: datetime, now: datetime) -> Needs:
    webhooks = Webhook.objects.aggregate(oldest=Min("created_at"))
    return Needs(
        young_since=cutoff,
        news_since=min(policy.oldest_news(now), webhooks["oldest"] or now),
        passed_on=min((reader.position for reader in EventReader.objects.all()), default=NOWHERE),
    )


def _batches(rows: QuerySet[R], *keys: str) -> Iterator[list[R]]:
    """In the order of these keys, each read when the one before is done with."""
    rows = rows.order_by(*keys)
    batch = list(rows[:BATCH])
    while batch:
        yield batch
        beyond = Q()
        same: dict[str, Any] = {}
        for key in keys:
            value = getattr(batch[-1], key)
            beyond |= Q(**same, **{f"{key}__gt": value})
            same[key] = value
        on_from = {f"{keys[0]}__gte": same[keys[0]]}  # for the index
        batch = list(rows.filter(beyond, **on_from)[:BATCH])


def _move_reservations(batch: list[Reservation], needs: Needs) -> dict[str, int]:
    events = _events_of(batch)
    needed = _told(events) | {event.reservation_id for event in events if needs.hold(event)}
    going = [reservation for reservation in batch if reservation.pk not in needed]
    if not going:
        return {"needed": len(batch)}
    events = [event for event in events if event.reservation_id not in needed]
    copied = _copy(going, events)
    return {"needed": len(batch) - len(going), **_delete(going, events, copied)}


def _events_of(reservations: list[Reservation]) -> list[ReservationEvent]:
    # By the client as well, who is always the same: there is an index of that.
    clients = {reservation.client_id for reservation in reservations}
    ids = [reservation.pk for reservation in reservations]
    events = ReservationEvent.objects.filter(client_id__in=clients, reservation_id__in=ids)
    return list(events.order_by("pk"))


def _told(events: list[ReservationEvent]) -> set[int]:
    """The reservations of which there is something sent, or to be sent, to webhooks or people."""
    of_events = Q(event_id__in=[event.pk for event in events])
    return {
        reservation_id
        for kind in (WebhookDelivery, Notification)
        for reservation_id in kind._default_manager.filter(of_events).values_list(
            "event__reservation_id", flat=True
        )
    }


def _copy(reservations: list[Reservation], events: list[ReservationEvent]) -> Copied:
    rows: list[Reservation | ReservationEvent] = [*reservations, *events]
    clients = {row.client_id for row in rows}
    providers = _providers({row.provider_id for row in rows})
    people = _as(ArchivedClient, Client.objects.filter(pk__in=clients))
    with store.reached(), transaction.atomic(using=DATABASE):
        store.put(providers)
        store.put(people, unless="client.is_forgotten")
        # Known once the rows of the clients are locked: who forgets one locks that first as well.
        forgotten = set(
            ArchivedClient.objects.filter(pk__in=clients, is_forgotten=True).values_list(
                "pk", flat=True
            )
        )
        for row in rows:
            if row.client_id in forgotten:
                row.reason = ""
        store.put(
            _as(ArchivedReservation, reservations),
            unless="reservation.version > excluded.version",
        )
        store.put(_as(ArchivedEvent, events))
    with store.reached():
        there = ArchivedReservation.objects.filter(pk__in=[one.pk for one in reservations])
        events_there = ArchivedEvent.objects.filter(pk__in=[one.pk for one in events])
        return Copied(
            set(there.values_list("pk", "version")), set(events_there.values_list("pk", flat=True))
        )


def _delete(
    reservations: list[Reservation], events: list[ReservationEvent], copied: Copied
) -> dict[str, int]:
    """Here, what is there: as it is now, all of it and unchanged."""
    rows: list[Reservation | ReservationEvent] = [*reservations, *events]
    with transaction.atomic():
        # While they are locked, no event is passed on.
        list(EventReader.objects.select_for_update().order_by("pk"))
        # The tags of their lists count events: let none be taken for an older one.
        whose = Provider.objects.filter(pk__in={row.provider_id for row in rows})
        list(whose.select_for_update(no_key=True).order_by("pk"))
        whose.update(availability_version=F("availability_version") + 1)
        same = Reservation.objects.filter(pk__in=[one.pk for one in reservations])
        locked = list(same.select_for_update().order_by("pk"))
        events = _events_of(locked)
        stays = _told(events) | {
            one.reservation_id for one in events if one.pk not in copied.events
        }
        going = {
            one.pk
            for one in locked
            if (one.pk, one.version) in copied.reservations and one.pk not in stays
        }
        events = [event for event in events if event.reservation_id in going]
        store.put(_marks(events), unless=IS_BEHIND)
        ReservationEvent.objects.filter(pk__in=[event.pk for event in events]).delete()
        same.filter(pk__in=going).delete()
    return {"reservations": len(going), "events": len(events)}


def _marks(events: list[ReservationEvent]) -> list[ArchivedHistory]:
    """For whoever reads the history from before these events."""
    last: dict[str, tuple[int, int]] = {}
    for event in events:
        for name in (
            ArchivedHistory.EVERYBODY,
            ArchivedHistory.name_of("provider", event.provider_id),
            ArchivedHistory.name_of("client", event.client_id),
        ):
            last[name] = max(event.position, last.get(name, event.position))
    return [
        ArchivedHistory(name=name, transaction_id=transaction_id, event_id=event_id)
        for name, (transaction_id, event_id) in last.items()
    ]


def _move_timeslots(batch: list[Timeslot]) -> dict[str, int]:
    providers = _providers({timeslot.provider_id for timeslot in batch})
    with store.reached(), transaction.atomic(using=DATABASE):
        store.put(providers)
        store.put(_as(ArchivedTimeslot, batch))
    with store.reached():
        there = ArchivedTimeslot.objects.in_bulk([one.pk for one in batch])
    with transaction.atomic():
        same = Timeslot.objects.filter(pk__in=[one.pk for one in batch])
        locked = list(same.select_for_update().order_by("pk"))
        going = [
            one.pk
            for one in locked
            if _values(ArchivedTimeslot, one) == _values(ArchivedTimeslot, there[one.pk])
        ]
        same.filter(pk__in=going).delete()
    return {"timeslots": len(going)}


def _providers(ids: Iterable[int]) -> list[ArchivedProvider]:
    return _as(ArchivedProvider, Provider.objects.filter(pk__in=ids))


def _as(kind: type[M], rows: Iterable[models.Model]) -> list[M]:
    return [kind(**_values(kind, row)) for row in rows]


def _values(kind: type[models.Model], row: models.Model) -> dict[str, Any]:
    """What such a row of the past has of this one."""
    taken = [field.attname for field in kind._meta.concrete_fields if not field.has_default()]
    return {name: getattr(row, name) for name in taken}
