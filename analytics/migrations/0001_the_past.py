"""The tables of what has been moved out of the service's database."""

from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="ArchivedClient",
            fields=[
                ("id", models.BigIntegerField(primary_key=True, serialize=False)),
                ("first_name", models.CharField(max_length=100)),
                ("last_name", models.CharField(max_length=100)),
                ("is_forgotten", models.BooleanField(db_default=False, default=False)),
            ],
            options={
                "db_table": "client",
            },
        ),
        migrations.CreateModel(
            name="ArchivedProvider",
            fields=[
                ("id", models.BigIntegerField(primary_key=True, serialize=False)),
                ("first_name", models.CharField(max_length=100)),
                ("last_name", models.CharField(max_length=100)),
            ],
            options={
                "db_table": "provider",
            },
        ),
        migrations.CreateModel(
            name="ArchivedTimeslot",
            fields=[
                ("id", models.BigIntegerField(primary_key=True, serialize=False)),
                ("provider_id", models.BigIntegerField()),
                ("start_time", models.DateTimeField()),
                ("end_time", models.DateTimeField()),
            ],
            options={
                "db_table": "timeslot",
            },
        ),
        migrations.CreateModel(
            name="ArchivedEvent",
            fields=[
                ("id", models.BigIntegerField(primary_key=True, serialize=False)),
                ("transaction_id", models.BigIntegerField()),
                ("kind", models.CharField(max_length=11)),
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
            options={
                "db_table": "event",
                "indexes": [
                    models.Index(fields=["reservation_id"], name="event_of_reservation"),
                    models.Index(fields=["client_id"], name="event_of_client"),
                ],
            },
        ),
        migrations.CreateModel(
            name="ArchivedReservation",
            fields=[
                ("id", models.BigIntegerField(primary_key=True, serialize=False)),
                ("provider_id", models.BigIntegerField()),
                ("timeslot_id", models.BigIntegerField()),
                ("client_id", models.BigIntegerField()),
                ("start_time", models.DateTimeField()),
                ("end_time", models.DateTimeField()),
                ("status", models.CharField(max_length=10)),
                ("created_at", models.DateTimeField()),
                ("expires_at", models.DateTimeField()),
                ("version", models.PositiveIntegerField()),
                ("changed_at", models.DateTimeField()),
                ("changed_by", models.CharField(max_length=8)),
                ("reason", models.CharField(max_length=500)),
            ],
            options={
                "db_table": "reservation",
                "indexes": [
                    models.Index(fields=["timeslot_id"], name="reservation_of_timeslot"),
                    models.Index(fields=["client_id"], name="reservation_of_client"),
                ],
            },
        ),
    ]
