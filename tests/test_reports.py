"""The questions of analysts: the views, manage.py report, and a role that can only read."""

import os
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from io import StringIO

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import connections

from analytics.models import ArchivedProvider, ArchivedReservation, ArchivedTimeslot

from .server import ROOT
from .test_archive import DATABASES

pytestmark = pytest.mark.django_db(databases=DATABASES)
HOUR = timedelta(hours=1)
MONDAY = datetime(2025, 12, 29, tzinfo=UTC)  # of the first week of 2026


def put(start, status=None, provider=1, hours=1.0, ahead=24.0):
    """A timeslot of the past and, with a status, a reservation made so many hours ahead."""
    end = start + hours * HOUR
    names = {"first_name": "Ada", "last_name": "Lovelace"}
    ArchivedProvider.objects.get_or_create(pk=provider, defaults=names)
    pk = ArchivedTimeslot.objects.count() + 1
    span = {"provider_id": provider, "start_time": start, "end_time": end}
    ArchivedTimeslot.objects.create(pk=pk, **span)
    if status:
        made = start - ahead * HOUR
        moments = {"created_at": made, "expires_at": made + HOUR, "changed_at": made}
        of = {"timeslot_id": pk, "client_id": 1, "changed_by": "client", "reason": ""}
        ArchivedReservation.objects.create(pk=pk, **span, **moments, **of, status=status, version=1)


def answers(view):
    with connections["analytics"].cursor() as cursor:
        cursor.execute(f"SELECT * FROM {view} ORDER BY week, provider_id")
        names = [column[0] for column in cursor.description]
        return [
            [
                value if isinstance(value, (str, int)) else float(value)
                for value in row[:1] + row[2:]
            ]
            for row in cursor.fetchall()
        ], names[:1] + names[2:]


def test_utilisation_is_of_what_was_published():
    put(MONDAY, "confirmed")
    put(MONDAY + HOUR, "cancelled")
    put(MONDAY + 2 * HOUR, hours=0.5)
    put(MONDAY + 3 * HOUR, "expired", hours=0.5)
    put(MONDAY, provider=2)
    rows, names = answers("utilisation")
    assert names == ["provider_id", "week", "published_hours", "booked_hours", "utilisation"]
    assert rows == [[1, "2026-W01", 3, 1, 0.3333], [2, "2026-W01", 1, 0, 0]]


def test_the_no_confirm_rate_is_of_all_that_was_reserved():
    for nth, status in enumerate(["expired", "confirmed", "cancelled", None]):
        put(MONDAY + nth * HOUR, status)
    rows, names = answers("no_confirm_rate")
    assert names == ["provider_id", "week", "reservations", "expired", "no_confirm_rate"]
    assert rows == [[1, "2026-W01", 3, 1, 0.3333]]


def test_the_lead_time_is_from_the_reservation_to_the_start():
    for nth, (status, ahead) in enumerate(
        [("expired", 24), ("confirmed", 30.5), ("cancelled", 60)]
    ):
        put(MONDAY + nth * HOUR, status, ahead=ahead)
    rows, names = answers("lead_time")
    hours = ["shortest_hours", "longest_hours", "mean_hours"]
    assert names == ["provider_id", "week", "reservations", *hours]
    assert rows == [[1, "2026-W01", 3, 24, 60, 38.17]]


@pytest.mark.parametrize(
    ("moment", "week"),
    [
        (MONDAY - timedelta(minutes=1), "2025-W52"),
        (MONDAY, "2026-W01"),
        (MONDAY + timedelta(days=7, minutes=-1), "2026-W01"),
        (datetime(2027, 1, 3, 23, tzinfo=UTC), "2026-W53"),
        (datetime(2027, 1, 4, tzinfo=UTC), "2027-W01"),
        (datetime(2024, 12, 30, tzinfo=UTC), "2025-W01"),
    ],
)
def test_a_week_is_that_of_iso_8601_in_utc(moment, week):
    put(moment, "confirmed")
    iso = moment.isocalendar()
    assert week == f"{iso.year}-W{iso.week:02}"
    for view in ("utilisation", "no_confirm_rate", "lead_time"):
        assert answers(view)[0][0][1] == week


# --- The command ---------------------------------------------------------------------------------


def report(*arguments):
    printed = StringIO()
    call_command("report", *arguments, stdout=printed)
    return printed.getvalue()


