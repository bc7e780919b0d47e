"""For a scheduler, once a day or an hour: the past moves to the analytics database."""

import re
from argparse import ArgumentParser, ArgumentTypeError
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from analytics import archive, store
from scheduling.management.complaints import database_is_needed


def _days(text: str) -> timedelta:
    if not re.fullmatch("[1-9][0-9]{0,4}d", text) or int(text[:-1]) > 36500:
        raise ArgumentTypeError("must be a number of days such as 180d, from 1d to 36500d")
    return timedelta(days=int(text[:-1]))


class Command(BaseCommand):
    help = (
        "Move past timeslots, finished reservations and their events to the analytics database. "
        "It can be stopped at any moment and run again, or twice at once."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--older-than",
            type=_days,
            metavar="DAYS",
            help="what was over so long ago, such as 180d; unless given, ARCHIVE_AFTER_DAYS",
        )

    def handle(self, *args: Any, older_than: timedelta | None, **options: Any) -> None:
        older_than = older_than or settings.ARCHIVE_AFTER
        if not older_than:
            raise CommandError("Say --older-than, such as 180d, or set ARCHIVE_AFTER_DAYS.")
        try:
            with database_is_needed():
                moved = archive.archive(older_than=older_than)
        except store.AnalyticsAway as away:
            raise CommandError(str(away)) from away
        self.stdout.write(
            "moved {reservations} reservations with {events} events, and {timeslots} timeslots; "
            "{needed} reservations are needed still".format(**moved)
        )
