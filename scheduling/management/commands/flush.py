"""Django's own, with the reservations first: on SQLite no timeslot can go from under a live one."""

from typing import Any

from django.core.management.commands import flush
from django.db import connections


class Command(flush.Command):
    def handle(self, **options: Any) -> None:
        ops: Any = connections[options["database"]].ops
        in_any_order = ops.execute_sql_flush

        def reservations_first(statements: list[str]) -> None:
            in_any_order(sorted(statements, key=lambda sql: "scheduling_reservation" not in sql))

        ops.execute_sql_flush = reservations_first
        try:
            super().handle(**options)
        finally:
            del ops.execute_sql_flush
