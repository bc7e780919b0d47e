"""The way out for a worker whose threads wait for callers who never send the body they promised.

The application server gives a thread to such a caller and lets it wait for ever; a handful of them
would stop the service. A read cannot be interrupted from here, so the worker ends itself and the
server starts another. A proxy that buffers requests keeps all of this from happening (README).
"""

import logging
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings

logger = logging.getLogger(__name__)

_reading_since: dict[int, float] = {}
_start_once = threading.Lock()


@contextmanager
def reading_a_body() -> Iterator[None]:
    if _start_once.acquire(blocking=False):  # never released: one watch for each process
        threading.Thread(target=_watch, name="watchdog", daemon=True).start()
    thread = threading.get_ident()
    _reading_since[thread] = time.monotonic()
    try:
        yield
    finally:
        del _reading_since[thread]


def _watch() -> None:
    deadline = settings.BODY_DEADLINE.total_seconds()
    while True:
        time.sleep(deadline / 4)
        oldest = min(list(_reading_since.values()), default=time.monotonic())
        if time.monotonic() - oldest > deadline:
            logger.error("worker ended", extra={"reason": "a caller did not send its body"})
            os._exit(1)
