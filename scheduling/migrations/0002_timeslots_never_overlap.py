"""A provider's timeslots never overlap, whoever writes them.

PostgreSQL has a word for it: an exclusion constraint. On SQLite two triggers of the same meaning
refuse an overlapping row; since no two stored timeslots overlap, the neighbours on either side are
all that can clash, so a check reads two index entries however many timeslots there are. A later
migration that rebuilds the table on SQLite must create the triggers again (test_constraints.py
fails if it does not).
"""

from typing import Any

from django.db import migrations

ON_POSTGRESQL = [
    "CREATE EXTENSION IF NOT EXISTS btree_gist",
    """
    ALTER TABLE scheduling_timeslot ADD CONSTRAINT scheduling_timeslot_never_overlap
    EXCLUDE USING gist (provider_id WITH =, tstzrange(start_time, end_time) WITH &&)
    """,
]

OFF_POSTGRESQL = [
    "ALTER TABLE scheduling_timeslot DROP CONSTRAINT scheduling_timeslot_never_overlap",
]

TRIGGER = """
CREATE TRIGGER scheduling_timeslot_never_overlap_{event}
BEFORE {event} ON scheduling_timeslot
WHEN EXISTS (
    SELECT 1 FROM (
        SELECT end_time FROM scheduling_timeslot
         WHERE provider_id = NEW.provider_id AND start_time <= NEW.start_time {another}
         ORDER BY start_time DESC LIMIT 1
    ) AS previous WHERE previous.end_time > NEW.start_time
) OR EXISTS (
    SELECT 1 FROM scheduling_timeslot
     WHERE provider_id = NEW.provider_id {another}
       AND start_time > NEW.start_time AND start_time < NEW.end_time
)
BEGIN
    SELECT RAISE(ABORT, 'scheduling_timeslot_never_overlap');
END
"""

ON_SQLITE = [
    TRIGGER.format(event="INSERT", another=""),
    TRIGGER.format(event="UPDATE", another="AND id <> OLD.id"),
]

OFF_SQLITE = [
    "DROP TRIGGER scheduling_timeslot_never_overlap_INSERT",
    "DROP TRIGGER scheduling_timeslot_never_overlap_UPDATE",
]


def forward(apps: Any, schema_editor: Any) -> None:
    is_postgresql = schema_editor.connection.vendor == "postgresql"
    for statement in ON_POSTGRESQL if is_postgresql else ON_SQLITE:
        schema_editor.execute(statement)


def backward(apps: Any, schema_editor: Any) -> None:
    is_postgresql = schema_editor.connection.vendor == "postgresql"
    for statement in OFF_POSTGRESQL if is_postgresql else OFF_SQLITE:
        schema_editor.execute(statement)


class Migration(migrations.Migration):
    dependencies = [("scheduling", "0001_people_timeslots_reservations")]

    operations = [migrations.RunPython(forward, backward)]
