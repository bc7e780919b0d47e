"""No input breaks the service: every refusal is a problem detail and stores nothing."""

import re
from urllib.parse import urlencode

import pytest
from django.apps import apps
from django.db import connection

from scheduling import accounts, errors, feeds
from scheduling.models import Reservation

from .database import free_port
from .factories import PASSWORD, make_account, make_hold, make_timeslot

MIB = 2**20

# Every call that takes a body it reads, with one that is shaped as it should be.
CALLS = {
    "/provider/create": ("POST", {"first_name": "Ada", "last_name": "Lovelace"}),
    "/client/create": ("POST", {"first_name": "Ada", "last_name": "Lovelace"}),
    "/provider/availability": (
        "POST",
        {
            "provider_id": 1,
            "start_time": "2026-12-30T10:00:00Z",
            "end_time": "2026-12-30T11:30:00Z",
        },
    ),
    "/client/reserve": ("POST", {"client_id": 1, "timeslot_id": 1}),
    "/client/confirm": ("PUT", {"client_id": 1, "reservation_id": 1}),
    "/client/reschedule": ("PUT", {"client_id": 1, "reservation_id": 1, "timeslot_id": 1}),
    "/client/cancel": ("PUT", {"reservation_id": 1}),
    "/provider/cancel": ("PUT", {"reservation_id": 1}),
    "/client/profile": ("PUT", {"client_id": 1, "time_zone": "Asia/Tokyo"}),
    "/provider/profile": ("PUT", {"provider_id": 1, "time_zone": "Asia/Tokyo"}),
    "/client/calendarLink": ("POST", {"client_id": 1}),
    "/provider/calendarLink": ("POST", {"provider_id": 1}),
    "/auth/token": ("POST", {"email": "ada@example.org", "password": PASSWORD}),
    "/auth/token/refresh": ("POST", {"refresh": "made up"}),
    "/auth/logout": ("POST", {"refresh": "made up"}),
}
ADDRESSES = {
    **{path: [method] for path, (method, _) in CALLS.items()},
    "/provider/availability": ["POST", "DELETE", "GET"],
    "/provider/profile": ["PUT", "GET"],
    "/client/profile": ["PUT", "GET"],
    "/provider/calendarLink": ["POST", "DELETE"],
    "/client/calendarLink": ["POST", "DELETE"],
    "/provider/calendar.ics": ["GET"],
    "/client/calendar.ics": ["GET"],
    "/provider/expiredReservations": ["PUT"],
    "/client/getProviderAvailability": ["GET"],
    "/client/findTimeslots": ["GET"],
    "/client/reservation": ["GET"],
    "/client/reservations": ["GET"],
    "/provider/list": ["GET"],
    "/provider/reservation": ["GET"],
    "/provider/reservations": ["GET"],
    "/events": ["GET"],
}
IDS = [(path, field) for path, (_, body) in CALLS.items() for field in body if "_id" in field]
NO_IDS = [0, -1, 2**63, 2**64, -(2**63) - 1, 1.5, 1.0, 1e300, True, False, None, [], [1], {}]
NO_IDS += ["", " ", "0", "-1", "+1", "1.0", "1e3", " 1", "0x1", "one", "\u0661", "1\x00", "\x00"]
NO_IDS += [str(2**63), "9" * 40, "1" + "0" * 5000]
NO_JSON = {
    "half": b'{"first_name": ',
    "deep lists": b"[" * 100_000,
    "deep and closed": b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "deep objects": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "invalid UTF-8": b'{"first_name": "\xff", "last_name": "x"}',
    "overlong UTF-8": b'{"first_name": "\xc0\xaf", "last_name": "x"}',
    "UTF-16": '{"first_name": "x"}'.encode("utf-16"),
    "a byte order mark": b"\xef\xbb\xbf{}",
    "NaN": b'{"client_id": NaN, "provider_id": NaN}',
    "Infinity": b'{"client_id": -Infinity}',
    "a lone high surrogate": rb'{"first_name": "\ud800", "last_name": "x"}',
    "a lone low surrogate": rb'{"first_name": "x", "last_name": "\udc00"}',
    "a raw NUL": b'{"first_name": "a\x00"}',
    "NUL": b"\x00",
    "a comma too many": b'{"client_id": 1,}',
    "single quotes": b"{'client_id': 1}",
    "a form": b"client_id=1&timeslot_id=1",
    "two objects": b"{}{}",
    "a space": b" ",
}
NO_OBJECT = [b"[]", b'[{"client_id": 1}]', b'"text"', b"1", b"null", b"true"]


@pytest.fixture(autouse=True)
def stores_nothing(request):
    """Whatever a test here asks for is refused, and so changes no row."""
    if "api" not in request.fixturenames or "database_away" in request.fixturenames:
        yield
        return
    request.getfixturevalue("api")
    before = rows()
    yield
    assert rows() == before


