"""Webhooks: other systems are told what happened, as the Standard Webhooks specification has it.

At least once, in order for each reservation, retried for three days.
"""

import logging
from collections import Counter
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from datetime import datetime
from typing import Any, NamedTuple

from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone

from . import errors, metrics, outbound, policy, relay, wire
from .models import (
    Notification,
    Provider,
    ReservationEvent,
    Webhook,
    WebhookAttempt,
    WebhookDelivery,
)
from .shapes import event_shape

logger = logging.getLogger(__name__)

READER = "webhooks"
MOST_AT_ONCE = 32
MOST_AT_ONCE_OF_ONE = 4  # a webhook that keeps its requests waiting leaves room for the others
Status = WebhookDelivery.Status


class Page(NamedTuple):
    """A stretch of a list, and the id of the first on the next when there is more."""

    rows: list[Any]
    goes_on_at: tuple[int] | None


def create(*, provider_id: int | None, owner_id: int | None, url: str, kinds: list[str]) -> Webhook:
    """A webhook of this provider's events, or of everybody's where that is None.

    Raises ProviderNotFound and TooManyWebhooks.
    """
    now = timezone.now()
    with transaction.atomic():
        # Locked, so that of several at once none is one too many.
        if provider_id is None:
            relay.lock(READER)
        elif not Provider.objects.select_for_update().filter(pk=provider_id).exists():
            raise errors.ProviderNotFound
        if Webhook.objects.filter(Q(provider_id=provider_id)).count() >= policy.MOST_WEBHOOKS:
            raise errors.TooManyWebhooks
        webhook = Webhook.objects.create(
            provider_id=provider_id,
            owner_id=owner_id,
            url=url,
            kinds=kinds,
            secret=outbound.new_secret(),
            created_at=now,
        )
    logger.info("webhook created", extra={"webhook_id": webhook.pk})
    return webhook


def list_webhooks(*, provider_id: int | None, goes_on_at: int, limit: int) -> Page:
    """In the order in which they were made: this provider's, or all of them."""
    found = Webhook.objects.of(provider_id).filter(pk__gte=goes_on_at).order_by("pk")
    return _page(list(found[: limit + 1]), limit)


def change(*, provider_id: int | None, webhook_id: int, changes: dict[str, Any]) -> Webhook:
    """Another `url`, other `kinds`, or `is_enabled`: what is given. Raises WebhookNotFound.

    Enabled, it is sent what it was being sent when it was disabled; what happened in between, it
    is not sent. Enabling one that is enabled has no effect.
    """
    now = timezone.now()
    is_enabled = changes.pop("is_enabled", None)
    with transaction.atomic():
        webhook = _own(provider_id, webhook_id, lock=True)
        is_news = is_enabled is not None and is_enabled == bool(webhook.disabled_because)
        for name, value in changes.items():
            setattr(webhook, name, value)
        if is_news:
            webhook.disabled_because = "" if is_enabled else Webhook.Reason.OWNER
            webhook.disabled_at = None if is_enabled else now
            webhook.resting_until, webhook.unanswered = None, 0
        webhook.save()
        if is_news and is_enabled:
            _begin_anew(webhook.deliveries.pending(), now)
    logger.info("webhook changed", extra={"webhook_id": webhook_id})
    return webhook


def rotate_secret(*, provider_id: int | None, webhook_id: int) -> Webhook:
    """A new secret. For a day the former one signs as well. Raises WebhookNotFound."""
    now = timezone.now()
    with transaction.atomic():
        webhook = _own(provider_id, webhook_id, lock=True)
        webhook.former_secret, webhook.secret = webhook.secret, outbound.new_secret()
        webhook.former_secret_until = policy.end_of_former_secret(now)
        webhook.save()
    logger.info("secret of webhook rotated", extra={"webhook_id": webhook_id})
    return webhook


def delete(*, provider_id: int | None, webhook_id: int) -> None:
    """And what it was sent. Raises WebhookNotFound."""
    _own(provider_id, webhook_id).delete()
    logger.info("webhook deleted", extra={"webhook_id": webhook_id})


