"""Logs: one JSON object a line, with the id of its request and never a person's name."""

import io
import json
import logging

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext

from reservation_system import logs
from scheduling.models import Provider

from .factories import make_client, make_timeslot

pytestmark = pytest.mark.once

NAMES = {"first_name": "Zaphodina", "last_name": "Beeblebroxova"}


@pytest.fixture
def log():
    """What the service writes to stderr from here on."""
    [handler] = [
        one for one in logging.getLogger().handlers if isinstance(one.formatter, logs.JSON)
    ]
    written = io.StringIO()
    before = handler.setStream(written)
    yield written
    handler.setStream(before)


def lines(log):
    return [json.loads(line) for line in log.getvalue().splitlines()]


@pytest.mark.parametrize("given", ["a", "0af7651916cd43dd8448eb211c80319c", "a.b_c-D9", "x" * 128])
def test_a_plain_word_is_kept_as_the_requests_id(api, log, given):
    answer = api.get("/healthz", HTTP_X_REQUEST_ID=given)
    assert answer["X-Request-ID"] == given
    assert [line["request_id"] for line in lines(log)] == [given]


@pytest.mark.parametrize(
    "given", ["", " ", "two words", "x" * 129, "a\nb", 'a"b', "a/b", "{}", "\u00e9", "<script>"]
)
def test_anything_else_gets_an_id_of_our_own(api, log, given):
    answer = api.get("/healthz", HTTP_X_REQUEST_ID=given)
    request_id = answer["X-Request-ID"]
    assert len(request_id) == 32
    assert int(request_id, 16)
    assert [line["request_id"] for line in lines(log)] == [request_id]


def test_each_request_without_an_id_gets_its_own(api, log):
    ids = {api.get("/healthz")["X-Request-ID"] for _ in range(3)}
    assert len(ids) == 3
    assert {line["request_id"] for line in lines(log)} == ids


@pytest.mark.parametrize("path", ["/nothing", "/client/reserve", "/schema/"])
def test_refusals_carry_the_id_too(api, log, path):
    assert api.get(path, HTTP_X_REQUEST_ID="mine")["X-Request-ID"] == "mine"
    answer = api.post(path, {}, HTTP_X_REQUEST_ID="mine", HTTP_TRANSFER_ENCODING="chunked")
    assert (answer.status_code, answer["X-Request-ID"]) == (411, "mine")


def test_every_line_of_a_request_has_its_id_and_says_what_happened(api, log, clock):
    ids = {"client_id": make_client().pk, "timeslot_id": make_timeslot().pk}
    answer = api.post("/client/reserve", ids, HTTP_X_REQUEST_ID="mine")
    held, request = lines(log)
    assert (held["message"], held["level"]) == ("reservation held", "INFO")
    assert held["timeslot_id"] == ids["timeslot_id"]
    assert held["reservation_id"] == answer.json()["Reservation scheduled"]["reservation_id"]
    assert request["message"] == "request"
    assert (request["method"], request["path"]) == ("POST", "/client/reserve")
    assert request["status"] == 200
    assert request["milliseconds"] >= 0
    assert {line["request_id"] for line in (held, request)} == {"mine"}
    assert all(line["timestamp"] for line in (held, request))


@pytest.mark.parametrize("kind", ["provider", "client"])
@pytest.mark.parametrize(
    ("change", "status"),
    [({}, 201), ({"first_name": NAMES["first_name"] * 20}, 400), ({"first_name": None}, 400)],
)
def test_a_persons_name_is_never_logged(api, log, kind, change, status):
    path = f"/{kind}/create?first_name={NAMES['first_name']}"
    assert api.post(path, NAMES | change).status_code == status
    api.generic("POST", path, json.dumps(NAMES), content_type="text/plain")
    api.generic("POST", path, json.dumps(NAMES)[:-1], content_type="application/json")
    written = log.getvalue()
    assert len(lines(log)) == 3
    assert not [name for name in NAMES.values() if name in written]


def test_the_name_of_a_provider_is_not_logged_by_what_happens_to_them(api, log, clock):
    provider = Provider.objects.create(**NAMES)
    window = {"start_time": "2026-12-30T10:00:00Z", "end_time": "2026-12-30T10:15:00Z"}
    for _ in range(2):
        api.post("/provider/availability", {"provider_id": provider.pk, **window})
    api.get("/client/getProviderAvailability", {"provider_id": provider.pk})
    assert [line["message"] for line in lines(log)] == [
        *("availability published", "request", "request", "request")
    ]
    assert not [name for name in NAMES.values() if name in log.getvalue()]


def test_no_statement_is_logged_at_any_level(api, log, caplog):
    for logger in ("", "django"):
        caplog.set_level(logging.DEBUG, logger)
    with CaptureQueriesContext(connection) as statements:  # what Django logs if it may
        assert api.post("/provider/create", NAMES).status_code == 201
    assert "INSERT" in statements[0]["sql"]
    assert "INSERT" not in log.getvalue()
    assert not [name for name in NAMES.values() if name in log.getvalue()]


def test_an_exception_is_one_line(log):
    try:
        raise RuntimeError("first\nsecond")
    except RuntimeError:
        logging.getLogger("scheduling").exception("failed")
    [line] = lines(log)
    assert line["level"] == "ERROR"
    assert "RuntimeError: first\nsecond" in line["exc_info"]


@pytest.mark.parametrize("form", [logs.JSON, logs.Text])
@pytest.mark.parametrize("names", [{"first_name": " "}, {"pk": 7}])
def test_a_row_that_the_database_refused_is_not_quoted(db, form, names):
    Provider.objects.create(pk=7, **NAMES)
    with pytest.raises(IntegrityError) as refused, transaction.atomic():
        Provider.objects.bulk_create([Provider(**NAMES | names)])
    record = {"exc_info": (refused.type, refused.value, refused.tb), "request_id": "-"}
    written = form().format(logging.makeLogRecord(record))
    assert "IntegrityError" in written
    assert "constraint" in written.lower()
    assert not [name for name in NAMES.values() if name in written]


@pytest.mark.parametrize(
    ("detail", "is_kept"),
    [
        ("Failing row contains (7, Xy, Z).", False),
        ("Key (email)=(xy@z.org) already exists.", False),
        ("Process 7 waits for ShareLock on transaction 8; blocked by process 9.", True),
    ],
)
def test_of_a_databases_detail_the_row_alone_is_left_out(log, detail, is_kept):
    try:
        raise RuntimeError(f"refused\nDETAIL:  {detail}\nHINT:  see above")
    except RuntimeError:
        logging.getLogger("scheduling").exception("failed")
    [line] = lines(log)
    assert (detail in line["exc_info"]) == is_kept
    assert line["exc_info"].startswith("Traceback")
    assert line["exc_info"].endswith("\nHINT:  see above")
