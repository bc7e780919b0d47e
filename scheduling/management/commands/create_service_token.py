"""A token for a machine, such as the cron job that sweeps."""

import re
from argparse import ArgumentParser, ArgumentTypeError
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from scheduling import accounts, errors
from scheduling.management.complaints import database_is_needed
from scheduling.models import ServiceToken


def _days(text: str) -> int:
    if not re.fullmatch("[0-9]{1,4}", text) or not 1 <= int(text) <= 3650:
        raise ArgumentTypeError("must be a whole number of days from 1 to 3650")
    return int(text)


class Command(BaseCommand):
    help = "Print a new token, alone on stdout. It is not kept and cannot be shown again."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", help="whose it is: unique, 1 to 100 characters")
        parser.add_argument("--scope", choices=ServiceToken.Scope.values, required=True)
        parser.add_argument("--days", type=_days, default=90, help="how long it lasts (90)")

    def handle(self, *args: Any, name: str, scope: str, days: int, **options: Any) -> None:
        try:
            with database_is_needed():
                token = accounts.create_service_token(name=name, scope=scope, days=days)
        except errors.Refusal as refused:
            raise CommandError(str(refused.detail)) from refused
        self.stdout.write(token)
