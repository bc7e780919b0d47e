"""A person is forgotten: what says who they were goes, here and in the past; the figures stay."""

import logging
from datetime import datetime

from axes.models import AccessAttempt
from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db import connection, models, transaction
from django.db.models import F, Max
from django.db.models.expressions import RawSQL
from django.utils import timezone

from scheduling import errors
from scheduling.authentication import LONGEST_ATTEMPTED
from scheduling.models import (
    CalendarLink,
    Client,
    Notification,
    Provider,
    Reservation,
    ReservationEvent,
    StoredAnswer,
    WebhookAttempt,
)

from . import store
from .models import ArchivedClient, ArchivedEvent, ArchivedReservation
from .router import DATABASE

logger = logging.getLogger(__name__)

NAME = {"first_name": "Forgotten", "last_name": "client"}


class HasReservations(Exception):
    """Live ones that are not over: they would stand for nobody. With their ids."""


def forget_client(*, client_id: int, cancel_reservations: bool) -> list[int]:
    """Erase who a client is, wherever that is kept; the ids of the reservations cancelled for it.

    All of it or, while the analytics database is away, nothing: that is written last, and this
    commits after it. Raises ClientNotFound, HasReservations or AnalyticsAway.
    """
    store.prepare()
    now = timezone.now()
    with transaction.atomic():
        # Until this commits, nobody reserves for them.
        client = Client.objects.select_for_update().filter(pk=client_id).first()
        if client is None:
            raise errors.ClientNotFound
        live = Reservation.objects.filter(client=client, end_time__gt=now).live(now)
        # Locked: nobody confirms, moves or cancels them meanwhile.
        cancelled = list(live.select_for_update().order_by("pk").values_list("pk", flat=True))
        if cancelled and not cancel_reservations:
            raise HasReservations(cancelled)
        Reservation.objects.filter(pk__in=cancelled).cancel(
            by=Reservation.Party.SERVICE, reason="", now=now
        )
        _forget_account(client)
        _forget_person(client)
        _forget_what_was_said(client, now)
        _forget_the_past(client)
    logger.info("client forgotten", extra={"client_id": client_id, "cancelled": len(cancelled)})
    return cancelled


def _forget_account(client: Client) -> None:
    """It goes, unless somebody signs in with it as a provider or as staff too."""
    user = client.user
    if user is None or user.is_staff or Provider.objects.filter(user=user).exists():
        return
    names = [name[:LONGEST_ATTEMPTED] for name in (user.email, user.username) if name]
    for name in names:
        AccessAttempt.objects.filter(username__iexact=name).delete()
    _forget_in_the_admin(user)
    user.delete()


def _forget_person(client: Client) -> None:
    CalendarLink.objects.filter(client=client).delete()
    Client.objects.filter(pk=client.pk).update(
        **NAME, user=None, time_zone="UTC", is_emailed=False, version=F("version") + 1
    )
    _forget_in_the_admin(client)


def _forget_in_the_admin(thing: models.Model) -> None:
    """Its history shows things by the names that they had."""
    entries = LogEntry.objects.filter(
        content_type=ContentType.objects.get_for_model(thing), object_id=str(thing.pk)
    )
    entries.update(object_repr=" ".join(NAME.values()))


def _forget_what_was_said(client: Client, now: datetime) -> None:
    """In words of anybody's: reasons, what receivers of them answered, answers with the name."""
    Notification.objects.filter(party="client", event__client_id=client.pk).delete()
    WebhookAttempt.objects.filter(delivery__event__client_id=client.pk).update(body="", detail="")
    # A change like any other, which leaves its event: whoever keeps a copy hears of it. Only the
    # reservation goes on saying when it was cancelled.
    history = ReservationEvent.objects.filter(client_id=client.pk)
    last = history.aggregate(last=Max("pk"))["last"] or 0
    said = Reservation.objects.filter(client=client).exclude(reason="")
    list(said.select_for_update().order_by("pk"))  # in the order of whoever else locks several
    if said.update(reason="", version=F("version") + 1):
        history.filter(pk__gt=last).update(happened_at=now)
    history.exclude(reason="").update(reason="")
    # As `client/create` and `client/profile` answer, whoever asked.
    is_found = {"postgresql": "position(%s::bytea in body) > 0", "sqlite": "instr(body, %s) > 0"}
    named = f'{{"client_id":{client.pk},"first_name":'.encode()
    names = RawSQL(is_found[connection.vendor], [named], models.BooleanField())  # noqa: S611  ours
    StoredAnswer.objects.filter(names).delete()


def _forget_the_past(client: Client) -> None:
    with store.reached(), transaction.atomic(using=DATABASE):
        # First, as the archive does it: what that has read already, it writes without names.
        store.put([ArchivedClient(pk=client.pk, **NAME, is_forgotten=True)])
        for kind in (ArchivedReservation, ArchivedEvent):
            kind._default_manager.filter(client_id=client.pk).exclude(reason="").update(reason="")
