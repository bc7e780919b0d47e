"""What analysts ask most, for each provider and week, as views.

A week is that of ISO 8601 in UTC, such as 2026-W48, in which the appointment starts. SQLite has no
word for it before its release 3.46: the year and number of a week are those of its Thursday.
"""

from typing import Any

from django.db import migrations

WEEK = {
    "postgresql": """to_char({of}.start_time AT TIME ZONE 'UTC', 'IYYY-"W"IW')""",
    "sqlite": """strftime('%Y', {of}.start_time, 'weekday 0', '-3 days') || printf('-W%02d',
                 (strftime('%j', {of}.start_time, 'weekday 0', '-3 days') - 1) / 7 + 1)""",
}
HOURS = {
    "postgresql": "EXTRACT(epoch FROM {until} - {since}) / 3600",
    "sqlite": "(strftime('%s', {until}) - strftime('%s', {since})) / 3600.0",
}
WHOSE = """{of}.provider_id, provider.first_name || ' ' || provider.last_name AS provider,
           {week} AS week"""
VIEWS = {
    # Of the time that was published (and not withdrawn), how much was confirmed.
    "utilisation": """
        SELECT {whose_timeslot},
               ROUND(SUM({length}), 2) AS published_hours,
               ROUND(SUM(CASE WHEN reservation.id IS NOT NULL THEN {length} ELSE 0 END), 2)
                   AS booked_hours,
               ROUND(SUM(CASE WHEN reservation.id IS NOT NULL THEN {length} ELSE 0 END)
                     / SUM({length}), 4) AS utilisation
          FROM timeslot
          JOIN provider ON provider.id = timeslot.provider_id
          LEFT JOIN reservation
            ON reservation.timeslot_id = timeslot.id AND reservation.status = 'confirmed'
         GROUP BY 1, 2, 3
        """,
    # Of the reservations that were made, how many ran out because nobody confirmed them.
    "no_confirm_rate": """
        SELECT {whose_reservation},
               COUNT(*) AS reservations,
               SUM(CASE WHEN status = 'expired' THEN 1 ELSE 0 END) AS expired,
               ROUND(AVG(CASE WHEN status = 'expired' THEN 1.0 ELSE 0.0 END), 4)
                   AS no_confirm_rate
          FROM reservation
          JOIN provider ON provider.id = reservation.provider_id
         GROUP BY 1, 2, 3
        """,
    # How long before the start reservations were made, whatever became of them.
    "lead_time": """
        SELECT {whose_reservation},
               COUNT(*) AS reservations,
               ROUND(MIN({ahead}), 2) AS shortest_hours,
               ROUND(MAX({ahead}), 2) AS longest_hours,
               ROUND(AVG({ahead}), 2) AS mean_hours
          FROM reservation
          JOIN provider ON provider.id = reservation.provider_id
         GROUP BY 1, 2, 3
        """,
}


def forward(apps: Any, schema_editor: Any) -> None:
    vendor = schema_editor.connection.vendor
    whose = {
        f"whose_{of}": WHOSE.format(of=of, week=WEEK[vendor].format(of=of))
        for of in ("timeslot", "reservation")
    }
    hours = HOURS[vendor]
    length = hours.format(since="timeslot.start_time", until="timeslot.end_time")
    ahead = hours.format(since="reservation.created_at", until="reservation.start_time")
    for name, select in VIEWS.items():
        query = select.format(**whose, length=length, ahead=ahead)
        schema_editor.execute(f"CREATE VIEW {name} AS {query}", params=None)


def backward(apps: Any, schema_editor: Any) -> None:
    for name in VIEWS:
        schema_editor.execute(f"DROP VIEW {name}")


class Migration(migrations.Migration):
    dependencies = [("analytics", "0001_the_past")]

    operations = [migrations.RunPython(forward, backward)]
