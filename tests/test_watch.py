"""The watch over the logs finds what no log should hold, and nothing else."""

import base64
import json
import logging
import os
import re
import subprocess
import sys
import threading
import uuid

import pytest
import requests
from django.conf import settings

from reservation_system import logs

from . import factories, watch
from .server import ROOT, Server

pytestmark = pytest.mark.once


def web_token():
    parts = ({"alg": "HS256"}, {"sub": "7"}, "signature")
    return ".".join(
        base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts
    )


SERVICE_TOKEN = "rst_Zk3v9QfX0aB1cD2eF3gH4iJ5"
FORBIDDEN = [
    ("email", "ada@example.org"),
    ("email", "ada.king+work@mail.example.co.uk"),
    ("email", "/people/ada%40example.org"),
    ("json_web_token", web_token()),
    ("service_token", SERVICE_TOKEN),
    ("service_token", f"?key={SERVICE_TOKEN}"),
    ("calendar_key", "/client/calendar.ics?key=rsc_0aB1cD2eF3gH4iJ5kL6mN7"),
    ("bearer_token", "Authorization: Bearer 0aB1cD2eF3"),
    ("bearer_token", "{'authorization': b'bearer 5f2b9c-e1.7'}"),
    ("password", factories.PASSWORD),
    ("password", "it was 'hunter2-battery-staple'"),
    ("password_in_an_address", "redis://:swordfish@cache.internal:6379/0"),
    ("password_in_an_address", "postgresql://service:swordfish@10.0.0.7/service"),
    *(("name", f"Failing row contains (7, Xy, {name}).") for name in watch.NAMES),
]
ORDINARY = [
    "reservation held",
    uuid.UUID(int=2**127 + 12345).hex,
    "/client/getProviderAvailability",
    "/people/@home",
    "2026-11-30T09:00:00.123456Z",
    "first_name_and_last_name_are_required_here",
    'File "/srv/app/scheduling/booking.py", line 7, in reserve',
    "    @functools.wraps(view)",
    'connection to server at "127.0.0.1", port 5432 failed: Connection refused',
    "postgresql://service@127.0.0.1:5432/service",
    "Serving on http://127.0.0.1:8000 (Ctrl-C stops it)",
    "Bearer authentication is required",
    "manufacturing, Turingia",
    "eyJ",
]


def test_each_kind_is_tried_here():
    assert {kind for kind, _ in FORBIDDEN} == set(watch.FORBIDDEN.groupindex)


@pytest.fixture
def found():
    with watch.looking() as found:
        yield found


def kinds(found):
    return [kind for kind, _ in found]


@pytest.mark.parametrize(("kind", "text"), FORBIDDEN)
def test_it_finds(kind, text):
    assert kinds(watch.find(f"before {text} after")) == [kind]
    assert kinds(watch.find(json.dumps({"message": f"one\n{text}\nthree"}))) == [kind]


@pytest.mark.parametrize(("kind", "text"), FORBIDDEN)
def test_it_finds_in_whatever_part_of_a_record(found, kind, text):
    logger = logging.getLogger("scheduling.anything")
    logger.info(text)
    logger.info("signed in as %s", text)
    logger.info("signed in", extra={"given": text})
    logger.info("signed in", extra={"given": {"deep": [text]}})
    try:
        raise RuntimeError(f"first\n{text}")
    except RuntimeError:
        logging.getLogger("another.library").exception("failed")
    assert kinds(found) == [kind] * 5


@pytest.mark.parametrize("text", ORDINARY)
def test_it_leaves_ordinary_lines_alone(found, text):
    logging.getLogger("scheduling").info(text, extra={"path": text, "timeslot_id": 12})
    assert found == []


def test_it_names_the_line(found):
    logging.getLogger("scheduling").warning("mail sent", extra={"recipient": "ada@example.org"})
    [(_, line)] = found
    assert json.loads(line)["message"] == "mail sent"


def test_it_sees_other_threads(found):
    thread = threading.Thread(target=logging.getLogger("x").error, args=[factories.PASSWORD])
    thread.start()
    thread.join()
    assert kinds(found) == ["password"]


def test_it_sees_no_line_below_the_level_that_is_written(found):
    logging.getLogger("scheduling").debug(factories.PASSWORD)
    assert found == []


def test_every_handler_of_the_service_writes_in_a_form_that_is_watched():
    formatters = settings.LOGGING["formatters"]
    forms = {formatters[one["formatter"]]["()"] for one in settings.LOGGING["handlers"].values()}
    assert forms <= {"reservation_system.logs.JSON", "reservation_system.logs.Text"}
    assert logs.JSON.format.__module__ == logs.Text.format.__module__ == watch.__name__


def test_it_knows_the_people_of_fixture_and_factories(db):
    people = json.loads((ROOT / "fixtures/prepopulate_db.json").read_text())
    last_names = {person["fields"]["last_name"] for person in people}
    last_names |= {make().last_name for make in (factories.make_provider, factories.make_client)}
    assert last_names <= set(watch.NAMES)
    assert factories.PASSWORD.startswith(watch.MARK_OF_PASSWORDS)


LEAKS = """
import logging, pytest

@pytest.fixture
def late():
    yield
    logging.getLogger("late").error("Lovelace")

def test_in_a_test():
    logging.getLogger("leak").info("told ada@example.org")

def test_of_its_neighbour():
    logging.getLogger("leak").info("told somebody")

def test_that_fails_as_well():
    logging.getLogger("leak").info("told Turing")
    assert not "a reason of its own"

def test_in_a_fixture(late):
    pass
"""


def test_it_fails_the_very_test_that_wrote_the_line(tmp_path):
    (tmp_path / "test_leaks.py").write_text(LEAKS)
    run = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-c", ROOT / "pyproject.toml", "-n0", "-p"),
            *("no:randomly", "-p", "no:cacheprovider", "--rootdir", tmp_path, tmp_path),
        ],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if "XDIST" not in name},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    summary = run.stdout.partition("short test summary info")[2]
    assert set(re.findall(r"(FAILED|ERROR) \S+::(\w+)", summary)) == {
        ("FAILED", "test_in_a_test"),
        ("FAILED", "test_that_fails_as_well"),
        ("ERROR", "test_in_a_fixture"),
    }
    assert '"message":"told ada@example.org"' in run.stdout
    assert "a reason of its own" in run.stdout


@pytest.mark.parametrize("end", [Server.stop, Server.kill])
def test_it_reads_the_log_of_a_server_that_ends(empty_database_url, tmp_path, end):
    server = Server(tmp_path, empty_database_url).start()
    try:
        requests.get(f"{server.base_url}/people/ada@example.org", timeout=5)
    finally:
        with pytest.raises(AssertionError, match="/people/ada@example"):
            end(server)
