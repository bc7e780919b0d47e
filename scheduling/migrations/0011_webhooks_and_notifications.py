"""Who is told what happened: systems by webhooks, people by e-mail.

Both readers of the history begin behind what is there already.
"""

import uuid

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("scheduling", "0010_calendar_links"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="EventReader",
            fields=[
                ("name", models.CharField(max_length=20, primary_key=True, serialize=False)),
                ("transaction_id", models.BigIntegerField(default=0)),
                ("event_id", models.BigIntegerField(default=0)),
                ("holder", models.UUIDField(null=True)),
                ("leased_until", models.DateTimeField(null=True)),
            ],
        ),
        migrations.SeparateDatabaseAndState(
            [
                # Django would make the table anew on SQLite, without the indexes of 0007.
                migrations.RunSQL(
                    "ALTER TABLE scheduling_client"
                    " ADD COLUMN is_emailed bool NOT NULL DEFAULT true",
                    "ALTER TABLE scheduling_client DROP COLUMN is_emailed",
                )
            ],
            [
                migrations.AddField(
                    model_name="client",
                    name="is_emailed",
                    field=models.BooleanField(db_default=True),
                )
            ],
        ),
        migrations.SeparateDatabaseAndState(
            [
                # Django would make the table anew on SQLite, without the indexes of 0007.
                migrations.RunSQL(
                    "ALTER TABLE scheduling_provider"
                    " ADD COLUMN is_emailed bool NOT NULL DEFAULT true",
                    "ALTER TABLE scheduling_provider DROP COLUMN is_emailed",
                )
            ],
            [
                migrations.AddField(
                    model_name="provider",
                    name="is_emailed",
                    field=models.BooleanField(db_default=True),
                )
            ],
        ),
        migrations.CreateModel(
            name="Webhook",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("url", models.CharField(max_length=2000)),
                ("kinds", models.JSONField()),
                ("secret", models.CharField(max_length=100)),
                ("former_secret", models.CharField(db_default="", max_length=100)),
                ("former_secret_until", models.DateTimeField(null=True)),
                ("created_at", models.DateTimeField()),
                (
                    "disabled_because",
                    models.CharField(
                        choices=[
                            ("owner", "by its owner"),
                            ("failing", "it failed for three days"),
                            ("gone", "it answered 410 Gone"),
                        ],
                        db_default="",
                        max_length=7,
                    ),
                ),
                ("disabled_at", models.DateTimeField(null=True)),
                ("resting_until", models.DateTimeField(null=True)),
                ("unanswered", models.PositiveIntegerField(db_default=0)),
                (
                    "owner",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "provider",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="webhooks",
                        to="scheduling.provider",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Notification",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
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
                            ("reminder", "Reminder"),
                            ("webhook_disabled", "Webhook Disabled"),
                        ],
                        max_length=16,
                    ),
                ),
                ("party", models.CharField(max_length=8)),
                ("reservation_id", models.BigIntegerField(null=True)),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("pending", "Pending"),
                            ("sent", "Sent"),
                            ("dropped", "Dropped"),
                            ("failed", "Failed"),
                        ],
                        db_default="pending",
                        max_length=7,
                    ),
                ),
                ("created_at", models.DateTimeField()),
                ("due_at", models.DateTimeField()),
                ("attempts_made", models.PositiveSmallIntegerField(db_default=0)),
                ("next_attempt_at", models.DateTimeField()),
                ("finished_at", models.DateTimeField(null=True)),
                (
                    "event",
                    models.ForeignKey(
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="scheduling.reservationevent",
                    ),
                ),
                (
                    "webhook",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="scheduling.webhook",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="WebhookDelivery",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("reservation_id", models.BigIntegerField(null=True)),
                ("message_id", models.UUIDField(default=uuid.uuid4)),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("pending", "Pending"),
                            ("delivered", "Delivered"),
                            ("failed", "Failed"),
                        ],
                        db_default="pending",
                        max_length=9,
                    ),
                ),
                ("created_at", models.DateTimeField()),
                ("attempts_made", models.PositiveSmallIntegerField(db_default=0)),
                ("next_attempt_at", models.DateTimeField()),
                ("finished_at", models.DateTimeField(null=True)),
                (
                    "event",
                    models.ForeignKey(
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="scheduling.reservationevent",
                    ),
                ),
                (
                    "webhook",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="deliveries",
                        to="scheduling.webhook",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="WebhookAttempt",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("attempted_at", models.DateTimeField()),
                ("milliseconds", models.PositiveIntegerField()),
                ("status", models.PositiveSmallIntegerField(null=True)),
                ("failure", models.CharField(db_default="", max_length=30)),
                ("detail", models.CharField(db_default="", max_length=500)),
                ("body", models.CharField(db_default="", max_length=1024)),
                (
                    "delivery",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="attempts",
                        to="scheduling.webhookdelivery",
                    ),
                ),
            ],
            options={
                "ordering": ["pk"],
            },
        ),
        migrations.AddConstraint(
            model_name="webhook",
            constraint=models.CheckConstraint(
                condition=models.Q(("disabled_because__in", ["", "owner", "failing", "gone"])),
                name="scheduling_webhook_reason_known",
            ),
        ),
        migrations.AddConstraint(
            model_name="webhook",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("disabled_at", None), ("disabled_because", "")),
                    models.Q(
                        models.Q(("disabled_because", ""), _negated=True),
                        ("disabled_at__isnull", False),
                    ),
                    _connector="OR",
                ),
                name="scheduling_webhook_disabled_for_a_reason",
            ),
        ),
        migrations.AddIndex(
            model_name="notification",
            index=models.Index(
                condition=models.Q(("status", "pending")),
                fields=["next_attempt_at"],
                name="scheduling_notifications_due",
            ),
        ),
        migrations.AddIndex(
            model_name="notification",
            index=models.Index(
                condition=models.Q(("status", "pending")),
                fields=["reservation_id", "party", "id"],
                name="scheduling_notifications_order",
            ),
        ),
        migrations.AddIndex(
            model_name="notification",
            index=models.Index(
                condition=models.Q(("status", "pending"), _negated=True),
                fields=["finished_at"],
                name="scheduling_notifications_age",
            ),
        ),
        migrations.AddConstraint(
            model_name="notification",
            constraint=models.UniqueConstraint(
                fields=("event", "party", "kind"), name="scheduling_notification_once"
            ),
        ),
        migrations.AddConstraint(
            model_name="notification",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    (
                        "kind__in",
                        [
                            "reserved",
                            "confirmed",
                            "expired",
                            "cancelled",
                            "rescheduled",
                            "moved_away",
                            "reminder",
                            "webhook_disabled",
                        ],
                    )
                ),
                name="scheduling_notification_kind_known",
            ),
        ),
        migrations.AddConstraint(
            model_name="notification",
            constraint=models.CheckConstraint(
                condition=models.Q(("status__in", ["pending", "sent", "dropped", "failed"])),
                name="scheduling_notification_status_known",
            ),
        ),
        migrations.AddConstraint(
            model_name="notification",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(
                        ("event__isnull", False),
                        ("party__in", ["client", "provider"]),
                        ("webhook", None),
                    ),
                    models.Q(
                        ("event", None),
                        ("kind", "webhook_disabled"),
                        ("party", ""),
                        ("webhook__isnull", False),
                    ),
                    _connector="OR",
                ),
                name="scheduling_notification_of_one_thing",
            ),
        ),
        migrations.AddIndex(
            model_name="webhookdelivery",
            index=models.Index(
                condition=models.Q(("status", "pending")),
                fields=["webhook", "next_attempt_at", "id"],
                name="scheduling_deliveries_to_send",
            ),
        ),
        migrations.AddIndex(
            model_name="webhookdelivery",
            index=models.Index(
                condition=models.Q(("status", "pending")),
                fields=["webhook", "reservation_id", "id"],
                name="scheduling_deliveries_in_order",
            ),
        ),
        migrations.AddIndex(
            model_name="webhookdelivery",
            index=models.Index(fields=["webhook", "id"], name="scheduling_deliveries_listed"),
        ),
        migrations.AddIndex(
            model_name="webhookdelivery",
            index=models.Index(fields=["event"], name="scheduling_deliveries_of_event"),
        ),
        migrations.AddIndex(
            model_name="webhookdelivery",
            index=models.Index(
                condition=models.Q(("status", "pending"), _negated=True),
                fields=["finished_at"],
                name="scheduling_deliveries_by_age",
            ),
        ),
        migrations.AddConstraint(
            model_name="webhookdelivery",
            constraint=models.UniqueConstraint(
                fields=("webhook", "event"), name="scheduling_webhookdelivery_once"
            ),
        ),
        migrations.AddConstraint(
            model_name="webhookdelivery",
            constraint=models.CheckConstraint(
                condition=models.Q(("status__in", ["pending", "delivered", "failed"])),
                name="scheduling_webhookdelivery_status_known",
            ),
        ),
        migrations.AddConstraint(
            model_name="webhookdelivery",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("finished_at", None), ("status", "pending")),
                    models.Q(
                        models.Q(("status", "pending"), _negated=True),
                        ("finished_at__isnull", False),
                    ),
                    _connector="OR",
                ),
                name="scheduling_webhookdelivery_pending_until_finished",
            ),
        ),
        migrations.RunSQL(
            """
            INSERT INTO scheduling_eventreader (name, transaction_id, event_id)
            SELECT name, (SELECT COALESCE(MAX(transaction_id), 0) FROM scheduling_reservationevent),
                   (SELECT COALESCE(MAX(id), 0) FROM scheduling_reservationevent)
              FROM (SELECT 'webhooks' AS name UNION ALL SELECT 'notifications') AS readers
            """,
            migrations.RunSQL.noop,
        ),
    ]
