"""Webhooks: who else's systems are told what happened, what they were sent, and how that went."""

import uuid
from collections.abc import Collection
from datetime import datetime
from typing import Any, Self

from django.conf import settings
from django.db import models
from django.db.models import Count, OuterRef, Q, Subquery

from .events import ReservationEvent
from .people import Provider


class WebhookQuerySet(models.QuerySet["Webhook"]):
    def enabled(self) -> Self:
        return self.filter(disabled_because="")

    def of(self, provider_id: int | None) -> Self:
        """Of this provider; everybody's where that is None."""
        return self if provider_id is None else self.filter(provider_id=provider_id)

    def to_send(self, now: datetime) -> Self:
        """Those to which something is due, longest first: a look into an index for each webhook,
        however much waits for it."""
        due = WebhookDelivery.objects.due(now).filter(webhook=OuterRef("pk"))
        since = due.order_by("next_attempt_at").values("next_attempt_at")[:1]
        is_rested = Q(resting_until=None) | Q(resting_until__lte=now)
        return (
            self.enabled()
            .filter(is_rested)
            .annotate(due_since=Subquery(since))
            .filter(due_since__isnull=False)
            .order_by("due_since", "pk")
        )


class Webhook(models.Model):
    """An address that is told of events: a provider's, or everybody's where there is none."""

    class Reason(models.TextChoices):
        OWNER = "owner", "by its owner"
        FAILING = "failing", "it failed for three days"
        GONE = "gone", "it answered 410 Gone"

    provider = models.ForeignKey(
        Provider, null=True, on_delete=models.CASCADE, related_name="webhooks"
    )
    # Who made it, and hears of it when it is disabled.
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    url = models.CharField(max_length=2000)
    kinds = models.JSONField()
    # To sign with: in plain, since a signature needs it.
    secret = models.CharField(max_length=100)
    former_secret = models.CharField(max_length=100, db_default="")
    former_secret_until = models.DateTimeField(null=True)
    created_at = models.DateTimeField()
    disabled_because = models.CharField(max_length=7, choices=Reason.choices, db_default="")
    disabled_at = models.DateTimeField(null=True)
    # Left alone until then, after so many attempts in a row that got no answer at all.
    resting_until = models.DateTimeField(null=True)
    unanswered = models.PositiveIntegerField(db_default=0)

    objects = WebhookQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="scheduling_webhook_reason_known",
                condition=Q(disabled_because__in=["", "owner", "failing", "gone"]),
            ),
            models.CheckConstraint(
                name="scheduling_webhook_disabled_for_a_reason",
                condition=Q(disabled_because="", disabled_at=None)
                | (~Q(disabled_because="") & Q(disabled_at__isnull=False)),
            ),
        ]

    def __str__(self) -> str:
        return f"webhook {self.pk}"

    def wants(self, event: ReservationEvent) -> bool:
        """What happened before it was made, it is not told."""
        is_in_view = self.provider_id is None or self.provider_id == event.provider_id
        return is_in_view and event.kind in self.kinds and event.happened_at >= self.created_at

    def secrets(self, now: datetime) -> list[str]:
        """Those to sign with: for a while after a rotation, the former too."""
        is_overlapping = self.former_secret_until is not None and now < self.former_secret_until
        return [self.secret, self.former_secret] if is_overlapping else [self.secret]


class WebhookDeliveryQuerySet(models.QuerySet["WebhookDelivery"]):
    def pending(self) -> Self:
        return self.filter(status=WebhookDelivery.Status.PENDING)

    def due(self, now: datetime) -> Self:
        return self.pending().filter(next_attempt_at__lte=now)

    def count_pending(self, *, most: int) -> int:
        """Up to `most`. In the order of an index, to which PostgreSQL keeps then."""
        return self.pending().order_by("webhook", "next_attempt_at", "pk")[:most].count()

    def count_failed(self, since: datetime, *, most: int) -> dict[str, int]:
        """Given up since then, `failed`, among the `most` that were finished last, `seen`."""
        finished = self.exclude(status=WebhookDelivery.Status.PENDING).filter(
            finished_at__gte=since
        )
        is_failed = Q(status=WebhookDelivery.Status.FAILED)
        last = finished.order_by("-finished_at")[:most]
        return last.aggregate(seen=Count("pk"), failed=Count("pk", filter=is_failed))

    def next_of(self, webhook: Webhook, *, beside: Collection[int], now: datetime) -> Self:
        """What can be sent to it beside what is being sent, longest due first.

        Of a reservation only the first that is not delivered: the next waits for it.
        """
        # Not a NOT EXISTS: until the table has been analysed PostgreSQL makes a join of that, which
        # reads all that is pending for each.
        earlier = WebhookDelivery.objects.pending().filter(
            webhook=webhook, reservation_id=OuterRef("reservation_id"), pk__lt=OuterRef("pk")
        )
        return (
            self.due(now)
            .annotate(earlier=Subquery(earlier.values("pk")[:1]))
            .filter(webhook=webhook, earlier=None)
            .exclude(pk__in=beside)
            .select_related("webhook", "event")
            .order_by("next_attempt_at", "pk")
        )