def test(*, provider_id: int | None, webhook_id: int) -> WebhookDelivery:
    """Have it sent a message that says only that it works.

    Raises WebhookNotFound and WebhookDisabled.
    """
    now = timezone.now()
    webhook = _own(provider_id, webhook_id)
    if webhook.disabled_because:
        raise errors.WebhookDisabled
    return WebhookDelivery.objects.create(webhook=webhook, created_at=now, next_attempt_at=now)


def list_deliveries(
    *,
    provider_id: int | None,
    webhook_id: int,
    status: str | None,
    goes_on_at: int | None,
    limit: int,
) -> Page:
    """What a webhook was sent, newest first, with every attempt. Raises WebhookNotFound."""
    found = _own(provider_id, webhook_id).deliveries.order_by("-pk")
    found = found.select_related("event").prefetch_related("attempts")
    if status is not None:
        found = found.filter(status=status)
    if goes_on_at is not None:
        found = found.filter(pk__lte=goes_on_at)
    return _page(list(found[: limit + 1]), limit)


def replay(*, provider_id: int | None, webhook_id: int, delivery_id: int | None) -> int:
    """Send a delivery anew, whatever became of it; without one, all that failed. How many.

    Raises WebhookNotFound, WebhookDisabled and DeliveryNotFound.
    """
    now = timezone.now()
    webhook = _own(provider_id, webhook_id)
    if webhook.disabled_because:
        raise errors.WebhookDisabled
    if delivery_id is None:
        replayed = _begin_anew(webhook.deliveries.filter(status=Status.FAILED), now)
    else:
        replayed = _begin_anew(webhook.deliveries.filter(pk=delivery_id), now)
        if not replayed:
            raise errors.DeliveryNotFound
    logger.info("deliveries replayed", extra={"webhook_id": webhook_id, "replayed": replayed})
    return replayed


def deliver(*, should_stop: Callable[[], bool] = lambda: False) -> int:
    """Send what has happened since and what is due again, until nothing is; how many requests.

    One process at a time does it; where another is at it, there is nothing to do. No transaction is
    open while a request is under way. A process that is killed leaves undone what it had not
    recorded: that is sent again, under the same id.
    """
    if not relay.has_news(READER) and not Webhook.objects.to_send(timezone.now()).exists():
        return 0
    sent = 0
    with relay.lease(READER) as lease, ThreadPoolExecutor(MOST_AT_ONCE) as threads:
        under_way: dict[Future[outbound.Answer], WebhookDelivery] = {}
        while lease is not None:
            if lease.keep() and not should_stop():
                relay.follow(READER, _queue)
                for delivery in _next(under_way):
                    under_way[threads.submit(_send, delivery, timezone.now())] = delivery
            if not under_way:
                break
            done, _ = wait(under_way, timeout=1, return_when=FIRST_COMPLETED)
            for future in done:
                _record(under_way.pop(future), future.result())
            sent += len(done)
    return sent


def _queue(events: list[ReservationEvent]) -> None:
    """One delivery for each webhook that wants to hear of an event. Those that are there already
    stay as they are."""
    now = timezone.now()
    webhooks = list(Webhook.objects.enabled())
    WebhookDelivery.objects.bulk_create(
        [
            WebhookDelivery(
                webhook=webhook,
                event=event,
                reservation_id=event.reservation_id,
                created_at=now,
                next_attempt_at=now,
            )
            for event in events
            for webhook in webhooks
            if webhook.wants(event)
        ],
        ignore_conflicts=True,
    )


def _next(under_way: dict[Future[outbound.Answer], WebhookDelivery]) -> list[WebhookDelivery]:
    """As many as there is room for, of one webhook as well as in all."""
    now, room = timezone.now(), MOST_AT_ONCE - len(under_way)
    if not room:
        return []
    of_each = Counter(delivery.webhook_id for delivery in under_way.values())
    full = [webhook_id for webhook_id, count in of_each.items() if count >= MOST_AT_ONCE_OF_ONE]
    beside = [delivery.pk for delivery in under_way.values()]
    chosen: list[WebhookDelivery] = []
    for webhook in Webhook.objects.to_send(now).exclude(pk__in=full):
        if len(chosen) == room:
            break
        most = min(MOST_AT_ONCE_OF_ONE - of_each[webhook.pk], room - len(chosen))
        chosen += WebhookDelivery.objects.next_of(webhook, beside=beside, now=now)[:most]
    return chosen


