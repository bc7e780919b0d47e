"""manage.py expire_reservations: the sweep for a scheduler."""

import os
import signal
import socket
import subprocess
import sys
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from .database import free_port
from .factories import make_hold, make_timeslot
from .server import ROOT

OVERDUE = timedelta(minutes=30, microseconds=1)


@pytest.fixture
def sweeper():
    """Start the command as a process of its own; whatever still runs at the end is killed."""
    started = []

    def start(database_url, *arguments):
        process = subprocess.Popen(
            [sys.executable, "manage.py", "expire_reservations", *arguments],
            cwd=ROOT,
            env=os.environ | {"DATABASE_URL": database_url},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate(timeout=10)


def assert_stops_at_once(process, number):
    """Within a second on an idle machine; one that waited for the database takes 5 and more."""
    process.send_signal(number)
    assert process.wait(timeout=4) == 0


def test_one_run_prints_what_it_released(db, clock):
    hold = make_hold(age=OVERDUE)
    make_hold(make_timeslot(starts_in=timedelta(hours=23)), age=OVERDUE)
    printed = StringIO()
    call_command("expire_reservations", stdout=printed)
    assert printed.getvalue() == (
        f"released timeslot {hold.timeslot_id} of provider {hold.provider_id}, "
        "2026-12-02T09:00:00Z\n"
        "1 timeslots released\n"
    )
    hold.refresh_from_db()
    assert hold.status == "expired"


def test_one_run_with_nothing_to_do_says_so(db, clock):
    make_hold()
    printed = StringIO()
    call_command("expire_reservations", stdout=printed)
    assert printed.getvalue() == "0 timeslots released\n"


def test_one_run_exits_with_0(database_url, sweeper):
    hold = make_hold(age=OVERDUE)
    process = sweeper(database_url)
    printed, complaint = process.communicate(timeout=30)
    assert process.returncode == 0, complaint
    assert f"released timeslot {hold.timeslot_id} of provider {hold.provider_id}" in printed


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
def test_one_run_without_a_database_exits_with_1_and_says_why(sweeper, tmp_path, engine):
    process = sweeper(
        f"sqlite:///{tmp_path}/missing/db.sqlite3"
        if engine == "sqlite"
        else f"postgresql://postgres@127.0.0.1:{free_port()}/postgres"
    )
    printed, complaint = process.communicate(timeout=30)
    assert process.returncode == 1
    assert printed == ""
    assert "The database cannot be used" in complaint
    assert "Traceback" not in complaint


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_sweeps_until_it_is_asked_to_stop(database_url, sweeper, number):
    first = make_hold(age=OVERDUE)
    process = sweeper(database_url, "--every", "0.1")
    assert f"released timeslot {first.timeslot_id} " in process.stdout.readline()
    assert process.stdout.readline() == "1 timeslots released\n"
    second = make_hold(age=OVERDUE)
    assert f"released timeslot {second.timeslot_id} " in process.stdout.readline()
    assert_stops_at_once(process, number)


def test_it_stops_at_once_between_two_runs(database_url, sweeper):
    make_hold(age=OVERDUE)
    process = sweeper(database_url, "--every", "86400")
    assert "released timeslot" in process.stdout.readline()
    assert_stops_at_once(process, signal.SIGTERM)


def test_it_stops_at_once_while_the_database_does_not_answer(sweeper):
    with socket.create_server(("127.0.0.1", 0)) as mute:
        mute.settimeout(30)
        process = sweeper(f"postgresql://postgres@127.0.0.1:{mute.getsockname()[1]}/x", "--every=1")
        connected, _ = mute.accept()
        with connected:
            assert_stops_at_once(process, signal.SIGTERM)


def test_it_goes_on_while_the_database_is_away(sweeper):
    process = sweeper(f"postgresql://postgres@127.0.0.1:{free_port()}/x", "--every", "0.1")
    for _ in range(3):
        assert "database unavailable" in process.stderr.readline()
    assert process.poll() is None
    assert_stops_at_once(process, signal.SIGTERM)


@pytest.mark.parametrize("seconds", ["0", "0.09", "-1", "86400.1", "nan", "inf", "soon", ""])
def test_it_refuses_an_impossible_interval(db, seconds):
    with pytest.raises(CommandError, match=r"must be a number of seconds from 0\.1 to 86400"):
        call_command("expire_reservations", f"--every={seconds}")
