"""A timeslot can go while the history of its reservations stays, but never under a live one.

So the foreign key gives way to triggers, which hold more than it did: a live reservation's timeslot
exists and has the provider, start and end that the reservation repeats. On PostgreSQL the check
locks the timeslot as the foreign key's did, so that of a reserve and a withdrawal that meet exactly
one wins. It comes before the row goes into any index: whoever moves a reservation locks the
timeslot first as well, and the two never wait for each other.

A later migration that rebuilds either table on SQLite must create the triggers again
(test_constraints.py fails if it does not).
"""

from typing import Any

import django.db.models.deletion
from django.db import migrations, models

LIVE = "('held', 'confirmed')"
TIMESLOT_OF_NEW = """scheduling_timeslot
         WHERE id = NEW.timeslot_id AND provider_id = NEW.provider_id
           AND start_time = NEW.start_time AND end_time = NEW.end_time"""
LIVE_ON_OLD = f"""scheduling_reservation
         WHERE provider_id = OLD.provider_id AND timeslot_id = OLD.id AND status IN {LIVE}"""
BECOMES_LIVE_HERE = f"""NEW.status IN {LIVE} AND (
    OLD.status NOT IN {LIVE} OR NEW.timeslot_id <> OLD.timeslot_id
    OR NEW.provider_id <> OLD.provider_id
    OR NEW.start_time <> OLD.start_time OR NEW.end_time <> OLD.end_time)"""
IS_ANOTHER = """NEW.id <> OLD.id OR NEW.provider_id <> OLD.provider_id
    OR NEW.start_time <> OLD.start_time OR NEW.end_time <> OLD.end_time"""

# The name of a trigger, its event and its condition; each refuses by its name.
ON_RESERVATIONS = [
    ("scheduling_reservation_on_its_timeslot", "INSERT", f"NEW.status IN {LIVE}"),
    ("scheduling_reservation_on_its_timeslot_still", "UPDATE", BECOMES_LIVE_HERE),
]
ON_TIMESLOTS = [
    ("scheduling_timeslot_stays_while_reserved", "DELETE", "TRUE"),
    ("scheduling_timeslot_stays_as_it_is_while_reserved", "UPDATE", IS_ANOTHER),
]

POSTGRESQL_FUNCTIONS = [
    f"""
    CREATE FUNCTION scheduling_require_timeslot() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM FROM {TIMESLOT_OF_NEW} FOR KEY SHARE;
        IF NOT FOUND THEN
            RAISE foreign_key_violation USING MESSAGE = TG_NAME, CONSTRAINT = TG_NAME;
        END IF;
        RETURN NEW;
    END
    $$
    """,
    f"""
    CREATE FUNCTION scheduling_require_unreserved() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM FROM {LIVE_ON_OLD};
        IF FOUND THEN
            RAISE foreign_key_violation USING MESSAGE = TG_NAME, CONSTRAINT = TG_NAME;
        END IF;
        RETURN COALESCE(NEW, OLD);
    END
    $$
    """,
]


def on_postgresql(name: str, event: str, condition: str, table: str, function: str) -> str:
    return f"""
        CREATE TRIGGER {name} BEFORE {event} ON {table}
        FOR EACH ROW WHEN ({condition}) EXECUTE FUNCTION {function}()
        """


def on_sqlite(name: str, event: str, condition: str, table: str, violated: str) -> str:
    return f"""
        CREATE TRIGGER {name} BEFORE {event} ON {table}
        WHEN ({condition}) AND {violated}
        BEGIN SELECT RAISE(ABORT, '{name}'); END
        """


def forward(apps: Any, schema_editor: Any) -> None:
    reservation, timeslot = "scheduling_reservation", "scheduling_timeslot"
    if schema_editor.connection.vendor == "postgresql":
        for statement in POSTGRESQL_FUNCTIONS:
            schema_editor.execute(statement)
        for trigger in ON_RESERVATIONS:
            function = "scheduling_require_timeslot"
            schema_editor.execute(on_postgresql(*trigger, reservation, function))
        for trigger in ON_TIMESLOTS:
            function = "scheduling_require_unreserved"
            schema_editor.execute(on_postgresql(*trigger, timeslot, function))
        return
    for trigger in ON_RESERVATIONS:
        violated = f"NOT EXISTS (SELECT 1 FROM {TIMESLOT_OF_NEW})"  # noqa: S608  no text from outside
        schema_editor.execute(on_sqlite(*trigger, reservation, violated))
    for trigger in ON_TIMESLOTS:
        violated = f"EXISTS (SELECT 1 FROM {LIVE_ON_OLD})"  # noqa: S608
        schema_editor.execute(on_sqlite(*trigger, timeslot, violated))


def backward(apps: Any, schema_editor: Any) -> None:
    is_postgresql = schema_editor.connection.vendor == "postgresql"
    for triggers, table in (
        (ON_RESERVATIONS, "scheduling_reservation"),
        (ON_TIMESLOTS, "scheduling_timeslot"),
    ):
        for name, _, _ in triggers:
            schema_editor.execute(f"DROP TRIGGER {name}{f' ON {table}' if is_postgresql else ''}")
    if is_postgresql:
        schema_editor.execute("DROP FUNCTION scheduling_require_timeslot")
        schema_editor.execute("DROP FUNCTION scheduling_require_unreserved")


class Migration(migrations.Migration):
    dependencies = [("scheduling", "0005_time_zones_versions_and_changes")]

    operations = [
        migrations.AlterField(
            model_name="reservation",
            name="timeslot",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="reservations",
                to="scheduling.timeslot",
            ),
        ),
        migrations.RunPython(forward, backward),
    ]