class WebhookDelivery(models.Model):
    """One event for one webhook, sent until it is delivered or given up."""

    class Status(models.TextChoices):
        PENDING = "pending"
        DELIVERED = "delivered"
        FAILED = "failed"

    webhook = models.ForeignKey(
        Webhook, on_delete=models.CASCADE, related_name="deliveries", db_index=False
    )
    # None: a test.
    event = models.ForeignKey(
        ReservationEvent, null=True, on_delete=models.CASCADE, related_name="+", db_index=False
    )
    reservation_id = models.BigIntegerField(null=True)
    # By it a receiver knows what it has had already.
    message_id = models.UUIDField(default=uuid.uuid4)
    status = models.CharField(max_length=9, choices=Status.choices, db_default="pending")
    created_at = models.DateTimeField()
    # Of this round: a replay begins another.
    attempts_made = models.PositiveSmallIntegerField(db_default=0)
    next_attempt_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)

    objects = WebhookDeliveryQuerySet.as_manager()

    class Meta:
        constraints = [
            # The list of what a webhook was sent, and that it is sent nothing twice.
            models.UniqueConstraint(
                name="scheduling_webhookdelivery_once", fields=["webhook", "event"]
            ),
            models.CheckConstraint(
                name="scheduling_webhookdelivery_status_known",
                condition=Q(status__in=["pending", "delivered", "failed"]),
            ),
            models.CheckConstraint(
                name="scheduling_webhookdelivery_pending_until_finished",
                condition=Q(status="pending", finished_at=None)
                | (~Q(status="pending") & Q(finished_at__isnull=False)),
            ),
        ]
        indexes = [
            # What is due, and what of the same reservation comes before it.
            models.Index(
                name="scheduling_deliveries_to_send",
                fields=["webhook", "next_attempt_at", "id"],
                condition=Q(status="pending"),
            ),
            models.Index(
                name="scheduling_deliveries_in_order",
                fields=["webhook", "reservation_id", "id"],
                condition=Q(status="pending"),
            ),
            models.Index(name="scheduling_deliveries_listed", fields=["webhook", "id"]),
            # An event that is deleted takes its deliveries along.
            models.Index(name="scheduling_deliveries_of_event", fields=["event"]),
            # The purge reads the oldest from it.
            models.Index(
                name="scheduling_deliveries_by_age",
                fields=["finished_at"],
                condition=~Q(status="pending"),
            ),
        ]

    def __str__(self) -> str:
        return f"delivery {self.pk}"

    @property
    def webhook_message_id(self) -> str:
        """As it is sent: the same for each attempt."""
        return f"msg_{self.message_id.hex}"


class WebhookAttemptQuerySet(models.QuerySet["WebhookAttempt"]):
    def count_newest(self, since: datetime, *, most: int) -> dict[str, Any]:
        """How many were `made` since then, and how many of them `delivered` something; among the
        `most` newest of all."""
        is_recent = Q(attempted_at__gte=since)
        return self.order_by("-pk")[:most].aggregate(
            made=Count("pk", filter=is_recent),
            delivered=Count("pk", filter=is_recent & Q(status__range=(200, 299))),
        )


class WebhookAttempt(models.Model):
    """One request, and what came of it."""

    delivery = models.ForeignKey(WebhookDelivery, on_delete=models.CASCADE, related_name="attempts")
    attempted_at = models.DateTimeField()
    milliseconds = models.PositiveIntegerField()
    # None: there was no answer, and `failure` says why.
    status = models.PositiveSmallIntegerField(null=True)
    failure = models.CharField(max_length=30, db_default="")
    detail = models.CharField(max_length=500, db_default="")
    body = models.CharField(max_length=1024, db_default="")

    objects = WebhookAttemptQuerySet.as_manager()

    class Meta:
        ordering = ["pk"]

    def __str__(self) -> str:
        return f"attempt {self.pk}"