def test_it_prints_a_table():
    assert report("utilisation") == "nothing has been archived yet\n"
    put(MONDAY, "confirmed")
    put(MONDAY + HOUR)
    put(MONDAY, provider=12)
    lines = [line.split() for line in report("utilisation").splitlines()]
    head, first, second = lines
    assert head[:3] == ["provider_id", "provider", "week"]
    assert first[:4] == ["1", "Ada", "Lovelace", "2026-W01"]
    assert [float(one) for one in first[4:]] == [2, 1, 0.5]
    assert [float(one) for one in second[4:]] == [1, 0, 0]


@pytest.mark.parametrize(
    ("name", "ending", "begins"),
    [
        ("utilisation", "png", b"\x89PNG"),
        ("no_confirm_rate", "svg", b"<?xml"),
        ("lead_time", "png", b"\x89PNG"),
    ],
)
def test_it_draws_a_plot(tmp_path, name, ending, begins):
    for nth in range(12):
        put(MONDAY + timedelta(days=7 * nth), "confirmed", provider=nth + 1)
    ArchivedProvider.objects.filter(pk=1).update(first_name="$\\frac", last_name="_$")
    path = tmp_path / f"plot.{ending}"
    report(name, "--plot", str(path))
    assert path.read_bytes().startswith(begins)


def test_it_refuses_what_it_cannot_draw(tmp_path):
    put(MONDAY, "confirmed")
    for path in ("plot.pdf", "plot", ".png.txt"):
        with pytest.raises(CommandError, match=r"must be a file such as week\.png"):
            report("utilisation", f"--plot={path}")
    with pytest.raises(CommandError, match="It could not be drawn"):
        report("utilisation", f"--plot={tmp_path}/missing/plot.png")
    with pytest.raises(CommandError, match="invalid choice"):
        report("everything")


def test_without_matplotlib_it_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setattr("analytics.management.commands.report.find_spec", lambda name: None)
    with pytest.raises(CommandError, match=r"pip install -r requirements-reports\.txt"):
        report("utilisation", f"--plot={tmp_path}/plot.png")


def test_unasked_matplotlib_is_not_imported(tmp_path):
    program = """
import sys, django
django.setup()
from django.core.management import call_command
call_command("report", "utilisation")
print("matplotlib" in sys.modules)
"""
    ran = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env=os.environ
        | {f"{name}DATABASE_URL": f"sqlite:///{tmp_path}/{name}a" for name in ("", "ANALYTICS_")},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ran.stdout == "nothing has been archived yet\nFalse\n", ran.stderr


# --- Those who read, and no more -----------------------------------------------------------------


@pytest.mark.django_db(databases=DATABASES, transaction=True)
def test_the_role_of_the_readme_reads_and_cannot_write(is_postgresql):
    [statements] = re.findall(r"^```sql\n(.*?)^```$", (ROOT / "README.md").read_text(), re.M | re.S)
    if not is_postgresql:  # the file's owner alone can read it
        return
    put(MONDAY, "confirmed")
    connection = connections["analytics"]
    with connection.cursor() as cursor:
        cursor.execute(statements.replace("'...'", "'towel'"))
    kept = connection.settings_dict
    try:
        address = f"host=127.0.0.1 port={kept['PORT']} dbname={kept['NAME']} user=analyst"
        with psycopg.connect(address, autocommit=True) as analyst:
            for name in ("utilisation", "no_confirm_rate", "lead_time", "provider", "event"):
                assert analyst.execute(f"SELECT * FROM {name}").description
            with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
                analyst.execute("CREATE TEMPORARY TABLE mine (id int)")
            analyst.execute("SET default_transaction_read_only = off")
            for write in (
                "DELETE FROM reservation",
                "UPDATE client SET first_name = 'x'",
                "INSERT INTO provider VALUES (9, 'x', 'y')",
                "TRUNCATE event",
                "DROP VIEW utilisation",
                "CREATE TABLE mine (id int)",
                "ALTER TABLE provider ADD COLUMN mine int",
            ):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    analyst.execute(write)
            # What a later migration makes, is readable as well.
            with connection.cursor() as cursor:
                cursor.execute("CREATE VIEW later AS SELECT 1 AS one")
            assert analyst.execute("SELECT * FROM later").fetchone() == (1,)
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP VIEW IF EXISTS later")
            cursor.execute("DROP OWNED BY analyst")
            cursor.execute("DROP ROLE analyst")
