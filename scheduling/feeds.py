"""Calendars by secret link: whoever has the link reads what a provider or client has."""

import logging
from datetime import datetime
from typing import NamedTuple

from django.utils import timezone

from . import errors, parties, policy, tokens
from .models import CalendarLink, Person, Reservation
from .parties import Party

logger = logging.getLogger(__name__)


class Calendar(NamedTuple):
    """What somebody has, and when any of it last changed: None while more may in that second."""

    party: Party
    person: Person
    reservations: list[Reservation]
    changed_at: datetime | None


def make_link(*, party: Party, party_id: int) -> str:
    """The key of a new link, which is shown only now; the one before is good no more.

    Raises ProviderNotFound or ClientNotFound.
    """
    now = timezone.now()
    parties.require(party, party_id)
    key = tokens.new_calendar_key()
    CalendarLink.objects.put(party, party_id, tokens.digest(key), now)
    logger.info("calendar link made", extra={f"{party.value}_id": party_id})
    return key


def revoke_link(*, party: Party, party_id: int) -> None:
    """The link is good no more, if there was one. Raises ProviderNotFound or ClientNotFound."""
    revoked, _ = CalendarLink.objects.filter(**{f"{party.value}_id": party_id}).delete()
    if not revoked:
        parties.require(party, party_id)
        return
    logger.info("calendar link revoked", extra={f"{party.value}_id": party_id})


def read(*, party: Party, key: str) -> Calendar:
    """What the provider or client has whose link has this key. Raises NotFound."""
    now = timezone.now()
    link = (
        CalendarLink.objects.filter(**{f"{party.value}__isnull": False})
        .select_related(party.value)
        .filter(digest=tokens.digest(key))
        .first()
    )
    if link is None:
        raise errors.NotFound
    person: Person = getattr(link, party.value)
    found = (
        Reservation.objects.of(party, person.pk)
        .filter(start_time__gte=policy.start_of_calendar(now))
        .order_by("start_time", "pk")
        .select_related(Party.CLIENT if party == Party.PROVIDER else Party.PROVIDER)
    )
    reservations = [reservation.as_of(now) for reservation in found]
    return Calendar(party, person, reservations, _changed_at(reservations, now))


def _changed_at(reservations: list[Reservation], now: datetime) -> datetime | None:
    """At midnight all is new: the past moves out of sight, and nobody writes down when a person
    takes another name."""
    moments = [policy.midnight(now), *(reservation.settled_at for reservation in reservations)]
    changed_at = max(moments).replace(microsecond=0)
    return changed_at if changed_at < now.replace(microsecond=0) else None
