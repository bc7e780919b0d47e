"""What a provider publishes and withdraws is counted, so that a list can be told to be the same.

By SQL: on SQLite Django would build the table anew and lose the indexes of migration 0007.
"""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("scheduling", "0013_timeslots_by_length")]

    operations = [
        migrations.RunSQL(
            "ALTER TABLE scheduling_provider"
            " ADD COLUMN availability_version integer DEFAULT 0 NOT NULL",
            "ALTER TABLE scheduling_provider DROP COLUMN availability_version",
            state_operations=[
                migrations.AddField(
                    model_name="provider",
                    name="availability_version",
                    field=models.IntegerField(db_default=0, editable=False),
                ),
            ],
        ),
    ]
