"""An index for who looks for the earliest timeslots of one length."""

from typing import Any

from django.db import migrations

LENGTH = {
    "postgresql": "(end_time - start_time)",
    "sqlite": "(strftime('%%s', end_time) - strftime('%%s', start_time))",
}


def forward(apps: Any, schema_editor: Any) -> None:
    length = LENGTH[schema_editor.connection.vendor]
    schema_editor.execute(
        "CREATE INDEX scheduling_timeslot_by_length "
        f"ON scheduling_timeslot ({length}, start_time, id)"
    )


def backward(apps: Any, schema_editor: Any) -> None:
    schema_editor.execute("DROP INDEX scheduling_timeslot_by_length")


class Migration(migrations.Migration):
    dependencies = [("scheduling", "0012_service_tokens_for_metrics")]

    operations = [migrations.RunPython(forward, backward)]
