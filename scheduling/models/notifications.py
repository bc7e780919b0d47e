"""What people are to be told by e-mail, and whether they have been."""

from datetime import datetime
from typing import Any, Self

from django.db import models
from django.db.models import Count, Exists, Min, OuterRef, Q

from .events import ReservationEvent
from .webhooks import Webhook


class NotificationQuerySet(models.QuerySet["Notification"]):
    def pending(self) -> Self:
        return self.filter(status=Notification.Status.PENDING)

    def in_turn(self) -> Self:
        """Of a reservation, what is to be sent next, save the reminders, which wait long."""
        earlier = (
            self.pending()
            .exclude(kind=Notification.Kind.REMINDER)
            .filter(
                reservation_id=OuterRef("reservation_id"),
                party=OuterRef("party"),
                pk__lt=OuterRef("pk"),
            )
        )
        return self.pending().filter(~Exists(earlier))

    def due(self, now: datetime) -> Self:
        """What can be sent now; of a reservation, in order."""
        return (
            self.in_turn()
            .filter(next_attempt_at__lte=now)
            .select_related("event", "webhook__owner")
            .order_by("next_attempt_at", "pk")
        )

    def count_waiting(self, *, until: datetime, now: datetime, most: int) -> dict[str, Any]:
        """How many, up to `most`, should have been sent by now and are to be until then; and since
        when the first is `untried` of which that has not been tried."""
        late = self.in_turn().filter(due_at__lte=now, next_attempt_at__lte=until)
        return late.order_by("next_attempt_at")[:most].aggregate(
            waiting=Count("pk"), untried=Min("due_at", filter=Q(attempts_made=0))
        )

    def count_failed(self, since: datetime, *, most: int) -> dict[str, int]:
        """Given up since then, `failed`, among the `most` that were finished last, `seen`."""
        finished = self.exclude(status=Notification.Status.PENDING).filter(finished_at__gte=since)
        is_failed = Q(status=Notification.Status.FAILED)
        last = finished.order_by("-finished_at")[:most]
        return last.aggregate(seen=Count("pk"), failed=Count("pk", filter=is_failed))


class Notification(models.Model):
    """One thing that one person is told, once: of an event, ahead of an appointment, or of a
    webhook that was disabled."""

    class Kind(models.TextChoices):
        RESERVED = "reserved"
        CONFIRMED = "confirmed"
        EXPIRED = "expired"
        CANCELLED = "cancelled"
        RESCHEDULED = "rescheduled"
        MOVED_AWAY = "moved_away"
        REMINDER = "reminder"
        WEBHOOK_DISABLED = "webhook_disabled"

    class Status(models.TextChoices):
        PENDING = "pending"
        SENT = "sent"
        # No longer true, or nobody to tell: opted out, without an address, out of date.
        DROPPED = "dropped"
        FAILED = "failed"

    kind = models.CharField(max_length=16, choices=Kind.choices)
    party = models.CharField(max_length=8)
    event = models.ForeignKey(
        ReservationEvent, null=True, on_delete=models.CASCADE, related_name="+", db_index=False
    )
    webhook = models.ForeignKey(Webhook, null=True, on_delete=models.CASCADE, related_name="+")
    reservation_id = models.BigIntegerField(null=True)
    status = models.CharField(max_length=7, choices=Status.choices, db_default="pending")
    created_at = models.DateTimeField()
    due_at = models.DateTimeField()
    attempts_made = models.PositiveSmallIntegerField(db_default=0)
    next_attempt_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)

    objects = NotificationQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                name="scheduling_notification_once", fields=["event", "party", "kind"]
            ),
            models.CheckConstraint(
                name="scheduling_notification_kind_known",
                condition=Q(
                    kind__in=[
                        *("reserved", "confirmed", "expired", "cancelled", "rescheduled"),
                        *("moved_away", "reminder", "webhook_disabled"),
                    ]
                ),
            ),
            models.CheckConstraint(
                name="scheduling_notification_status_known",
                condition=Q(status__in=["pending", "sent", "dropped", "failed"]),
            ),
            models.CheckConstraint(
                name="scheduling_notification_of_one_thing",
                condition=Q(event__isnull=False, webhook=None, party__in=["client", "provider"])
                | Q(event=None, webhook__isnull=False, party="", kind="webhook_disabled"),
            ),
        ]
        indexes = [
            models.Index(
                name="scheduling_notifications_due",
                fields=["next_attempt_at"],
                condition=Q(status="pending"),
            ),
            # What of the same reservation comes before it.
            models.Index(
                name="scheduling_notifications_order",
                fields=["reservation_id", "party", "id"],
                condition=Q(status="pending"),
            ),
            # The purge reads the oldest from it.
            models.Index(
                name="scheduling_notifications_age",
                fields=["finished_at"],
                condition=~Q(status="pending"),
            ),
        ]

    def __str__(self) -> str:
        return f"notification {self.pk}"
