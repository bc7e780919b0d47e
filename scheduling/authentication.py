"""Who is calling: read from the token they send, at no statement for people's own tokens."""

import ipaddress
import logging
import time
from functools import lru_cache
from typing import Any, NamedTuple

import axes.utils
from axes.models import AccessAttempt
from django.conf import settings
from django.contrib.auth import authenticate
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import User
from django.db.models import Max
from django.http import HttpRequest, HttpResponse
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request

from . import accounts, errors, identity, tokens
from .fields import IDField

logger = logging.getLogger(__name__)

STAFF = "staff"
SERVICE = "service"
LONGEST_ATTEMPTED = 255  # as much as django-axes has room for
AN_ID = IDField()


class Caller(NamedTuple):
    """Who sent the request, as their token says."""

    subject: str
    role: str
    user_id: int | None = None
    provider_id: int | None = None
    client_id: int | None = None
    scope: str | None = None


class BearerAuthentication(BaseAuthentication):
    """`Authorization: Bearer <token>` (RFC 6750); not looked at where AUTHENTICATION is open.

    A request without a token goes on as nobody's: the table of permissions says what that may do.
    """

    def authenticate(self, request: Request) -> tuple[Caller, None] | None:
        if settings.AUTHENTICATION == "open":
            return None
        scheme, _, token = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
        if scheme.lower() != "bearer":
            return None
        return _caller(token.strip()), None

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


def caller_of(request: Request) -> Caller | None:
    """None: nobody, or nobody asks, since the service is open."""
    caller: Any = request.user
    return caller  # type: ignore[no-any-return]


def _caller(token: str) -> Caller:
    if token.startswith(tokens.SERVICE_TOKEN_PREFIX):
        service = accounts.find_service(token=token)
        return Caller(f"service:{service.pk}", SERVICE, scope=service.scope)
    if settings.IDENTITY_ISSUER:
        return _foreign_caller(identity.read(token))
    claims = tokens.read_access_token(token)
    return Caller(
        f"account:{claims['user_id']}",
        claims["role"],
        user_id=int(claims["user_id"]),
        provider_id=claims.get("provider_id"),
        client_id=claims.get("client_id"),
    )


def _foreign_caller(claims: dict[str, Any]) -> Caller:
    """As the identity provider's claims say, which go by the names in the settings."""
    roles = claims.get(settings.IDENTITY_ROLE_CLAIM)
    is_staff = STAFF in (roles if isinstance(roles, list) else [roles])
    return Caller(
        # Whatever the issuer takes for a subject; here it is only counted by.
        f"subject:{tokens.digest(str(claims['sub']))}",
        STAFF if is_staff else "account",
        provider_id=_id(claims.get(settings.IDENTITY_PROVIDER_ID_CLAIM)),
        client_id=_id(claims.get(settings.IDENTITY_CLIENT_ID_CLAIM)),
    )


def _id(claim: Any) -> int | None:
    try:
        return None if claim is None else AN_ID.to_internal_value(claim)
    except ValidationError:
        raise errors.TokenInvalid from None


def sign_in(request: Request, *, email: str, password: str) -> User:
    """The account with this e-mail address and password. Raises WrongCredentials.

    Whoever fails too often for one account from one address is locked out there (django-axes): its
    middleware puts `locked_out` in the place of the answer.
    """
    user = authenticate(request._request, email=email, password=password)
    if not isinstance(user, User):
        logger.warning("sign-in failed", extra={"address": address_of(request._request)})
        raise errors.WrongCredentials
    # Counted by e-mail address; django-axes itself would forget those of the username.
    axes.utils.reset(ip=address_of(request._request), username=email)
    return user


class ByEmail(ModelBackend):
    """Finds the account by its e-mail address; as long for one that does not exist."""

    def authenticate(  # type: ignore[override]
        self,
        request: HttpRequest | None,
        email: str | None = None,
        password: str | None = None,
        **_: Any,
    ) -> User | None:
        if email is None or password is None:
            return None
        user = accounts.with_email(email)
        if user is None:
            make_password(password)
            return None
        is_right = user.check_password(password) and self.user_can_authenticate(user)
        return user if is_right else None


def attempted_account(request: HttpRequest, credentials: dict[str, Any] | None) -> str | None:
    """What a failed sign-in is counted by, besides its address: as typed, known or not."""
    given = credentials or {}
    attempted = given.get("email") or given.get("username")
    return attempted and attempted[:LONGEST_ATTEMPTED]


def address_of(request: HttpRequest) -> str | None:
    """Of IPv6 the network, for whoever has one address there has all 2^64. None: no address."""
    return _network(request.META.get("REMOTE_ADDR", ""))


@lru_cache(maxsize=1024)
def _network(address: str) -> str | None:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return None
    if isinstance(parsed, ipaddress.IPv4Address):
        return address
    return str(ipaddress.ip_network((parsed, 64), strict=False).network_address)


def locked_out(
    request: HttpRequest, response: HttpResponse, credentials: dict[str, Any] | None
) -> HttpResponse:
    """The answer, whatever it was, to who is locked out; until the last failure is old enough."""
    counted = AccessAttempt.objects.filter(
        username=attempted_account(request, credentials), ip_address=address_of(request)
    )
    last = counted.aggregate(last=Max("attempt_time"))["last"]
    opens = last and (last + settings.AXES_COOLOFF_TIME).timestamp()
    # None at the very moment of opening: what was counted has been cleared away.
    left = opens - time.time() if opens else 0
    return errors.response(errors.TooManyAttempts(int(left) + 1))
