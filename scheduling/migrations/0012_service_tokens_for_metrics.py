"""Scrapers read /metrics with a token of their own."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("scheduling", "0011_webhooks_and_notifications"),
    ]

    operations = [
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
                    ("metrics", "read how the service is doing"),
                ],
                max_length=20,
            ),
        ),
        migrations.AddConstraint(
            model_name="servicetoken",
            constraint=models.CheckConstraint(
                condition=models.Q(("scope__in", ["expire", "events", "metrics"])),
                name="scheduling_servicetoken_scope_known",
            ),
        ),
    ]