def _send(delivery: WebhookDelivery, now: datetime) -> outbound.Answer:
    """In a thread that asks the database nothing."""
    body = wire.encode(_message(delivery))
    headers = outbound.signed_headers(
        message_id=delivery.webhook_message_id,
        now=now,
        body=body,
        secrets=delivery.webhook.secrets(now),
    )
    return outbound.post(
        delivery.webhook.url, body=body, headers=headers | {"Content-Type": "application/json"}
    )


def _message(delivery: WebhookDelivery) -> dict[str, Any]:
    """The same for each attempt: an event does not change."""
    if delivery.event is None:
        return {
            "type": "webhook.test",
            "timestamp": delivery.created_at,
            "data": {"webhook_id": delivery.webhook_id},
        }
    shape = event_shape(delivery.event)
    return {"type": shape["event"], "timestamp": shape["happened_at"], "data": shape}


def _record(delivery: WebhookDelivery, answer: outbound.Answer) -> None:
    """What came of it: delivered, to be tried again, or given up."""
    outcome = answer.failure if answer.status is None else f"{answer.status // 100}xx"
    metrics.WEBHOOK_ATTEMPTS.labels(outcome).inc()
    now = timezone.now()
    made = delivery.attempts_made + 1
    is_gone = answer.status == 410
    again = None if is_gone else relay.next_attempt(made)
    changes: dict[str, Any] = {"next_attempt_at": again}
    if answer.status is not None and 200 <= answer.status < 300:
        changes = {"status": Status.DELIVERED, "finished_at": now}
    elif again is None:
        changes = {"status": Status.FAILED, "finished_at": now}
    with transaction.atomic():
        # As it was when it was sent: not deleted, replayed or recorded by another meanwhile.
        is_recorded = (
            WebhookDelivery.objects.pending()
            .filter(pk=delivery.pk, attempts_made=delivery.attempts_made)
            .update(attempts_made=made, **changes)
        )
        if not is_recorded:
            return
        WebhookAttempt.objects.create(
            delivery=delivery,
            attempted_at=now,
            milliseconds=answer.milliseconds,
            status=answer.status,
            failure=answer.failure,
            detail=answer.detail,
            body=answer.body,
        )
        _let_rest(delivery.webhook, is_answered=answer.status is not None, now=now)
        if changes.get("status") == Status.FAILED:
            _disable(
                delivery.webhook, Webhook.Reason.GONE if is_gone else Webhook.Reason.FAILING, now
            )


def _let_rest(webhook: Webhook, *, is_answered: bool, now: datetime) -> None:
    """What gives no answer is not asked again for everything that is due to it."""
    this = Webhook.objects.filter(pk=webhook.pk)
    if not is_answered:
        webhook.unanswered += 1
        this.update(
            unanswered=F("unanswered") + 1, resting_until=policy.rest(webhook.unanswered, now)
        )
    elif webhook.unanswered:
        this.update(unanswered=0, resting_until=None)


def _disable(webhook: Webhook, reason: Webhook.Reason, now: datetime) -> None:
    """With a notice to its owner. What is still to be sent waits until it is enabled."""
    is_disabled = (
        Webhook.objects.enabled()
        .filter(pk=webhook.pk)
        .update(disabled_because=reason, disabled_at=now)
    )
    if not is_disabled:
        return
    Notification.objects.create(
        kind=Notification.Kind.WEBHOOK_DISABLED,
        webhook=webhook,
        created_at=now,
        due_at=now,
        next_attempt_at=now,
    )
    logger.warning("webhook disabled", extra={"webhook_id": webhook.pk, "reason": reason.value})


def _begin_anew(deliveries: Any, now: datetime) -> int:
    begun: int = deliveries.update(
        status=Status.PENDING, attempts_made=0, next_attempt_at=now, finished_at=None
    )
    return begun


def _own(provider_id: int | None, webhook_id: int, *, lock: bool = False) -> Webhook:
    """The webhook, if it is this provider's; anyone's where that is None."""
    found = Webhook.objects.of(provider_id)
    webhook = (found.select_for_update() if lock else found).filter(pk=webhook_id).first()
    if webhook is None:
        raise errors.WebhookNotFound
    return webhook


def _page(found: list[Any], limit: int) -> Page:
    return Page(found[:limit], (found[limit].pk,) if len(found) > limit else None)
