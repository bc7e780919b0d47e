"""People have time zones and reservations can be cancelled; both say what changed them last."""

from django.db import migrations, models

VERSION = models.PositiveIntegerField(db_default=1)
TIME_ZONE = models.CharField(db_default="UTC", max_length=64)


class Migration(migrations.Migration):
    dependencies = [
        ("scheduling", "0004_accounts_and_service_tokens"),
    ]

    operations = [
        migrations.AddField("client", "time_zone", TIME_ZONE.clone()),
        migrations.AddField("client", "version", VERSION.clone()),
        migrations.AddField("provider", "time_zone", TIME_ZONE.clone()),
        migrations.AddField("provider", "version", VERSION.clone()),
        migrations.AddField("reservation", "version", VERSION.clone()),
        migrations.AddField("reservation", "changed_at", models.DateTimeField(null=True)),
        migrations.AddField(
            "reservation",
            "changed_by",
            models.CharField(
                choices=[
                    ("client", "Client"),
                    ("provider", "Provider"),
                    ("service", "Service"),
                ],
                db_default="client",
                max_length=8,
            ),
        ),
        migrations.AddField(
            "reservation",
            "reason",
            models.CharField(blank=True, db_default="", max_length=500),
        ),
        # When each was confirmed or expired, nobody has written down.
        migrations.RunSQL(
            "UPDATE scheduling_reservation SET changed_at = created_at", migrations.RunSQL.noop
        ),
        migrations.AlterField("reservation", "changed_at", models.DateTimeField()),
        migrations.AddConstraint(
            "reservation",
            models.CheckConstraint(
                name="scheduling_reservation_changed_by_a_party",
                condition=models.Q(changed_by__in=["client", "provider", "service"]),
            ),
        ),
        migrations.AddConstraint(
            "reservation",
            models.CheckConstraint(
                name="scheduling_reservation_reason_when_cancelled",
                condition=models.Q(status="cancelled") | models.Q(reason=""),
            ),
        ),
    ]
