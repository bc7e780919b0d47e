"""Where reads may go besides the primary: a replica, as long as it is known to be fresh enough.

A replica cannot say by itself how far behind it is: cut off, it has replayed all that it got. So
each process notes now and then how far the primary has written its log. A replica that has replayed
that far has everything that was committed until then, by this process's clock alone.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple, TypeVar

from django.conf import settings
from django.db import InterfaceError, OperationalError, connections

from . import failover, metrics

logger = logging.getLogger(__name__)

REPLICA, BEHIND, UNAVAILABLE, NOT_KNOWN = "replica", "behind", "unavailable", "not_known"
PAUSE = 5.0  # seconds for which a replica that failed is left alone
NEVER = float("-inf")
FAILURES = (OperationalError, InterfaceError)
T = TypeVar("T")

WRITTEN = "SELECT pg_wal_lsn_diff(pg_current_wal_flush_lsn(), '0/0')::bigint"
REPLAYED = "SELECT pg_wal_lsn_diff(pg_last_wal_replay_lsn(), '0/0')::bigint"


class Note(NamedTuple):
    """How far the primary had written its log when it was asked, or further."""

    asked_at: float
    position: int


class Finding(NamedTuple):
    """What the replica at the other end of a connection has: all that was committed before a
    moment. Of a proxy's connections each may lead to another."""

    connection: Any = None
    asked_at: float = NEVER
    has_all_before: float = NEVER
    lacks_since: float | None = None


class Replica:
    """What this process knows of it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._noting = threading.Lock()
        self._notes: deque[Note] = deque(maxlen=16)
        self.not_used_because = ""  # empty while it is of use, as far as is known
        self._try_again_at = NEVER

    def ask(self, question: Callable[[], T]) -> T:
        """The replica's answer to a question that writes nothing; the primary's if it has none."""
        outcome = not_used_because = self.not_used_because
        if not_used_because and not self._is_to_be_tried():
            metrics.REPLICA_READS.labels(outcome).inc()
            return question()
        primary, replica = connections["default"], connections[REPLICA]
        failover.drop_if_broken(replica)
        outcome = UNAVAILABLE
        try:
            outcome = self._standing_of(replica)
            if outcome == REPLICA:
                connections["default"] = replica
                return question()  # a refusal is an answer too
        except FAILURES as failure:
            outcome = UNAVAILABLE
            replica.close()
            self._leave_alone(outcome, str(failure).partition("\n")[0], PAUSE)
        finally:
            connections["default"] = primary
            if outcome == REPLICA and not_used_because:
                self._is_of_use()
            metrics.REPLICA_READS.labels(outcome).inc()
        return question()

    def _standing_of(self, replica: Any) -> str:
        limit = settings.REPLICA_LAG.total_seconds()
        found: Finding = getattr(replica, "found", Finding())
        is_old = time.monotonic() - found.asked_at > limit / 4
        if is_old or found.connection is not replica.connection:
            self._note(limit)
            found = replica.found = self._find(replica)
        now = time.monotonic()
        if now - found.has_all_before <= limit:
            return REPLICA
        if found.lacks_since is not None and now - found.lacks_since > limit:
            self._leave_alone(BEHIND, f"{now - found.lacks_since:.1f} s behind", limit)
            return BEHIND
        # Not asked for a while, and what is being written has not arrived yet: soon known.
        self._try_again_at = now + limit / 4
        return NOT_KNOWN

    def _note(self, limit: float) -> None:
        # By one at a time, for whom nobody waits: the primary may hang.
        if not self._noting.acquire(blocking=False):
            return
        try:
            with suppress(*FAILURES):  # of the primary: whoever asks it will notice
                asked_at = time.monotonic()
                if not self._notes or asked_at - self._notes[-1].asked_at > limit / 8:
                    self._notes.append(Note(asked_at, _number(connections["default"], WRITTEN)))
        finally:
            self._noting.release()

    def _find(self, replica: Any) -> Finding:
        asked_at, replayed = time.monotonic(), _number(replica, REPLAYED)
        if replayed is None:
            raise OperationalError("it is no replica")
        notes = list(self._notes)
        return Finding(
            replica.connection,
            asked_at,
            max((one.asked_at for one in notes if one.position <= replayed), default=NEVER),
            min((one.asked_at for one in notes if one.position > replayed), default=None),
        )

    def _is_to_be_tried(self) -> bool:
        """By one at a time, who finds out for all whether it is of use again."""
        with self._lock:
            now = time.monotonic()
            if now < self._try_again_at:
                return False
            self._try_again_at = now + PAUSE
            return True

    def _leave_alone(self, because: str, reason: str, seconds: float) -> None:
        with self._lock:
            self._try_again_at = time.monotonic() + seconds
            if not self.not_used_because:
                logger.warning("replica not used", extra={"reason": reason})
            self.not_used_because = because

    def _is_of_use(self) -> None:
        with self._lock:
            if self.not_used_because:
                self.not_used_because = ""
                logger.info("replica used again")


def _number(connection: Any, sql: str) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchone()[0]


replica = Replica()