@pytest.fixture
def database_away(transactional_db, is_postgresql, tmp_path):
    """Call it, and the database is away (nobody listens there); call it again, and it is back."""
    away = {"NAME": str(tmp_path / "missing" / "db.sqlite3")}
    if is_postgresql:
        away = {"PORT": str(free_port())}
    kept = {name: connection.settings_dict[name] for name in away}

    def switch(is_away=True):
        connection.close()
        connection.settings_dict.update(away if is_away else kept)

    yield switch
    switch(is_away=False)


def rows():
    return {
        model: list(model.objects.order_by("pk").values_list())
        for model in apps.get_app_config("scheduling").get_models()
    }


def refusal(answer, status):
    """The problem details of an answer that is a refusal in every respect."""
    assert answer.status_code == status, answer.content
    assert answer["Content-Type"] == "application/problem+json"
    problem = answer.json()
    assert list(problem)[:5] == ["type", "title", "status", "detail", "code"]
    assert problem["status"] == status
    assert problem["type"] == f"/problems#{problem['code']}"
    assert problem["code"] in {known["code"] for known in errors.every_refusal()}
    assert problem["title"]
    assert problem["detail"]
    assert "Traceback" not in problem["detail"]
    for error in problem.get("errors", []):
        assert list(error) == ["field", "code", "detail"]
    return problem


def send(api, path, body, **headers):
    method = ADDRESSES[path][0]
    return api.generic(method, path, body, content_type="application/json", **headers)


@pytest.mark.once
@pytest.mark.parametrize("value", NO_IDS, ids=lambda value: repr(value)[:30])
@pytest.mark.parametrize(("path", "field"), IDS)
def test_it_refuses_what_is_no_id(api, path, field, value):
    method, body = CALLS[path]
    problem = refusal(getattr(api, method.lower())(path, body | {field: value}), 400)
    code = "null" if value is None else "invalid"
    assert [(error["field"], error["code"]) for error in problem["errors"]] == [(field, code)]


@pytest.mark.parametrize("digits", ["9" * 40, "9" * 5000])
@pytest.mark.parametrize(("path", "field"), IDS)
def test_it_refuses_a_bare_number_of_any_length(api, path, field, digits):
    """Not every JSON reader tells such a number from one that it can hold."""
    body = '{"%s": %s}' % (field, digits)  # noqa: UP031
    refusal(send(api, path, body), 400)


@pytest.mark.parametrize("value", ["", "0", "-1", "1.5", str(2**63), "9" * 40, "\x00", "\u0661"])
def test_it_refuses_what_is_no_id_in_a_query(api, value):
    problem = refusal(api.get("/client/getProviderAvailability", {"provider_id": value}), 400)
    assert [(error["field"], error["code"]) for error in problem["errors"]] == [
        ("provider_id", "invalid")
    ]


@pytest.mark.parametrize("query", ["", "provider_id", "%00=1", "provider_id=%ff", "a=" * 3000])
def test_it_refuses_a_query_without_an_id(api, query):
    refusal(api.generic("GET", "/client/getProviderAvailability", QUERY_STRING=query), 400)


@pytest.mark.parametrize("path", CALLS)
def test_it_names_the_fields_that_are_missing(api, path):
    for body in (b"", b"{}", b'{"": 1}', b'{"first name": "Ada"}'):
        problem = refusal(send(api, path, body), 400)
        assert [(error["field"], error["code"]) for error in problem["errors"]] == [
            (field, "required") for field in CALLS[path][1] if field != "time_zone"
        ]


@pytest.mark.once
@pytest.mark.parametrize("body", NO_JSON.values(), ids=NO_JSON)
@pytest.mark.parametrize("path", CALLS)
def test_it_refuses_what_is_no_json(api, path, body):
    assert refusal(send(api, path, body), 400)["code"] == "malformed_json"


@pytest.mark.parametrize("body", NO_OBJECT)
@pytest.mark.parametrize("path", CALLS)
def test_it_refuses_json_that_is_no_object(api, path, body):
    problem = refusal(send(api, path, body), 400)
    assert [(error["field"], error["code"]) for error in problem["errors"]] == [
        ("body", "not_an_object")
    ]


@pytest.mark.once
@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "multipart/form-data",
        "application/xml",
        "application/jsonx",
        "json",
        "*/*",
        "",
        "\x00",
    ],
)
@pytest.mark.parametrize("path", CALLS)
def test_it_refuses_other_content_types(api, path, content_type):
    method, _ = CALLS[path]
    answer = api.generic(method, path, b'{"first_name": "Ada"}', content_type=content_type)
    assert refusal(answer, 415)["code"] == "unsupported_media_type"


