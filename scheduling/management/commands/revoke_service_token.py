"""A machine's token is not taken any more."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from scheduling import accounts, errors


class Command(BaseCommand):
    help = "Revoke a service token by its name; at once, for every instance."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name")

    def handle(self, *args: Any, name: str, **options: Any) -> None:
        try:
            accounts.revoke_service_token(name=name)
        except errors.Refusal as refused:
            raise CommandError(str(refused.detail)) from refused
        except errors.DATABASE_AWAY as unavailable:
            raise CommandError(f"The database cannot be used: {unavailable}") from unavailable
        self.stdout.write("revoked")
