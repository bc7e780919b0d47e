"""Calendars are read by a secret link, one for each provider and client."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("scheduling", "0009_reservation_events"),
    ]

    operations = [
        migrations.CreateModel(
            name="CalendarLink",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("digest", models.CharField(max_length=64, unique=True)),
                ("created_at", models.DateTimeField()),
                (
                    "client",
                    models.ForeignKey(
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="scheduling.client",
                    ),
                ),
                (
                    "provider",
                    models.ForeignKey(
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="scheduling.provider",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("provider",), name="scheduling_calendarlink_one_of_provider"
                    ),
                    models.UniqueConstraint(
                        fields=("client",), name="scheduling_calendarlink_one_of_client"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("client__isnull", False), ("provider", None)),
                            models.Q(("client", None), ("provider__isnull", False)),
                            _connector="OR",
                        ),
                        name="scheduling_calendarlink_of_one_party",
                    ),
                ],
            },
        ),
    ]
