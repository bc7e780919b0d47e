"""What keeps accounts signed in, and the rights of machines."""

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q


class SignIn(models.Model):
    """An account signed in on one device: a family of refresh tokens, the last of which is good."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="sign_ins"
    )
    # Django's own mark of a password: it changes when the password does.
    password_mark = models.CharField(max_length=128)
    unspent = models.CharField(max_length=32)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"sign-in of account {self.user_id}"


class ServiceToken(models.Model):
    """A machine's right to one thing, such as the cron job's to sweep, until it ends or is revoked.

    The token itself is not kept: its SHA-256 is, which finds it and cannot be turned back.
    """

    class Scope(models.TextChoices):
        EXPIRE = "expire", "sweep lapsed holds"
        EVENTS = "events", "read what happened to every reservation"
        METRICS = "metrics", "read how the service is doing"

    name = models.CharField(max_length=100, unique=True)
    scope = models.CharField(max_length=20, choices=Scope.choices)
    digest = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="scheduling_servicetoken_scope_known",
                condition=Q(scope__in=["expire", "events", "metrics"]),
            ),
        ]

    def __str__(self) -> str:
        return self.name
