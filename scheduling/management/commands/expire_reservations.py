"""The sweep for a scheduler: one run, or a run every so many seconds until SIGTERM."""

import logging
import signal
import threading
from argparse import ArgumentParser, ArgumentTypeError
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import connection

from scheduling import errors, expiry
from scheduling.models import TimeslotRow

logger = logging.getLogger(__name__)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0
    if not 0.1 <= seconds <= 86400:
        raise ArgumentTypeError("must be a number of seconds from 0.1 to 86400")
    return seconds


class Command(BaseCommand):
    help = "Write down which holds ran out, and print the timeslots that this released."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--every", type=_seconds, metavar="SECONDS", help="Go on until SIGTERM or Ctrl-C."
        )

    def handle(self, *args: Any, every: float | None, **options: Any) -> None:
        if every is not None:
            self._until_stopped(every)
            return
        try:
            self._print(expiry.expire_overdue())
        except errors.DATABASE_AWAY as unavailable:
            raise CommandError(f"The database cannot be used: {unavailable}") from unavailable

    def _until_stopped(self, every: float) -> None:
        stopped = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stopped.set())
        # In a thread of its own, so that a run which waits for the database delays no answer to
        # SIGTERM: what it had not committed is left to the next run.
        runs = threading.Thread(target=self._run_every, args=(every, stopped), daemon=True)
        runs.start()
        stopped.wait()
        runs.join(timeout=0.5)

    def _run_every(self, every: float, stopped: threading.Event) -> None:
        while not stopped.is_set():
            try:
                released = expiry.expire_overdue(should_stop=stopped.is_set)
                if released:
                    self._print(released)
            except errors.DATABASE_AWAY as unavailable:
                logger.error("database unavailable", extra={"reason": str(unavailable).strip()})
                connection.close()
            except Exception:  # a loop that ends unnoticed would leave nothing swept
                logger.exception("sweep failed")
                connection.close()
            stopped.wait(every)

    def _print(self, released: list[TimeslotRow]) -> None:
        for timeslot in released:
            self.stdout.write(
                f"released timeslot {timeslot.timeslot_id} of provider {timeslot.provider_id}, "
                f"{timeslot.start_time:%Y-%m-%dT%H:%M:%SZ}"
            )
        self.stdout.write(f"{len(released)} timeslots released")
        self.stdout.flush()
