"""Up to where events have been archived, for readers who are behind that."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("scheduling", "0015_vacuum_reservations_early"),
    ]

    operations = [
        migrations.CreateModel(
            name="ArchivedHistory",
            fields=[
                ("name", models.CharField(max_length=30, primary_key=True, serialize=False)),
                ("transaction_id", models.BigIntegerField()),
                ("event_id", models.BigIntegerField()),
            ],
        ),
    ]
