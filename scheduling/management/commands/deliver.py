"""What happened is told to those who want to know: one run, or a run every so many seconds.

Where there is a broker, the worker does the same.
"""

from argparse import ArgumentParser
from collections.abc import Callable
from typing import Any

from django.core.management.base import BaseCommand

from scheduling import notifications, webhooks
from scheduling.management import periodic


class Command(BaseCommand):
    help = "Tell webhooks and people what they have not been told yet."

    def add_arguments(self, parser: ArgumentParser) -> None:
        periodic.add_arguments(parser)

    def handle(self, *args: Any, every: float | None, **options: Any) -> None:
        periodic.run(self._deliver, every)

    def _deliver(self, should_stop: Callable[[], bool]) -> None:
        webhooks.deliver(should_stop=should_stop)
        notifications.send(should_stop=should_stop)
