"""A client's live holds are counted quickly, and on PostgreSQL one reserve after the other.

On PostgreSQL a count in the statement itself would see what was committed when the statement
began, and two reserves of one client at once would both find room. So the function locks the
client's row first and counts then: each statement of a volatile function sees what is committed
when that statement begins. The lock is in the function because the planner is free to count below
a FOR NO KEY UPDATE that stands beside it; and PostgreSQL runs no such lock in a function that is
marked STABLE, which would count with the old eyes. SQLite has one writer and needs none of this.
"""

from typing import Any

from django.db import migrations, models

LIVE_HOLDS = """
CREATE FUNCTION scheduling_live_holds(of_client bigint, moment timestamptz) RETURNS bigint
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    PERFORM FROM scheduling_client WHERE id = of_client FOR NO KEY UPDATE;
    RETURN (
        SELECT COUNT(*) FROM scheduling_reservation
         WHERE client_id = of_client AND status BETWEEN 'held' AND 'held'
           AND expires_at >= moment);
END
$$
"""


def forward(apps: Any, schema_editor: Any) -> None:
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(LIVE_HOLDS)


def backward(apps: Any, schema_editor: Any) -> None:
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("DROP FUNCTION scheduling_live_holds")


class Migration(migrations.Migration):
    dependencies = [("scheduling", "0002_timeslots_never_overlap")]

    operations = [
        migrations.AddIndex(
            model_name="reservation",
            index=models.Index(
                condition=models.Q(("status__range", ("held", "held"))),
                fields=["client", "expires_at"],
                name="scheduling_held_by_client",
            ),
        ),
        migrations.RunPython(forward, backward),
    ]
