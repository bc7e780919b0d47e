"""What all instances know together, for seconds only: kept in a Redis, and done without while it is
away."""

import logging
import os
import threading
import time
from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar

from django.conf import settings
from django.utils.module_loading import import_string

from . import metrics

logger = logging.getLogger(__name__)

PAUSE = 5.0  # seconds for which nobody asks what did not answer
PATIENCE = 0.25  # seconds in which it has to answer
T = TypeVar("T")


class Away(Exception):
    """It does not answer now."""


class Redis:
    """One that is asked by all threads, and left alone for a while once it has not answered."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._is_away = False
        self._ask_again_at = 0.0

    def ask(self, question: Callable[[Any], T]) -> T:
        """What the Redis answers to it. Raises Away, which costs those who ask as it goes, and then
        one caller in each pause, the time that it takes to find that out."""
        was_away = self._is_away
        if was_away and not self._is_to_be_tried():
            raise Away
        try:
            answer = question(_client())
        except _failure() as failure:
            self._went_away(f"{type(failure).__name__}: {failure}")
            raise Away from failure
        if was_away:  # an answer that was on its way as it went says nothing
            self._came_back()
        return answer

    def _is_to_be_tried(self) -> bool:
        with self._lock:
            now = time.monotonic()
            if now < self._ask_again_at:
                return False
            self._ask_again_at = now + PAUSE
            return True

    def _went_away(self, reason: str) -> None:
        with self._lock:
            self._ask_again_at = time.monotonic() + PAUSE
            if not self._is_away:
                self._is_away = True
                metrics.REDIS_FAILING.set(1)
                logger.error("Redis unavailable", extra={"reason": reason})

    def _came_back(self) -> None:
        with self._lock:
            if self._is_away:
                self._is_away = False
                metrics.REDIS_FAILING.set(0)
                logger.info("Redis available again")


@cache
def _client() -> Any:
    # Not before it is needed: the library takes 8 MiB of every worker.
    return import_string("redis.Redis").from_url(
        settings.REDIS_URL,
        socket_connect_timeout=PATIENCE,
        socket_timeout=PATIENCE,
        # By itself it would try again for seconds.
        retry=import_string("redis.retry.Retry")(import_string("redis.backoff.NoBackoff")(), 0),
    )


@cache
def _failure() -> type[Exception]:
    return import_string("redis.exceptions.RedisError")  # type: ignore[no-any-return]


redis = Redis()
# A forked process would talk over the connections of the one that it came from.
os.register_at_fork(after_in_child=_client.cache_clear)
