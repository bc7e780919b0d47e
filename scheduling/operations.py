"""What operators look at first: what is wrong, what the day has brought, and how busy it will be.

Where something begins to be wrong, deploy/alerts.yml says too; what each alert means and what to do
about it stands in docs/operations.md, under its name. Each statement has a bound, however much
there is: what lies beyond is left out, and the page says so.
"""

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import NamedTuple

from django.conf import settings
from django.utils import timezone

from . import expiry, metrics, policy, relay
from .models import (
    Notification,
    Reservation,
    ReservationEvent,
    Timeslot,
    Webhook,
    WebhookAttempt,
    WebhookDelivery,
)
from .models.timeslots import UseOfDay
from .replica import replica

DAY = timedelta(days=1)
DAYS_AHEAD = 14
COUNTED = ("reserved", "confirmed", "cancelled", "expired")
SOON = timedelta(minutes=10)
MOST_LISTED = 10
MOST_EVENTS = 100_000
MOST_TIMESLOTS = 200_000
MOST_WAITING = 10_000
MOST_ATTEMPTS = 1_000

# As in deploy/alerts.yml.
LATE_SWEEP = timedelta(seconds=120)
UNREAD_EVENT = timedelta(seconds=60)
DEADLINES_WAITING = 1000
SHARE_OF_ATTEMPTS = 0.5
ATTEMPTS_WITHIN = timedelta(minutes=15)
FAILED_WITHIN = timedelta(hours=1)
# It has no alert: what a mail server that is away leaves undone is not counted.
LATE_MESSAGE = timedelta(minutes=5)


class Sign(NamedTuple):
    """How something stands, and what to do when it is not well."""

    name: str
    finding: str
    is_well: bool
    advice: str = ""
    alert: str = ""


class Lapsing(NamedTuple):
    hold: Reservation
    left: str


class Day(NamedTuple):
    """In hours, over all providers."""

    day: date
    published: float
    held: float
    confirmed: float


class Overview(NamedTuple):
    counts: dict[str, int]
    counted_since: datetime | None  # None: since the day began
    appointments: int
    lapsing: list[Lapsing]
    more_lapse: bool  # than are listed
    days: list[Day]
    days_before: datetime | None  # None: to the end of the last


def signs() -> list[Sign]:
    """Everything of which can be seen from here whether it is well."""
    now = timezone.now()
    found = [_sweep(), *_events(), _webhooks(now), _messages(now)]
    if settings.BROKER_URL and settings.SERVICE != "provider":  # which makes no holds
        found.append(_deadlines())
    if settings.REDIS_URL:
        found.append(_redis())
    if settings.HAS_REPLICA:
        found.append(_replica())
    return found


def overview() -> Overview:
    """What only those may see who may see reservations. Days are those of UTC."""
    now = timezone.now()
    today = policy.midnight(now)
    events = ReservationEvent.objects.count_newest(COUNTED, since=today, most=MOST_EVENTS)
    are_cut = events["seen"] == MOST_EVENTS and events["first"] >= today
    soon = Reservation.objects.lapsing(until=now + SOON, now=now)
    lapsing = list(soon.select_related("provider", "client")[: MOST_LISTED + 1])
    end = today + DAYS_AHEAD * DAY
    first_too_many = Timeslot.objects.first_beyond(MOST_TIMESLOTS, start_from=today)
    before = end if first_too_many is None else min(first_too_many, end)
    use = Timeslot.objects.use_by_day(start_from=today, start_before=before, now=now)
    first = (today - policy.EPOCH) // DAY
    return Overview(
        counts={kind: events[kind] for kind in COUNTED},
        counted_since=events["first"] if are_cut else None,
        appointments=use.get(first, UseOfDay()).appointments,
        lapsing=[Lapsing(hold, _in_words(hold.expires_at - now)) for hold in lapsing[:MOST_LISTED]],
        more_lapse=len(lapsing) > MOST_LISTED,
        days=[
            _day(today.date() + nth * DAY, use.get(first + nth, UseOfDay()))
            for nth in range(DAYS_AHEAD)
        ],
        days_before=before if before < end else None,
    )


def _day(day: date, use: UseOfDay) -> Day:
    return Day(day, use.published / 3600, use.held / 3600, use.confirmed / 3600)


def _sweep() -> Sign:
    holds = expiry.count_holds()
    finding = f"{holds.live} live holds; {holds.overdue} lapsed that nobody has written down"
    if holds.overdue:
        finding += f", the first {_in_words(holds.oldest)} ago"
    return Sign(
        "Sweep of holds",
        finding,
        holds.oldest <= LATE_SWEEP,
        "Does beat run, and a worker, or the timer of the sweep? Nobody is kept from a timeslot "
        "by this; the history is late.",
        "ReservationsSweepLate",
    )


