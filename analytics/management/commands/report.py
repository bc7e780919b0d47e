"""A question about the past, answered as a table and, if wanted, as a picture."""

from argparse import ArgumentParser, ArgumentTypeError
from importlib.util import find_spec
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils.module_loading import import_string

from analytics import reports, store
from scheduling.management.complaints import database_is_needed


def _picture(path: str) -> str:
    if not path.endswith((".png", ".svg")):
        raise ArgumentTypeError("must be a file such as week.png or week.svg")
    return path


class Command(BaseCommand):
    help = "Answer a question about what was archived, for each provider and week."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", choices=reports.QUESTIONS)
        parser.add_argument("--plot", type=_picture, metavar="FILE", help="draw it as well")

    def handle(self, *args: Any, name: str, plot: str | None, **options: Any) -> None:
        if plot and find_spec("matplotlib") is None:
            raise CommandError(
                "matplotlib cannot be found: python -m pip install -r requirements-reports.txt."
            )
        try:
            with database_is_needed():
                found = reports.report(name=name)
        except store.AnalyticsAway as away:
            raise CommandError(str(away)) from away
        if not found.rows:
            self.stdout.write("nothing has been archived yet")
            return
        self.stdout.write(reports.as_table(found))
        if plot:
            try:
                import_string("analytics.plots.draw")(found, plot)
            except OSError as unwritable:
                raise CommandError(f"It could not be drawn: {unwritable}") from unwritable
