"""Who may call what: one table. It is looked at where AUTHENTICATION is required."""

from enum import Enum

from django.conf import settings
from rest_framework.exceptions import PermissionDenied
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from . import errors
from .authentication import SERVICE, STAFF, Caller, caller_of
from .models import Reservation
from .serializers import AccountInput, NamesInput, PersonInput


class May(Enum):
    NO = "never"
    YES = "always"
    OWN = "for itself: with the provider_id or client_id of its own account"
    JOIN = "unless a foreign identity provider keeps the accounts"
    JOIN_IF_OPEN = "the same, and only with OPEN_PROVIDER_SIGNUP"
    IF_PUBLIC = "with PUBLIC_AVAILABILITY"
    IN_SCOPE = "with a token made for it"


NO, YES, OWN, JOIN, JOIN_IF_OPEN, IF_PUBLIC, IN_SCOPE = May
COLUMN = {"anonymous": 0, "client": 1, "provider": 2, SERVICE: 3, STAFF: 4}

# The rows are views. An account that is both a client and a provider may do what either may; one
# that is neither, what anybody may.
TABLE = {
    #                   anonymous     client        provider      service    staff
    "create_provider": (JOIN_IF_OPEN, JOIN_IF_OPEN, JOIN_IF_OPEN, NO, YES),
    "create_client": (JOIN, JOIN, JOIN, NO, YES),
    "provider_availability": (NO, NO, OWN, NO, YES),
    "provider_profile": (NO, NO, OWN, NO, YES),
    "provider_reservation": (NO, NO, OWN, NO, YES),
    "provider_reservations": (NO, NO, OWN, NO, YES),
    "provider_cancel": (NO, NO, OWN, NO, YES),
    "provider_calendar_link": (NO, NO, OWN, NO, YES),
    "client_profile": (NO, OWN, NO, NO, YES),
    "client_reservation": (NO, OWN, NO, NO, YES),
    "client_reservations": (NO, OWN, NO, NO, YES),
    "client_cancel": (NO, OWN, NO, NO, YES),
    "client_calendar_link": (NO, OWN, NO, NO, YES),
    "reserve": (NO, OWN, NO, NO, YES),
    "confirm": (NO, OWN, NO, NO, YES),
    "reschedule": (NO, OWN, NO, NO, YES),
    "list_providers": (IF_PUBLIC, YES, YES, IF_PUBLIC, YES),
    "list_bookable": (IF_PUBLIC, YES, YES, IF_PUBLIC, YES),
    "find_timeslots": (IF_PUBLIC, YES, YES, IF_PUBLIC, YES),
    "expire": (NO, NO, NO, IN_SCOPE, YES),
    "events": (NO, OWN, OWN, IN_SCOPE, YES),
    "webhooks": (NO, NO, OWN, NO, YES),
    "webhook_secret": (NO, NO, OWN, NO, YES),
    "test_webhook": (NO, NO, OWN, NO, YES),
    "webhook_deliveries": (NO, NO, OWN, NO, YES),
    "replay_webhook": (NO, NO, OWN, NO, YES),
    "metrics": (NO, NO, NO, IN_SCOPE, YES),
}


class ByTheTable(BasePermission):
    """Whether the caller may call this at all; `require_own` is for whom."""

    def has_permission(self, request: Request, view: object) -> bool:
        if settings.AUTHENTICATION == "open":
            return True
        name, caller = type(view).__name__, caller_of(request)
        row = TABLE[name]
        return any(_holds(row[COLUMN[role]], name, caller) for role in _roles(caller))


class WhereAccountsAreOurs(BasePermission):
    """Of the calls that sign people in and out."""

    def has_permission(self, request: Request, view: object) -> bool:
        if settings.IDENTITY_ISSUER:
            raise errors.NotFound(
                "The identity provider signs people in and out, not this service."
            )
        return True


def require_own(request: Request, **ids: int) -> None:
    """Refuse who acts for another: `provider_id` or `client_id` is the one of the caller's account.

    Whether there is another by that id makes no difference to the answer.
    """
    caller = caller_of(request)
    if caller is None or caller.role == STAFF:  # nobody comes this far unless the service is open
        return
    if any(getattr(caller, name) != given for name, given in ids.items()):
        raise PermissionDenied("Your account is another one.")


def acting_as(request: Request, party: Reservation.Party, given: int | None) -> int | None:
    """The client or provider whom the caller acts for: the one given, else their own.

    None for whoever may act for anybody and does not say for whom.
    """
    if given is not None:
        require_own(request, **{f"{party}_id": given})
        return given
    caller = caller_of(request)
    if caller is None or caller.role == STAFF:
        return None
    own: int = getattr(caller, f"{party}_id")  # the table has let nobody through without
    return own


def whose(
    request: Request, *, provider_id: int | None, client_id: int | None
) -> tuple[int | None, int | None]:
    """Whose history the caller is shown, by provider and client: that of those given, else their
    own; of nobody in particular for staff and machines."""
    caller = caller_of(request)
    if caller is None or caller.role in (STAFF, SERVICE):
        return provider_id, client_id
    if provider_id is None and client_id is None:
        return caller.provider_id, caller.client_id
    given = {"provider_id": provider_id, "client_id": client_id}
    require_own(request, **{name: pk for name, pk in given.items() if pk is not None})
    return provider_id, client_id


def shape_of_person(request: Request) -> type[NamesInput | PersonInput]:
    """What whoever creates a provider or client is to send: an account with it, or not."""
    caller = caller_of(request)
    if settings.IDENTITY_ISSUER or (caller is not None and caller.role != STAFF):
        return NamesInput
    if settings.AUTHENTICATION == "required" and caller is None:
        return AccountInput
    return PersonInput


def anybody_may(view: str) -> bool:
    return _holds(TABLE[view][0], view, None)


def _roles(caller: Caller | None) -> list[str]:
    if caller is None:
        return ["anonymous"]
    if caller.role in (STAFF, SERVICE):
        return [caller.role]
    persons = {"client": caller.client_id, "provider": caller.provider_id}
    return [role for role, pk in persons.items() if pk is not None] or ["anonymous"]


def _holds(may: May, view: str, caller: Caller | None) -> bool:
    if may is IF_PUBLIC:
        return bool(settings.PUBLIC_AVAILABILITY)
    if may is IN_SCOPE:
        return caller is not None and caller.scope == view
    if may is JOIN or may is JOIN_IF_OPEN:
        is_open = may is JOIN or settings.OPEN_PROVIDER_SIGNUP
        return bool(is_open and not settings.IDENTITY_ISSUER)
    return may is not NO
