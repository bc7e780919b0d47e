"""Messages to people: each party hears by e-mail what happened to a reservation, and is reminded.

Only who has an account with an address, and has not opted out. At least once, in order for each
reservation; a message that is sent again carries the same Message-ID.
"""

import logging
import smtplib
from collections.abc import Callable, Iterable
from datetime import datetime

from django.conf import settings
from django.core import signing
from django.core.mail import EmailMessage, get_connection
from django.core.mail.backends.base import BaseEmailBackend
from django.db.models import F, QuerySet
from django.utils import timezone

from . import errors, letters, metrics, policy, relay
from .models import Notification, Person, Reservation, ReservationEvent
from .parties import PERSONS

logger = logging.getLogger(__name__)

READER = "notifications"
NOWHERE = "django.core.mail.backends.dummy.EmailBackend"
BATCH = 50
SALT = "scheduling.notifications"
Kind, Status = Notification.Kind, Notification.Status
CLIENT, PROVIDER = Reservation.Party.CLIENT, Reservation.Party.PROVIDER
# Who is told of what. That a reservation moved away concerns the provider it left.
TOLD = {
    CLIENT: {"reserved", "confirmed", "expired", "cancelled", "rescheduled"},
    PROVIDER: {*("reserved", "confirmed", "expired", "cancelled", "rescheduled", "moved_away")},
}


def send(*, should_stop: Callable[[], bool] = lambda: False) -> int:
    """Tell people what has happened since and what is due again; how many messages were sent.

    One process at a time does it. One that is killed may send its last message again.
    """
    if not relay.has_news(READER) and not Notification.objects.due(timezone.now()).exists():
        return 0
    sent = 0
    with relay.lease(READER) as lease:
        while lease is not None and lease.keep() and not should_stop():
            relay.follow(READER, _queue)
            due = list(Notification.objects.due(timezone.now())[:BATCH])
            done = _send(due, lambda: should_stop() or not lease.keep())
            sent += done.count(Status.SENT)
            if not due or len(done) < len(due):
                break
    return sent


def opt_out(*, key: str) -> None:
    """No e-mail any more to the person whose link has this key. Raises NotFound."""
    party, person_id = _read(key)
    person = PERSONS[party]._default_manager.filter(pk=person_id)
    if not person.update(is_emailed=False, version=F("version") + 1):
        raise errors.NotFound
    logger.info("opted out of e-mail", extra={f"{party.value}_id": person_id})


def require_key(key: str) -> None:
    """Raises NotFound for a key that is none of ours."""
    _read(key)


def _queue(events: list[ReservationEvent]) -> None:
    if settings.EMAIL_BACKEND == NOWHERE:
        return
    now = timezone.now()
    Notification.objects.bulk_create(
        [
            notification
            for party, kind in PERSONS.items()
            for notification in _of_party(party, _addressed(kind, party, events), events, now)
        ],
        ignore_conflicts=True,
    )


def _addressed(
    kind: type[Person], party: Reservation.Party, events: list[ReservationEvent]
) -> set[int]:
    ids = {getattr(event, f"{party.value}_id") for event in events}
    return set(_reachable(kind).filter(pk__in=ids).values_list("pk", flat=True))


def _reachable(kind: type[Person]) -> QuerySet[Person]:
    """Who has an account with an address, and has not opted out."""
    return (
        kind._default_manager.filter(is_emailed=True, user__is_active=True)
        .exclude(user__email="")
        .select_related("user")
    )


def _of_party(
    party: Reservation.Party, addressed: set[int], events: list[ReservationEvent], now: datetime
) -> Iterable[Notification]:
    for event in events:
        if getattr(event, f"{party.value}_id") not in addressed:
            continue
        if event.kind in TOLD[party]:
            yield _notification(party, event, event.kind, due_at=event.happened_at, now=now)
        reminder = policy.reminder(event.start_time)
        is_on = event.kind in (Kind.CONFIRMED, Kind.RESCHEDULED)
        # Who has just been told needs no reminder.
        if is_on and reminder is not None and reminder > event.happened_at:
            yield _notification(party, event, Kind.REMINDER, due_at=reminder, now=now)


def _notification(
    party: Reservation.Party, event: ReservationEvent, kind: str, *, due_at: datetime, now: datetime
) -> Notification:
    return Notification(
        kind=kind,
        party=party,
        event=event,
        reservation_id=event.reservation_id,
        created_at=now,
        due_at=due_at,
        next_attempt_at=max(due_at, now),
    )


def _write(notification: Notification) -> EmailMessage | None:
    """None if there is nothing to tell any more, or nobody to tell it to."""
    now, event = timezone.now(), notification.event
    if notification.due_at < policy.oldest_news(now):
        return None
    return _notice(notification) if event is None else _letter(notification, event, now)


