"""A job of a command again and again, until SIGTERM or Ctrl-C."""

import logging
import signal
import threading
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Callable

from django.db import connection

from scheduling import errors

from .complaints import database_is_needed

logger = logging.getLogger(__name__)

Job = Callable[[Callable[[], bool]], None]  # it is told by what to know that it should stop


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--every", type=_seconds, metavar="SECONDS", help="Go on until SIGTERM or Ctrl-C."
    )


def run(job: Job, every: float | None) -> None:
    """Once, or every so many seconds."""
    if every is not None:
        _until_stopped(job, every)
        return
    with database_is_needed():
        job(lambda: False)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0
    if not 0.1 <= seconds <= 86400:
        raise ArgumentTypeError("must be a number of seconds from 0.1 to 86400")
    return seconds


def _until_stopped(job: Job, every: float) -> None:
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    # In a thread of its own, so that a run which waits for the database delays no answer to
    # SIGTERM: what it had not committed is left to the next run.
    runs = threading.Thread(target=_run_every, args=(job, every, stopped), daemon=True)
    runs.start()
    stopped.wait()
    runs.join(timeout=0.5)


def _run_every(job: Job, every: float, stopped: threading.Event) -> None:
    while not stopped.is_set():
        try:
            job(stopped.is_set)
        except errors.DATABASE_AWAY as unavailable:
            logger.error("database unavailable", extra={"reason": str(unavailable).strip()})
            connection.close()
        except Exception:  # a loop that ends unnoticed would leave everything undone
            logger.exception("job failed")
            connection.close()
        stopped.wait(every)
