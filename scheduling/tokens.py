"""The tokens that the service signs itself: JSON web tokens (RFC 7519) and those of machines."""

import hashlib
import secrets
import time
from functools import lru_cache
from typing import Any, TypeVar, cast

import jwt
from django.conf import settings
from django.utils import crypto
from rest_framework_simplejwt import exceptions, tokens
from rest_framework_simplejwt.backends import TokenBackend

from . import errors

Kind = TypeVar("Kind", bound=tokens.Token)

ISSUER = "reservation-service"
SERVICE_TOKEN_PREFIX = "rst_"  # noqa: S105  by it, scanners for leaked secrets know one
CALENDAR_KEY_PREFIX = "rsc_"


class KeyRing(TokenBackend):
    """Signs with the first key and reads what any of them signed.

    The token's header names its key (`kid`, RFC 7515), so that a key can be replaced while tokens
    that the former one signed are about.
    """

    def __init__(self, secret_keys: tuple[str, ...]) -> None:
        keys = [
            crypto.salted_hmac("scheduling.tokens", "", secret=key, algorithm="sha256").digest()
            for key in secret_keys
        ]
        self.keys = {hashlib.sha256(key).hexdigest()[:8]: key for key in keys}
        self.kid = next(iter(self.keys))
        super().__init__("HS256", issuer=ISSUER)

    def encode(self, payload: dict[str, Any]) -> str:
        return jwt.encode(
            {**payload, "iss": self.issuer}, self.keys[self.kid], "HS256", {"kid": self.kid}
        )

    def get_verifying_key(self, token: Any) -> bytes:
        key = self.keys.get(jwt.get_unverified_header(token).get("kid", ""))
        if key is None:
            raise jwt.InvalidTokenError
        return key


class AccessToken(tokens.AccessToken):
    def get_token_backend(self) -> TokenBackend:
        return _key_ring()


class RefreshToken(tokens.RefreshToken):
    def get_token_backend(self) -> TokenBackend:
        return _key_ring()


def read_access_token(token: str) -> dict[str, Any]:
    """The claims of an access token of ours that is good just now.

    Raises TokenExpired or TokenInvalid.
    """
    claims = _verified(token, _key_ring())
    if claims["exp"] <= time.time():
        raise errors.TokenExpired
    return claims


def read_refresh_token(token: str) -> RefreshToken:
    """A refresh token of ours that has not ended; whether it is spent, its sign-in knows.

    Raises TokenExpired or TokenInvalid.
    """
    return _read(RefreshToken, token)


def new_service_token() -> str:
    return SERVICE_TOKEN_PREFIX + secrets.token_urlsafe(32)


def new_calendar_key() -> str:
    return CALENDAR_KEY_PREFIX + secrets.token_urlsafe(32)


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


# A caller shows the same token many times: its signature is worth 70 us, finding it here 1 us.
@lru_cache(maxsize=4096)
def _verified(token: str, key_ring: KeyRing) -> dict[str, Any]:
    return _read(AccessToken, token).payload


def _read(kind: type[Kind], token: str) -> Kind:
    try:
        return kind(cast(Any, token))  # the library calls text a Token
    except exceptions.ExpiredTokenError:
        raise errors.TokenExpired from None
    except exceptions.TokenError:
        raise errors.TokenInvalid from None


def _key_ring() -> KeyRing:
    return _key_ring_of((settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS))


@lru_cache(maxsize=2)
def _key_ring_of(secret_keys: tuple[str, ...]) -> KeyRing:
    return KeyRing(secret_keys)
