"""The database writes the history of reservations: an event for each change, in its statement.

Triggers after the row has changed, so that no code can forget it and reserve stays one round trip.
What was before this migration has left no events.

A later migration that rebuilds the table of reservations on SQLite must create the triggers again
(test_constraints.py fails if it does not).
"""

from typing import Any

from django.db import migrations, models

EVENT = """
INSERT INTO scheduling_reservationevent (
    transaction_id, kind, happened_at, caused_by, reason, reservation_id, timeslot_id,
    provider_id, client_id, start_time, end_time, version)
VALUES (
    {transaction}, {kind}, NEW.changed_at, NEW.changed_by, NEW.reason, NEW.id, NEW.timeslot_id,
    NEW.provider_id, NEW.client_id, NEW.start_time, NEW.end_time, NEW.version);
"""
RESERVED = "CASE NEW.status WHEN 'held' THEN 'reserved' ELSE NEW.status END"
CHANGED = """CASE WHEN NEW.status <> OLD.status THEN
                  CASE NEW.status WHEN 'held' THEN 'reserved' ELSE NEW.status END
              WHEN NEW.timeslot_id <> OLD.timeslot_id THEN 'rescheduled' ELSE 'changed' END"""
# Whose timeslot it was is told too, when it moves to another provider's.
MOVED_AWAY = """
INSERT INTO scheduling_reservationevent (
    transaction_id, kind, happened_at, caused_by, reason, reservation_id, timeslot_id,
    provider_id, client_id, start_time, end_time, version)
SELECT {transaction}, 'moved_away', NEW.changed_at, NEW.changed_by, NEW.reason, NEW.id,
       OLD.timeslot_id, OLD.provider_id, OLD.client_id, OLD.start_time, OLD.end_time, NEW.version
 WHERE NEW.provider_id <> OLD.provider_id;
"""
EVENTS = {"insert": (RESERVED, ""), "update": (CHANGED, MOVED_AWAY)}
# The number by which an event goes: its transaction's, but never below that of the change before. A
# transaction that had locked something else first, and then waited for the reservation, has the
# lower number of the two. A number that this server has not come to is of another, whose dump was
# restored. The column is for the triggers alone, and so in no model.
IN_ORDER = """
CREATE FUNCTION scheduling_history_in_order() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.transaction_id := pg_current_xact_id()::text::bigint;
    IF OLD.transaction_id > NEW.transaction_id
       AND OLD.transaction_id < pg_snapshot_xmax(pg_current_snapshot())::text::bigint THEN
        NEW.transaction_id := OLD.transaction_id;
    END IF;
    RETURN NEW;
END $$
"""


def forward(apps: Any, schema_editor: Any) -> None:
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("ALTER TABLE scheduling_reservation ADD COLUMN transaction_id bigint")
        schema_editor.execute(
            "ALTER TABLE scheduling_reservation"
            " ALTER transaction_id SET DEFAULT pg_current_xact_id()::text::bigint"
        )
        schema_editor.execute(IN_ORDER)
        schema_editor.execute(
            "CREATE TRIGGER scheduling_history_in_order BEFORE UPDATE"
            " ON scheduling_reservation"
            " FOR EACH ROW EXECUTE FUNCTION scheduling_history_in_order()"
        )
    for event, (kind, before) in EVENTS.items():
        trigger = f"scheduling_history_of_{event}"
        if schema_editor.connection.vendor == "postgresql":
            insert = (before + EVENT).format(transaction="NEW.transaction_id", kind=kind)
            schema_editor.execute(
                f"CREATE FUNCTION {trigger}() RETURNS trigger LANGUAGE plpgsql AS "
                f"$$ BEGIN {insert} RETURN NULL; END $$"
            )
            schema_editor.execute(
                f"CREATE TRIGGER {trigger} AFTER {event} ON scheduling_reservation "
                f"FOR EACH ROW EXECUTE FUNCTION {trigger}()"
            )
        else:
            insert = (before + EVENT).format(transaction=1, kind=kind)
            schema_editor.execute(
                f"CREATE TRIGGER {trigger} AFTER {event} ON scheduling_reservation "
                f"BEGIN {insert} END"
            )


def backward(apps: Any, schema_editor: Any) -> None:
    for event in EVENTS:
        trigger = f"scheduling_history_of_{event}"
        if schema_editor.connection.vendor == "postgresql":
            schema_editor.execute(f"DROP TRIGGER {trigger} ON scheduling_reservation")
            schema_editor.execute(f"DROP FUNCTION {trigger}")
        else:
            schema_editor.execute(f"DROP TRIGGER {trigger}")
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("DROP TRIGGER scheduling_history_in_order ON scheduling_reservation")
        schema_editor.execute("DROP FUNCTION scheduling_history_in_order")
        schema_editor.execute("ALTER TABLE scheduling_reservation DROP COLUMN transaction_id")


class Migration(migrations.Migration):
    dependencies = [
        ("scheduling", "0008_stored_answers"),
    ]

    operations = [
        migrations.CreateModel(
            name="ReservationEvent",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("transaction_id", models.BigIntegerField()),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("reserved", "Reserved"),
                            ("confirmed", "Confirmed"),
                            ("expired", "Expired"),
                            ("cancelled", "Cancelled"),
                            ("rescheduled", "Rescheduled"),
                            ("moved_away", "Moved Away"),
                            ("changed", "Changed"),
                        ],
                        max_length=11,
                    ),
                ),
                ("happened_at", models.DateTimeField()),
                ("caused_by", models.CharField(max_length=8)),
                ("reason", models.CharField(max_length=500)),
                ("reservation_id", models.BigIntegerField()),
                ("timeslot_id", models.BigIntegerField()),
                ("provider_id", models.BigIntegerField()),
                ("client_id", models.BigIntegerField()),
                ("start_time", models.DateTimeField()),
                ("end_time", models.DateTimeField()),
                ("version", models.PositiveIntegerField()),
            ],
        ),
        migrations.RemoveConstraint(
            model_name="servicetoken",
            name="scheduling_servicetoken_scope_known",
        ),
        migrations.AlterField(
            model_name="servicetoken",
            name="scope",
            field=models.CharField(
                choices=[
                    ("expire", "sweep lapsed holds"),
                    ("events", "read what happened to every reservation"),
                ],
                max_length=20,
            ),
        ),
        migrations.AddConstraint(
            model_name="servicetoken",
            constraint=models.CheckConstraint(
                condition=models.Q(("scope__in", ["expire", "events"])),
                name="scheduling_servicetoken_scope_known",
            ),
        ),
        migrations.AddIndex(
            model_name="reservationevent",
            index=models.Index(fields=["transaction_id", "id"], name="scheduling_events_in_order"),
        ),
        migrations.AddIndex(
            model_name="reservationevent",
            index=models.Index(
                fields=["provider_id", "transaction_id", "id"], name="scheduling_events_of_provider"
            ),
        ),
        migrations.AddIndex(
            model_name="reservationevent",
            index=models.Index(
                fields=["client_id", "transaction_id", "id"], name="scheduling_events_of_client"
            ),
        ),
        migrations.RunPython(forward, backward),
    ]