def _events() -> Iterator[Sign]:
    """A service that has nobody to tell needs nobody who does."""
    tells = {"webhooks": Webhook.objects.enabled().exists(), "notifications": settings.EMAIL_URL}
    for reader, lag in sorted(relay.lags().items()):
        finding = f"the oldest has been waiting for {_in_words(lag)}" if lag else "all passed on"
        yield Sign(
            f"Events for {reader}",
            finding if tells.get(reader, True) else f"{finding}; nobody is to be told",
            lag <= UNREAD_EVENT or not tells.get(reader, True),
            "Is the worker gone, or deliver? Nothing is lost. Else a transaction has been open for "
            "long, in any database of the cluster: end it.",
            "ReservationsEventsUnread",
        )


def _webhooks(now: datetime) -> Sign:
    pending = WebhookDelivery.objects.count_pending(most=MOST_WAITING)
    failed = WebhookDelivery.objects.count_failed(now - FAILED_WITHIN, most=MOST_WAITING)
    attempts = WebhookAttempt.objects.count_newest(now - ATTEMPTS_WITHIN, most=MOST_ATTEMPTS)
    made, in_vain = attempts["made"], attempts["made"] - attempts["delivered"]
    return Sign(
        "Webhooks",
        f"{_at_least(pending, among=pending)} pending; given up within the hour: "
        f"{_at_least(failed['failed'], among=failed['seen'])}; "
        f"of {'the last ' if made == MOST_ATTEMPTS else ''}{made} attempts in 15 min, "
        f"{in_vain} failed",
        in_vain <= SHARE_OF_ATTEMPTS * made,
        "One receiver, or all? /webhooks/deliveries says why. All: this machine's way out, DNS, "
        "the clock.",
        "ReservationsWebhooksFail",
    )


def _messages(now: datetime) -> Sign:
    until = policy.end_of_mail_pause(now)
    late = Notification.objects.count_waiting(until=until, now=now, most=MOST_WAITING)
    failed = Notification.objects.count_failed(now - FAILED_WITHIN, most=MOST_WAITING)
    waiting = now - (late["untried"] or now)
    count = late["waiting"]
    finding = (
        f"{_at_least(count, among=count)} waiting; given up within the hour: "
        f"{_at_least(failed['failed'], among=failed['seen'])}"
    )
    if waiting:
        finding += f"; the oldest not tried has been waiting for {_in_words(waiting)}"
    return Sign(
        "Messages to people",
        finding,
        not failed["failed"] and waiting <= LATE_MESSAGE,
        "The log of the worker; EMAIL_URL, the mail server's own log.",
        "ReservationsMessagesFail" if failed["failed"] else "",
    )


def _deadlines() -> Sign:
    """Each instance tells the broker of the holds that were made there."""
    waiting, failing = _gauge("deadlines_waiting"), _gauge("deadlines_failing")
    return Sign(
        "Deadlines for the broker",
        f"{waiting} waiting on this instance; processes of it that cannot tell the broker: "
        f"{failing}",
        not failing and waiting <= DEADLINES_WAITING,
        "rabbitmqctl status: memory or disk alarm, password. The sweep does what the broker does "
        "not.",
        "ReservationsBrokerAway" if failing else "ReservationsDeadlinesPileUp",
    )


def _redis() -> Sign:
    failing = _gauge("redis_failing")
    return Sign(
        "Redis",
        f"processes of this instance that do without it: {failing}",
        not failing,
        "Does the Redis of REDIS_URL answer? Everything is served meanwhile, by the database.",
    )


def _replica() -> Sign:
    why = replica.not_used_because
    return Sign(
        "Replica",
        f"this process asks the primary instead: {why}" if why else "this process reads from it",
        not why,
        "Does the standby of DATABASE_REPLICA_URL run and follow? The primary answers meanwhile.",
    )


def _gauge(name: str) -> int:
    return int(metrics.everything().get_sample_value(f"reservations_{name}") or 0)


def _at_least(count: int, *, among: int) -> str:
    return f"{count} or more" if among == MOST_WAITING else str(count)


def _in_words(span: timedelta) -> str:
    """In the largest unit of which there are two, or in seconds."""
    for unit, length in (("days", DAY), ("h", DAY / 24), ("min", DAY / 1440)):
        if span >= 2 * length:
            return f"{span // length} {unit}"
    return f"{span // timedelta(seconds=1)} s"