def _notice(notification: Notification) -> EmailMessage | None:
    """To the owner of a webhook that was disabled."""
    webhook = notification.webhook
    if webhook is None or webhook.disabled_because not in ("failing", "gone"):
        return None
    owner = webhook.owner
    if owner is None or not owner.email:
        return None
    return letters.compose_notice(
        webhook=webhook, address=owner.email, message_id=f"notification-{notification.pk}"
    )


def _letter(
    notification: Notification, event: ReservationEvent, now: datetime
) -> EmailMessage | None:
    party = Reservation.Party(notification.party)
    other_party = PROVIDER if party == CLIENT else CLIENT
    ids = {CLIENT: event.client_id, PROVIDER: event.provider_id}
    recipient = _reachable(PERSONS[party]).filter(pk=ids[party]).first()
    other = PERSONS[other_party]._default_manager.filter(pk=ids[other_party]).first()
    reservation = Reservation.objects.filter(pk=event.reservation_id).first()
    if recipient is None or recipient.user is None or other is None or reservation is None:
        return None
    if not _is_still_true(notification, event, reservation, now):
        return None
    return letters.compose(
        letters.Letter(
            kind=notification.kind,
            party=party,
            address=recipient.user.email,
            recipient=recipient,
            other=other,
            message_id=f"notification-{notification.pk}",
            reservation_id=event.reservation_id,
            start_time=event.start_time,
            end_time=event.end_time,
            happened_at=event.happened_at,
            caused_by=event.caused_by,
            reason=event.reason,
            version=event.version,
            is_confirmed=reservation.status == Reservation.Status.CONFIRMED,
            expires_at=reservation.expires_at,
            unsubscribe_url=_unsubscribe_url(party, recipient.pk),
        )
    )


def _is_still_true(
    notification: Notification,
    event: ReservationEvent,
    reservation: Reservation,
    now: datetime,
) -> bool:
    """Nobody is asked to confirm a hold that has lapsed, written down or not; nor reminded of what
    was moved, cancelled or begun, or what they were reminded of already."""
    if notification.kind in (Kind.RESERVED, Kind.RESCHEDULED):
        return reservation.as_of(now).status != Reservation.Status.EXPIRED
    if notification.kind != Kind.REMINDER:
        return True
    return (
        reservation.status == Reservation.Status.CONFIRMED
        and reservation.start_time == event.start_time > now
        and not Notification.objects.filter(
            kind=Kind.REMINDER,
            status=Status.SENT,
            party=notification.party,
            reservation_id=notification.reservation_id,
            event__start_time=event.start_time,
        ).exists()
    )


def _send(due: list[Notification], should_stop: Callable[[], bool]) -> list[str]:
    """Over one connection; what became of each, up to where the mail server went away."""
    done: list[str] = []
    if not due:
        return done
    try:
        with get_connection() as connection:
            for notification in due:
                if should_stop():
                    break
                done.append(_send_one(notification, connection))
    except OSError as away:  # of which the exceptions of SMTP are a kind
        logger.error("mail server unavailable", extra={"reason": type(away).__name__})
        again = policy.end_of_mail_pause(timezone.now())
        left = [notification.pk for notification in due[len(done) :]]
        Notification.objects.pending().filter(pk__in=left).update(next_attempt_at=again)
    return done


def _send_one(notification: Notification, connection: BaseEmailBackend) -> str:
    message = _write(notification)
    if message is None:
        return _finish(notification, Status.DROPPED)
    try:
        connection.send_messages([message])
    except smtplib.SMTPServerDisconnected:
        raise
    except smtplib.SMTPException as refused:
        return _try_again(notification, type(refused).__name__)
    return _finish(notification, Status.SENT)


def _try_again(notification: Notification, reason: str) -> str:
    made = notification.attempts_made + 1
    again = relay.next_attempt(made)
    logger.warning("message refused", extra={"notification_id": notification.pk, "reason": reason})
    if again is None:
        return _finish(notification, Status.FAILED)
    this = Notification.objects.filter(pk=notification.pk)
    this.update(attempts_made=made, next_attempt_at=again)
    return Status.PENDING


def _finish(notification: Notification, status: Notification.Status) -> str:
    this = Notification.objects.filter(pk=notification.pk)
    this.update(status=status, finished_at=timezone.now())
    metrics.NOTIFICATIONS.labels(status.value).inc()
    return status


def _unsubscribe_url(party: Reservation.Party, person_id: int) -> str:
    if not settings.PUBLIC_URL:
        return ""
    key = signing.dumps([party.value, person_id], salt=SALT)
    return f"{settings.PUBLIC_URL}/unsubscribe?key={key}"


def _read(key: str) -> tuple[Reservation.Party, int]:
    try:
        party, person_id = signing.loads(key, salt=SALT)
    except signing.BadSignature:
        raise errors.NotFound from None
    return Reservation.Party(party), person_id
