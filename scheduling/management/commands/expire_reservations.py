"""The sweep for a scheduler: one run, or a run every so many seconds until SIGTERM."""

from argparse import ArgumentParser
from collections.abc import Callable
from typing import Any

from django.core.management.base import BaseCommand

from scheduling import expiry
from scheduling.management import periodic


class Command(BaseCommand):
    help = "Write down which holds ran out, and print the timeslots that this released."

    def add_arguments(self, parser: ArgumentParser) -> None:
        periodic.add_arguments(parser)

    def handle(self, *args: Any, every: float | None, **options: Any) -> None:
        self.is_periodic = every is not None
        periodic.run(self._sweep, every)

    def _sweep(self, should_stop: Callable[[], bool]) -> None:
        released = expiry.expire_overdue(should_stop=should_stop)
        for timeslot in released:
            self.stdout.write(
                f"released timeslot {timeslot.timeslot_id} of provider {timeslot.provider_id}, "
                f"{timeslot.start_time:%Y-%m-%dT%H:%M:%SZ}"
            )
        if released or not self.is_periodic:
            self.stdout.write(f"{len(released)} timeslots released")
            self.stdout.flush()
