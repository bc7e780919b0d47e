"""Somebody wants to be forgotten, and may want that."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from analytics import erasure, store
from scheduling import errors


class Command(BaseCommand):
    help = (
        "Erase a client's names, account, calendar link, messages and whatever was said of their "
        "reservations, in both databases. Their reservations stay, as figures."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("client_id", type=int)
        parser.add_argument(
            "--cancel-reservations",
            action="store_true",
            help="cancel what they have reserved and is not over; otherwise that is refused",
        )

    def handle(self, *args: Any, client_id: int, cancel_reservations: bool, **_: Any) -> None:
        try:
            cancelled = erasure.forget_client(
                client_id=client_id, cancel_reservations=cancel_reservations
            )
        except errors.ClientNotFound as unknown:
            raise CommandError(f"There is no client {client_id}.") from unknown
        except erasure.HasReservations as live:
            raise CommandError(
                f"Client {client_id} has reservations that are not over ({_listed(live.args[0])}). "
                "Nothing was erased. --cancel-reservations cancels them."
            ) from live
        except store.AnalyticsAway as away:
            raise CommandError(f"{away}\nNothing was erased here; repeat this.") from away
        except errors.DATABASE_AWAY as unavailable:
            raise CommandError(
                f"The database cannot be used: {unavailable}\nIt is not said that all was erased; "
                "repeat this."
            ) from unavailable
        if cancelled:
            self.stdout.write(f"cancelled reservations {_listed(cancelled)}")
        self.stdout.write(f"client {client_id} is forgotten")


def _listed(ids: list[int]) -> str:
    return ", ".join(map(str, ids))
