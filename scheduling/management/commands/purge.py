"""For a scheduler, once an hour or a day: what is kept for a time only goes."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from scheduling import errors, expiry, relay


class Command(BaseCommand):
    help = "Delete what is kept for a time only: answers for retries, sign-ins, deliveries."

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            purged = expiry.purge()
            relay.renumber()
        except errors.DATABASE_AWAY as unavailable:
            raise CommandError(f"The database cannot be used: {unavailable}") from unavailable
        self.stdout.write(", ".join(f"{count} {name}" for name, count in purged.items()))
