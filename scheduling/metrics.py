"""What is counted for operators, and how the counts of several processes are kept.

Each process counts in files of its own, in the folder that PROMETHEUS_MULTIPROC_DIR names; without
one, for itself. The files go by seats and not by process ids: whoever takes the seat of a process
that has died goes on with its counts, so that none goes backward and no files pile up.
"""

import fcntl
import logging
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    values,
)
from prometheus_client.multiprocess import MultiProcessCollector

logger = logging.getLogger(__name__)

FOLDER = "PROMETHEUS_MULTIPROC_DIR"
SEAT = "{}.seat"
GAUGES = "gauge_live*_{}.db"  # true only of a process that lives


class _Seat:
    """The lowest number that no living process has: locked, and let go by the kernel at the end."""

    def __init__(self) -> None:
        self._process: int | None = None
        self._number = 0
        self._lock: int | None = None

    def __call__(self) -> int:
        if self._process != os.getpid():
            self._take()
        return self._number

    def _take(self) -> None:
        if self._lock is not None:  # of the process that this one was forked from
            os.close(self._lock)
        number = 0
        while (lock := _locked(number)) is None:
            number += 1
        self._process, self._number, self._lock = os.getpid(), number, lock
        _forget_gauges(number)


def _locked(number: int) -> int | None:
    """The open lock of this seat; None when a living process has it."""
    path = _folder() / SEAT.format(number)
    file = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(file)
        return None
    return file


def _forget_gauges(number: int) -> None:
    for path in _folder().glob(GAUGES.format(number)):
        path.unlink(missing_ok=True)


def _folder() -> Path:
    return Path(os.environ[FOLDER])


class _Everybody(MultiProcessCollector):
    """The counts of all processes as one, of those that have died too, but for their gauges."""

    def collect(self) -> Any:
        for path in _folder().glob(SEAT.format("*")):
            lock = _locked(int(path.stem))
            if lock is not None:
                _forget_gauges(int(path.stem))
                os.close(lock)
        # One that is being made at this moment is empty, which the library takes for broken.
        files = [str(path) for path in _folder().glob("*.db") if _size(path)]
        return self.merge(files)  # type: ignore[no-untyped-call]


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _or_for_itself(shared: Any) -> Callable[..., Any]:
    """Where there is no room for a file, a process counts for itself, unseen: a full disk costs
    counts and no answers."""

    def value(*args: Any, **options: Any) -> Any:
        try:
            return shared(*args, **options)
        except OSError as full:
            logger.error("counts not shared", extra={"reason": str(full.strerror)})
            return values.MutexValue(*args, **options)  # type: ignore[no-untyped-call]

    return value


is_shared = FOLDER in os.environ
if is_shared:
    shared = values.MultiProcessValue(_Seat())  # type: ignore[no-untyped-call]
    values.ValueClass = _or_for_itself(shared)
disable_created_metrics()  # type: ignore[no-untyped-call]
OURS = CollectorRegistry()


def everything() -> CollectorRegistry:
    """What to show: of all processes that share the folder, else of this one."""
    if not is_shared:
        return OURS
    registry = CollectorRegistry()
    _Everybody(registry)  # type: ignore[no-untyped-call]
    return registry


# --- What is counted. No label may hold anything that a caller can choose at will. ---------------

REQUESTS = Counter(
    "reservations_http_requests",
    "Requests answered, by endpoint, method and status.",
    ["endpoint", "method", "status"],
    registry=OURS,
)
REQUEST_SECONDS = Histogram(
    "reservations_http_request_seconds",
    "How long requests took inside the service, by endpoint.",
    ["endpoint"],
    buckets=(0.005, 0.02, 0.1, 0.5, 2.5),
    registry=OURS,
)
RESERVES = Counter(
    "reservations_reserves",
    "Reserves by what became of them: held, or the code of the refusal.",
    ["outcome"],
    registry=OURS,
)
CONFIRMS = Counter(
    "reservations_confirms",
    "Confirms by what became of them: confirmed, or the code of the refusal.",
    ["outcome"],
    registry=OURS,
)
DEADLINES_WAITING = Gauge(
    "reservations_deadlines_waiting",
    "Deadlines of holds that the broker has not been told of yet.",
    multiprocess_mode="livesum",
    registry=OURS,
)
DEADLINES_FAILING = Gauge(
    "reservations_deadlines_failing",
    "Processes that cannot tell the broker of deadlines just now.",
    multiprocess_mode="livesum",
    registry=OURS,
)
EXPIRY_LATENESS = Histogram(
    "reservations_hold_expiry_lateness_seconds",
    "How long after their deadline holds expired by message.",
    buckets=(0.1, 0.5, 1, 5, 15, 60),
    registry=OURS,
)
REPLICA_READS = Counter(
    "reservations_replica_reads",
    "Reads that may go to a replica: answered by it, or why they were not.",
    ["outcome"],
    registry=OURS,
)
LISTS = Counter(
    "reservations_kept_lists",
    "Lists of bookable timeslots: as they were kept and trusted, compared, or made anew.",
    ["outcome"],
    registry=OURS,
)
REDIS_FAILING = Gauge(
    "reservations_redis_failing",
    "Processes that do without the Redis just now, because it did not answer.",
    multiprocess_mode="livesum",
    registry=OURS,
)
WEBHOOK_ATTEMPTS = Counter(
    "reservations_webhook_attempts",
    "Webhooks sent, by what came of it.",
    ["outcome"],
    registry=OURS,
)
NOTIFICATIONS = Counter(
    "reservations_notifications",
    "Messages to people, by what became of them.",
    ["outcome"],
    registry=OURS,
)


def count_request(endpoint: str, method: str, status: int, seconds: float) -> None:
    _requests(endpoint, method, status).inc()
    _request_seconds(endpoint).observe(seconds)


@cache  # the library's own look-up costs more than the count
def _requests(endpoint: str, method: str, status: int) -> Counter:
    return REQUESTS.labels(endpoint, method, status)


@cache
def _request_seconds(endpoint: str) -> Histogram:
    return REQUEST_SECONDS.labels(endpoint)
