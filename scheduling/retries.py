"""Retries that are safe: what is asked twice under one key has its effect once."""

from collections.abc import Callable, Collection
from hashlib import blake2b
from typing import NamedTuple

from django.db import connection, transaction
from django.utils import timezone

from . import errors, failover, policy
from .models import StoredAnswer


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes


def answer_once(
    *,
    caller: str,
    key: str,
    fingerprints: Collection[str],
    effect: Callable[[], Answer],
) -> tuple[Answer, bool]:
    """The answer of `effect`, stored with it in one transaction; or the one that is stored, and
    whether it was. A refusal has no effect and stores nothing: repeated, it is tried again.

    The first of the fingerprints is kept, any of them recognises the request. Raises StillRunning
    while the first request is, KeyReused when it was another one, and what `effect` raises.
    """
    return failover.once_more(
        lambda: _answer_once(caller, key, fingerprints, effect), after=failover.was_refused
    )


def _answer_once(
    caller: str, key: str, fingerprints: Collection[str], effect: Callable[[], Answer]
) -> tuple[Answer, bool]:
    now = timezone.now()
    with transaction.atomic():
        _require_alone(caller, key)
        found = StoredAnswer.objects.filter(caller=caller, key=key).first()
        if found is not None and found.created_at <= policy.oldest_answer(now):
            found.delete()
            found = None
        if found is not None:
            if found.fingerprint not in fingerprints:
                raise errors.KeyReused
            return Answer(found.status, found.headers, bytes(found.body)), True
        answer = effect()
        StoredAnswer.objects.create(
            caller=caller,
            key=key,
            fingerprint=next(iter(fingerprints)),
            created_at=now,
            **answer._asdict(),
        )
    return answer, False


def _require_alone(caller: str, key: str) -> None:
    """SQLite has one writer: whoever comes second waits for the first, and gets its answer."""
    if connection.vendor != "postgresql":
        return
    digest = blake2b(f"{caller}\n{key}".encode(), digest_size=8).digest()
    with connection.cursor() as cursor:
        # Until the transaction ends, however it ends.
        cursor.execute(
            "SELECT pg_try_advisory_xact_lock(%s)",
            [int.from_bytes(digest, "big", signed=True)],
        )
        [is_alone] = cursor.fetchone()
    if not is_alone:
        raise errors.StillRunning
