"""For a scheduler, once an hour or a day: what is kept for a time only goes."""

from typing import Any

from django.core.management.base import BaseCommand

from scheduling import expiry, relay
from scheduling.management.complaints import database_is_needed


class Command(BaseCommand):
    help = "Delete what is kept for a time only: answers for retries, sign-ins, deliveries."

    def handle(self, *args: Any, **options: Any) -> None:
        with database_is_needed():
            purged = expiry.purge()
            relay.renumber()
        self.stdout.write(", ".join(f"{count} {name}" for name, count in purged.items()))