@pytest.mark.once
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "TRACE", "BREW"])
@pytest.mark.parametrize("path", ADDRESSES)
def test_it_refuses_other_methods_and_says_which_are_allowed(api, path, method):
    if method in ADDRESSES[path]:
        return
    answer = api.generic(method, path)
    assert refusal(answer, 405)["code"] == "method_not_allowed"
    assert set(answer["Allow"].split(", ")) - {"HEAD", "OPTIONS"} == set(ADDRESSES[path])


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/schema", "/docs", "/problems"])
@pytest.mark.parametrize("method", ["DELETE", "POST", "OPTIONS"])
def test_pages_refuse_other_methods_too(api, path, method):
    answer = api.generic(method, path)
    assert refusal(answer, 405)["code"] == "method_not_allowed"
    assert "GET" in answer["Allow"].split(", ")


@pytest.mark.parametrize(
    "path",
    [
        "/nothing",
        "/Client/Reserve",
        "/client",
        "/client/reserve/more",
        "//client/reserve",
        "/client/reserve%00",
        "/%ff%fe",
        "/\u0661",
        "/" + "x" * 5000,
        "/static/nothing.js",
        *(f"{path}/" for path in ADDRESSES),
        *(f"{path}/" for path in ("/healthz", "/readyz", "/schema", "/docs", "/problems")),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "PUT"])
def test_it_refuses_unknown_paths(api, path, method):
    assert refusal(api.generic(method, path), 404)["code"] == "not_found"


@pytest.mark.parametrize("path", ADDRESSES)
@pytest.mark.parametrize("length", [str(MIB + 1), str(30 * MIB), str(2**63), "9" * 40, "9" * 5000])
def test_it_refuses_a_body_by_its_stated_length(api, path, length):
    answer = send(api, path, b"{}", CONTENT_LENGTH=length)
    assert refusal(answer, 413)["code"] == "body_too_large"


@pytest.mark.parametrize("path", CALLS)
@pytest.mark.parametrize(("length", "status"), [(MIB - 1, 400), (MIB, 400), (MIB + 1, 413)])
def test_the_body_limit_is_exactly_one_mib(api, path, length, status):
    problem = refusal(send(api, path, b"{}".ljust(length)), status)
    assert problem["code"] == ("invalid" if status == 400 else "body_too_large")


@pytest.mark.parametrize("length", ["", "x", "-1", "1.5", "0x10", "\u0661"])
def test_a_stated_length_that_is_no_number_is_no_body(api, length):
    refusal(send(api, "/client/create", b"{}", CONTENT_LENGTH=length), 400)


@pytest.mark.parametrize("path", ["/client/create", "/docs", "/admin/login/", "/nowhere"])
def test_it_serves_no_foreign_host(api, path):
    assert refusal(api.get(path, HTTP_HOST="evil.example"), 400)["code"] == "bad_request"


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_a_probe_asks_by_any_address(api, path):
    assert api.get(path, HTTP_HOST="192.0.2.7:8000").status_code == 200


@pytest.mark.parametrize("path", ADDRESSES)
def test_it_refuses_chunks(api, path):
    answer = send(api, path, b"{}", HTTP_TRANSFER_ENCODING="chunked")
    assert refusal(answer, 411)["code"] == "length_required"


def test_every_type_of_refusal_is_explained(api):
    page = api.get("/problems")
    assert page.status_code == 200
    anchors = re.findall(r'id="([a-z_]+)"', page.content.decode())
    assert anchors == [known["code"] for known in errors.every_refusal()]
    assert len(anchors) == len(set(anchors))


@pytest.mark.parametrize(
    ("path", "method"),
    [
        *((path, methods[0]) for path, methods in ADDRESSES.items()),
        ("/readyz", "GET"),
        ("/admin/scheduling/timeslot/", "GET"),
    ],
)
def test_without_a_database_it_says_so_and_recovers_by_itself(
    api, database_away, is_postgresql, admin_user, path, method
):
    hold = make_hold()
    _, body = CALLS.get(path, (method, {}))
    known = {
        "provider_id": hold.provider_id,
        "client_id": hold.client_id,
        "reservation_id": hold.pk,
        "timeslot_id": make_timeslot().pk,
        "refresh": accounts.start_session(user=make_account()).refresh,
    }
    if path.endswith("/calendar.ics"):
        party = Reservation.Party(path.split("/")[1])
        known["key"] = feeds.make_link(party=party, party_id=known[f"{party}_id"])
    body = body | {name: known[name] for name in body if name in known}
    query = urlencode(known) if path in ADDRESSES and method == "GET" else ""
    api.force_login(admin_user)

    def ask():
        return getattr(api, method.lower())(path, body or None, QUERY_STRING=query)

    database_away()
    answer = ask()
    assert refusal(answer, 503)["code"] == "unavailable"
    assert int(answer["Retry-After"]) > 0
    assert api.get("/healthz").status_code == 200
    database_away(is_away=False)
    assert ask().status_code in (200, 201, 204)
