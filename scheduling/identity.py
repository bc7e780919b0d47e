"""The tokens of a foreign identity provider, verified with the keys it publishes (RFC 7517)."""

import http.client
import logging
import threading
import time
import urllib.request
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import jwt
import orjson
from django.conf import settings

from . import errors

logger = logging.getLogger(__name__)

# Of key pairs alone: with HS256, whoever knows the public key could sign.
ALGORITHMS = (
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "EdDSA"),
)
KEY_TYPES = ("RSA", "EC", "OKP")
# In seconds. How far the issuer's clock may be from ours:
LEEWAY = 30
# How long keys are taken without asking again, and so a withdrawn one:
LONGEST_AGE = 300
# Between two questions, whatever came of the first: made-up `kid`s must not make us a nuisance.
PAUSE = 30
LONGEST_FETCH = 3
LARGEST_ANSWER = 256 * 1024


class UnknownKey(errors.TokenInvalid):
    """The token names a key that is not known here: made up, or newer than what is known."""


@dataclass(frozen=True, eq=False)
class KeySet:
    """The keys that were published at one moment. It equals no other, so that what a key verified
    is forgotten with the set it came in."""

    by_kid: dict[str, jwt.PyJWK]
    fetched_at: float


class Issuer:
    """The identity provider, as far as its keys go. One thread at a time asks it for them."""

    def __init__(self, jwks_url: str) -> None:
        self.jwks_url = jwks_url
        self.known: KeySet | None = None
        self.asked_at = 0.0
        self.asking = threading.Lock()

    def keys(self) -> KeySet:
        """Older than LONGEST_AGE only while the issuer is being asked or cannot be."""
        if self.known is None or not _is_within(LONGEST_AGE, self.known.fetched_at):
            self.ask()
        if self.known is None:
            raise _no_keys()
        return self.known

    def ask(self) -> bool:
        """Fetch the keys, unless that was tried just before. False: another thread is at it."""
        if _is_within(PAUSE, self.asked_at):
            return True
        # A slow issuer keeps one thread waiting. The others go on with the keys they have; only
        # where there are none yet, they wait as well.
        if not self.asking.acquire(timeout=0 if self.known else LONGEST_FETCH):
            return False
        try:
            if not _is_within(PAUSE, self.asked_at):
                self._fetch()
        finally:
            self.asking.release()
        return True

    def _fetch(self) -> None:
        try:
            self.known = _fetched(self.jwks_url)
        except (OSError, http.client.HTTPException, ValueError) as reason:
            logger.error("identity provider unavailable", extra={"reason": str(reason)})
        finally:
            self.asked_at = time.time()


def read(token: str) -> dict[str, Any]:
    """The claims of a token of the issuer's that is good just now.

    Raises TokenExpired or TokenInvalid; Unavailable while the keys to tell by are missing.
    """
    issuer = _issuer_at(settings.IDENTITY_JWKS_URL)
    try:
        claims = _verified(token, issuer.keys())
    except UnknownKey:
        if not issuer.ask():  # perhaps this very key is on its way
            raise _no_keys() from None
        claims = _verified(token, issuer.keys())
    if claims["exp"] <= time.time() - LEEWAY:
        raise errors.TokenExpired
    return claims


_issuers: dict[str, Issuer] = {}


def _issuer_at(jwks_url: str) -> Issuer:
    # Not by lru_cache: of that, two threads could get one each, and both would ask.
    return _issuers.get(jwks_url) or _issuers.setdefault(jwks_url, Issuer(jwks_url))


# As in tokens.py; fewer, since these tokens carry whatever their issuer puts into them.
@lru_cache(maxsize=1024)
def _verified(token: str, key_set: KeySet) -> dict[str, Any]:
    try:
        kid = jwt.get_unverified_header(token).get("kid")
        if kid is None:
            raise errors.TokenInvalid
        key = key_set.by_kid.get(kid)
        if key is None:
            raise UnknownKey
        claims = jwt.decode(
            token,
            key,
            algorithms=[key.algorithm_name],
            issuer=settings.IDENTITY_ISSUER,
            audience=settings.IDENTITY_AUDIENCE,
            leeway=LEEWAY,
            options={
                "require": ["exp", "iss", "aud", "sub"],
                "enforce_minimum_key_length": True,
            },
        )
    except jwt.ExpiredSignatureError:
        raise errors.TokenExpired from None
    except jwt.PyJWTError:
        raise errors.TokenInvalid from None
    return claims | {"exp": int(claims["exp"])}  # which is all that was asked of it


def _fetched(url: str) -> KeySet:
    """Raises OSError, HTTPException or ValueError."""
    fetched_at, until = time.time(), time.monotonic() + LONGEST_FETCH
    request = urllib.request.Request(url, headers={"User-Agent": "reservation-service"})  # noqa: S310  settings.py has looked at it
    body = b""
    with _opener.open(request, timeout=LONGEST_FETCH) as answer:
        if answer.status != 200:
            raise ValueError(f"It answers {answer.status}.")
        while piece := answer.read1(LARGEST_ANSWER):
            body += piece
            if len(body) > LARGEST_ANSWER or time.monotonic() > until:
                raise ValueError("Its answer is too long, or takes too long.")
    document = orjson.loads(body)
    if not isinstance(document, dict) or not isinstance(document.get("keys"), list):
        raise ValueError("Its answer is no key set.")
    keys = [key for key in map(_usable, document["keys"]) if key is not None]
    if not keys:
        # Taken at its word: it may have withdrawn its only key.
        logger.warning("identity provider without keys")
    return KeySet({str(key.key_id): key for key in keys}, fetched_at)


def _usable(data: Any) -> jwt.PyJWK | None:
    """None: not for signatures, not of an algorithm taken here, or no secret any more (`d`)."""
    if (
        not isinstance(data, dict)
        or not isinstance(data.get("kid"), str)
        or data.get("use") not in (None, "sig")
        or data.get("kty") not in KEY_TYPES
        or data.get("alg") not in (None, *ALGORITHMS)
        or "d" in data
    ):
        return None
    try:
        key = jwt.PyJWK(data)
    except jwt.PyJWTError:
        return None
    return key if key.algorithm_name in ALGORITHMS else None


def _is_within(seconds: float, moment: float) -> bool:
    # A clock that was set back must not make a moment of the future a recent one for long.
    return 0 <= time.time() - moment < seconds


def _no_keys() -> errors.Unavailable:
    return errors.Unavailable("Nobody can be recognized just now. Try again in a few seconds.")


class _AsItIs(urllib.request.HTTPErrorProcessor):
    """Hands on every answer; so no redirect is followed."""

    def http_response(
        self, request: urllib.request.Request, response: http.client.HTTPResponse
    ) -> http.client.HTTPResponse:
        return response

    https_response = http_response


_opener = urllib.request.build_opener(_AsItIs)
