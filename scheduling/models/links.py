"""The secret links by which calendar apps read what somebody has."""

from datetime import datetime

from django.db import models
from django.db.models import Q

from .people import Client, Provider
from .reservations import Reservation


class CalendarLinkQuerySet(models.QuerySet["CalendarLink"]):
    def put(self, party: Reservation.Party, party_id: int, digest: str, now: datetime) -> None:
        """The one link of this client or provider from now on, in one statement: of two at once,
        the later stays."""
        self.bulk_create(
            [self.model(**{f"{party.value}_id": party_id}, digest=digest, created_at=now)],
            update_conflicts=True,
            unique_fields=[party.value],
            update_fields=["digest", "created_at"],
        )


class CalendarLink(models.Model):
    """The right to read one calendar. Of its key the SHA-256 is kept, as of a service token's."""

    provider = models.ForeignKey(
        Provider, null=True, on_delete=models.CASCADE, related_name="+", db_index=False
    )
    client = models.ForeignKey(
        Client, null=True, on_delete=models.CASCADE, related_name="+", db_index=False
    )
    digest = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField()

    objects = CalendarLinkQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                name="scheduling_calendarlink_one_of_provider", fields=["provider"]
            ),
            models.UniqueConstraint(
                name="scheduling_calendarlink_one_of_client", fields=["client"]
            ),
            models.CheckConstraint(
                name="scheduling_calendarlink_of_one_party",
                condition=Q(provider=None, client__isnull=False)
                | Q(provider__isnull=False, client=None),
            ),
        ]

    def __str__(self) -> str:
        return f"calendar link {self.pk}"
