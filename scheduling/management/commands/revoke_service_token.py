"""A machine's token is not taken any more."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from scheduling import accounts, errors
from scheduling.management.complaints import database_is_needed


class Command(BaseCommand):
    help = "Revoke a service token by its name; at once, for every instance."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name")

    def handle(self, *args: Any, name: str, **options: Any) -> None:
        try:
            with database_is_needed():
                accounts.revoke_service_token(name=name)
        except errors.Refusal as refused:
            raise CommandError(str(refused.detail)) from refused
        self.stdout.write("revoked")
