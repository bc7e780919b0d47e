"""Accounts: signing up as a provider or client, staying signed in, and the tokens of machines."""

import hmac
import logging
import uuid
from datetime import timedelta
from typing import NamedTuple, TypeVar

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.utils import timezone

from . import errors, tokens
from .models import Person, ServiceToken, SignIn

logger = logging.getLogger(__name__)

P = TypeVar("P", bound=Person)


class Pair(NamedTuple):
    access: str
    refresh: str


def sign_up(
    kind: type[P],
    *,
    first_name: str,
    last_name: str,
    email: str,
    password: str,
    is_by_staff: bool,
) -> P:
    """Make a provider or client with an account of its own.

    If the e-mail address has an account, only the person is made, and the caller sees no
    difference: else anybody could ask who has one. Staff may know, and get EmailTaken.
    """
    user = User(username=uuid.uuid4().hex, email=email)
    user.set_password(password)
    with transaction.atomic():
        # The same statements either way, so that their time tells nothing.
        User.objects.bulk_create([user], ignore_conflicts=True)
        account = User.objects.filter(username=user.username).first()
        if account is None and is_by_staff:
            raise errors.EmailTaken
        return kind._default_manager.create(
            first_name=first_name, last_name=last_name, user=account
        )


def join(kind: type[P], *, first_name: str, last_name: str, user_id: int | None) -> P:
    """Make an account that is signed in a provider or client as well.

    Raises AlreadyRegistered, or TokenInvalid when the account has gone since.
    """
    if not User.objects.filter(pk=user_id or 0, is_active=True).exists():
        raise errors.TokenInvalid
    try:
        with transaction.atomic():
            return kind._default_manager.create(
                first_name=first_name, last_name=last_name, user_id=user_id
            )
    except IntegrityError:
        raise errors.AlreadyRegistered from None


def with_email(email: str) -> User | None:
    """The account with this e-mail address, whatever its case."""
    # Written out, because SQLite uses a partial index only where its condition stands literally.
    sql = "SELECT * FROM auth_user WHERE LOWER(email) = %s AND email <> ''"
    return next(iter(User.objects.raw(sql, [email.lower()])), None)


def start_session(*, user: User) -> Pair:
    """Sign an account in on one more device. Raises WrongCredentials when it has just gone."""
    now = timezone.now()
    refresh = tokens.RefreshToken()
    with transaction.atomic():
        # Checking a password takes a while, in which an account can be deleted.
        if not User.objects.filter(pk=user.pk).update(last_login=now):
            raise errors.WrongCredentials
        SignIn.objects.filter(user=user, expires_at__lt=now).delete()
        sign_in = SignIn.objects.create(
            user=user,
            password_mark=user.get_session_auth_hash(),
            unspent=refresh["jti"],
            created_at=now,
            expires_at=now + refresh.lifetime,
        )
    logger.info("signed in", extra={"account": user.pk})
    return _pair(sign_in, refresh)


def refresh(*, token: str) -> Pair:
    """Spend a refresh token for a new pair. One that is spent already ends its sign-in: two hold
    it, and one of them is a thief.

    Raises TokenExpired or TokenInvalid.
    """
    now = timezone.now()
    spent = tokens.read_refresh_token(token)
    sign_in = SignIn.objects.select_related("user").filter(pk=spent["family"]).first()
    if sign_in is None:
        raise errors.TokenInvalid
    user, renewed = sign_in.user, tokens.RefreshToken()
    is_good = user.is_active and _has_same_password(sign_in)
    is_renewed = is_good and SignIn.objects.filter(pk=sign_in.pk, unspent=spent["jti"]).update(
        unspent=renewed["jti"],
        password_mark=user.get_session_auth_hash(),
        expires_at=now + renewed.lifetime,
    )
    if not is_renewed:
        sign_in.delete()
        reason = "spent token" if is_good else "account changed"
        logger.warning("sign-in ended", extra={"account": user.pk, "reason": reason})
        raise errors.TokenInvalid
    return _pair(sign_in, renewed)


def sign_out(*, token: str) -> None:
    """End the sign-in that this refresh token, spent or not, belongs to.

    Raises TokenExpired or TokenInvalid.
    """
    SignIn.objects.filter(pk=tokens.read_refresh_token(token)["family"]).delete()


def create_service_token(*, name: str, scope: str, days: int) -> str:
    """A new token for a machine, good for so many days. It is not kept, so it is shown only once.

    Raises InvalidInput: a name is used once, revoked or not.
    """
    now = timezone.now()
    token = tokens.new_service_token()
    if not 1 <= len(name.strip()) <= 100 or not name.isprintable():
        raise errors.InvalidInput(
            field="name", code="invalid", detail="1 to 100 printable characters are required."
        )
    try:
        with transaction.atomic():
            ServiceToken.objects.create(
                name=name.strip(),
                scope=scope,
                digest=tokens.digest(token),
                created_at=now,
                expires_at=now + timedelta(days=days),
            )
    except IntegrityError:
        raise errors.InvalidInput(
            field="name", code="taken", detail="There is, or was, a service token of this name."
        ) from None
    logger.info("service token created", extra={"scope": scope, "days": days})
    return token


def revoke_service_token(*, name: str) -> None:
    """From now on it is refused. Raises InvalidInput when no token of this name is left."""
    revocable = ServiceToken.objects.filter(name=name, revoked_at=None)
    if not revocable.update(revoked_at=timezone.now()):
        raise errors.InvalidInput(
            field="name", code="unknown", detail="There is no such service token, or not any more."
        )


def find_service(*, token: str) -> ServiceToken:
    """The token's row, by one statement. Raises TokenExpired or TokenInvalid."""
    service = ServiceToken.objects.filter(digest=tokens.digest(token), revoked_at=None).first()
    if service is None:
        raise errors.TokenInvalid
    if service.expires_at <= timezone.now():
        raise errors.TokenExpired
    return service


def _pair(sign_in: SignIn, refresh: tokens.RefreshToken) -> Pair:
    user = sign_in.user
    refresh["family"] = str(sign_in.pk)
    access = tokens.AccessToken.for_user(user)
    persons = {
        "client": None if user.is_staff else getattr(user, "client", None),
        "provider": None if user.is_staff else getattr(user, "provider", None),
    }
    access["role"] = "staff" if user.is_staff else "account"
    for role, person in persons.items():
        if person is not None:
            access["role"] = role
            access[f"{role}_id"] = person.pk
    return Pair(str(access), str(refresh))


def _has_same_password(sign_in: SignIn) -> bool:
    user = sign_in.user
    marks = [user.get_session_auth_hash(), *user.get_session_auth_fallback_hash()]
    return any(hmac.compare_digest(mark, sign_in.password_mark) for mark in marks)
