"""PostgreSQL cleans reservations up after every fiftieth change instead of every fifth.

Whatever becomes of a reservation changes its status, which the index that guards its timeslot is
about: each change leaves a dead row behind, in the table and in its indexes.
"""

from typing import Any

from django.db import migrations

OPTIONS = ("autovacuum_vacuum_scale_factor", "autovacuum_analyze_scale_factor")


def forward(apps: Any, schema_editor: Any) -> None:
    if schema_editor.connection.vendor == "postgresql":
        values = ", ".join(f"{option} = 0.02" for option in OPTIONS)
        schema_editor.execute(f"ALTER TABLE scheduling_reservation SET ({values})")


def backward(apps: Any, schema_editor: Any) -> None:
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(f"ALTER TABLE scheduling_reservation RESET ({', '.join(OPTIONS)})")


class Migration(migrations.Migration):
    dependencies = [("scheduling", "0014_count_changes_of_availability")]

    operations = [migrations.RunPython(forward, backward)]
