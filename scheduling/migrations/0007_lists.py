"""Indexes for the lists: whose reservations, the earliest timeslots, providers by name."""

from typing import Any

from django.db import migrations, models

NAMES = {
    "scheduling_provider_last_first": "last_name || ' ' || first_name",
    "scheduling_provider_first_last": "first_name || ' ' || last_name",
}


def forward(apps: Any, schema_editor: Any) -> None:
    # By code point: the order in which the list is cut into pages.
    is_postgresql = schema_editor.connection.vendor == "postgresql"
    collation = '"C"' if is_postgresql else "BINARY"
    for index, names in NAMES.items():
        key = f"(LOWER({names}) COLLATE {collation})"
        schema_editor.execute(f"CREATE INDEX {index} ON scheduling_provider ({key}, id)")


def backward(apps: Any, schema_editor: Any) -> None:
    for index in NAMES:
        schema_editor.execute(f"DROP INDEX {index}")


class Migration(migrations.Migration):
    dependencies = [("scheduling", "0006_timeslots_can_be_withdrawn")]

    operations = [
        migrations.AddIndex(
            model_name="reservation",
            index=models.Index(fields=["client", "start_time"], name="scheduling_of_client"),
        ),
        migrations.AddIndex(
            model_name="reservation",
            index=models.Index(fields=["provider", "start_time"], name="scheduling_of_provider"),
        ),
        migrations.AddIndex(
            model_name="timeslot",
            index=models.Index(fields=["start_time", "id"], name="scheduling_timeslot_by_start"),
        ),
        migrations.RunPython(forward, backward),
    ]
