"""The first answers to requests that carry an Idempotency-Key, kept for a day."""

from django.db import models


class StoredAnswer(models.Model):
    """Stored in the transaction that has the effect: there are both or neither."""

    caller = models.CharField(max_length=100)
    key = models.CharField(max_length=255)
    fingerprint = models.CharField(max_length=64)
    status = models.PositiveSmallIntegerField()
    headers = models.JSONField()
    body = models.BinaryField()
    created_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                name="scheduling_storedanswer_one_for_a_key", fields=["caller", "key"]
            ),
        ]
        indexes = [
            # The purge reads the oldest from it.
            models.Index(name="scheduling_storedanswer_age", fields=["created_at"]),
        ]

    def __str__(self) -> str:
        return f"answer {self.pk}"
