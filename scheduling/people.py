"""Who providers and clients are: their profiles, and finding a provider by name."""

import logging
from collections.abc import Collection, Mapping
from typing import NamedTuple, TypeVar
from zoneinfo import ZoneInfo

from django.db import transaction
from django.db.models import F

from . import calendars, errors
from .models import Person, Provider, ProviderRow
from .parties import NOT_FOUND

logger = logging.getLogger(__name__)


class Page(NamedTuple):
    """A stretch of the list, and the first on the next when there is more."""

    providers: list[ProviderRow]
    goes_on_at: ProviderRow | None


P = TypeVar("P", bound=Person)


def profile(kind: type[P], *, person_id: int) -> P:
    """Raises ProviderNotFound or ClientNotFound."""
    person = kind._default_manager.filter(pk=person_id).first()
    if person is None:
        raise NOT_FOUND[kind]
    return person


def change_profile(
    kind: type[P],
    *,
    person_id: int,
    changes: Mapping[str, str],
    versions: Collection[int] | None,
) -> P:
    """Write these of the first name, the last name and the time zone; the rest stays.

    With `versions`, only if the profile is still at one of them. Raises ProviderNotFound,
    ClientNotFound or ChangedMeanwhile.
    """
    same = kind._default_manager.filter(pk=person_id)
    if versions is not None:
        same = same.filter(version__in=versions)
    # In one transaction: whoever came next would be read in the place of this change, and their
    # tag be taken for its own.
    with transaction.atomic():
        is_changed = same.update(version=F("version") + 1, **changes)
        person = profile(kind, person_id=person_id)
    if not is_changed:
        raise errors.ChangedMeanwhile
    logger.info("profile changed", extra={f"{kind.__name__.lower()}_id": person_id})
    return person


def zone_of_provider(provider_id: int) -> ZoneInfo:
    return calendars.zone_named(profile(Provider, person_id=provider_id).time_zone)


def list_providers(*, begins: str, goes_on_at: tuple[str, int] | None, limit: int) -> Page:
    """Providers in the order of their names; with `begins`, those whose first or last name does."""
    found = Provider.objects.by_name(
        begins=begins, goes_on_at=goes_on_at or ("", 0), limit=limit + 1
    )
    return Page(found[:limit], goes_on_at=found[limit] if len(found) > limit else None)
