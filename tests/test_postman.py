"""The Postman collection, as it lies there; `make postman` runs it against the service."""

import json
import re

import pytest

from scheduling.urls import urlpatterns

from .server import ROOT
from .watch import MARK_OF_PASSWORDS

FILE = ROOT / "postman" / "Henry Meds Assessment Endpoints.postman_collection.json"
COLLECTION = json.loads(FILE.read_text())


def requests_in(folder):
    for item in folder["item"]:
        yield from requests_in(item) if "item" in item else [item]


REQUESTS = list(requests_in(COLLECTION))
FOLDERS = {folder["name"]: folder for folder in COLLECTION["item"]}
FIRST, SIGNED_IN, *_ = FOLDERS
# Whoever runs the collection gives these; its scripts set all others.
GIVEN = {"baseUrl", "password", "service_token", "hook_url"}
CALLS = [
    (method, str(call.pattern))
    for call in urlpatterns
    for method in ("GET", "POST", "PUT", "DELETE")
    if method.lower() in call.callback.view_class.http_method_names
]
every_request = pytest.mark.parametrize("item", REQUESTS, ids=lambda item: item["name"])


def script(item, listen):
    found = [event["script"]["exec"] for event in item["event"] if event["listen"] == listen]
    return "\n".join(line for lines in found for line in lines)


def test_it_is_a_collection_of_version_2_1():
    schema = "https://schema.getpostman.com/json/collection/v2.1.0/collection.json"
    assert COLLECTION["info"]["schema"] == schema
    assert COLLECTION["variable"][0] == {"key": "baseUrl", "value": "http://127.0.0.1:8000"}


def test_it_says_which_folder_needs_which_server():
    assert SIGNED_IN == "With sign-in required"
    for name, folder in FOLDERS.items():
        is_for_required = "AUTHENTICATION=required" in folder["description"]
        is_for_open = "open server" in folder["description"]
        assert (is_for_required, is_for_open) == (name == SIGNED_IN, name != SIGNED_IN)
    said = f'"{SIGNED_IN}" is for a server with AUTHENTICATION=required'
    assert said in COLLECTION["info"]["description"]


@pytest.mark.parametrize(
    ("is_open", "method", "address"),
    [
        *((True, *call) for call in CALLS if not call[1].startswith("auth/")),
        *((False, *call) for call in CALLS),
    ],
)
def test_every_call_succeeds_in_it(is_open, method, address):
    """In the folders for an open server and in the one for sign-in; the first has the seven."""
    succeeding = {
        (item["request"]["method"], item["request"]["url"]["raw"].partition("?")[0])
        for name, folder in FOLDERS.items()
        if (name != SIGNED_IN) == is_open
        for item in requests_in(folder)
        if "to.have.status(2" in script(item, "test")
    }
    assert (method, f"{{{{baseUrl}}}}/{address}") in succeeding


def test_the_first_folder_makes_the_seven_calls_of_the_contract():
    addresses = [
        item["request"]["url"]["raw"].partition("?")[0].removeprefix("{{baseUrl}}/")
        for item in requests_in(FOLDERS[FIRST])
    ]
    assert list(dict.fromkeys(addresses)) == [
        *("provider/create", "client/create", "provider/availability"),
        *("client/getProviderAvailability", "client/reserve", "client/confirm"),
        "provider/expiredReservations",
    ]


@pytest.mark.parametrize(
    "code",
    [
        *("invalid", "malformed_json", "not_your_reservation", "not_found"),
        *("provider_not_found", "client_not_found", "timeslot_not_found", "reservation_not_found"),
        *("method_not_allowed", "timeslots_overlap", "timeslot_taken", "notice_too_short"),
        *("already_confirmed", "unsupported_media_type", "timeslots_reserved", "cancelled"),
        *("changed_meanwhile", "key_reused"),
        *("wrong_credentials", "token_invalid", "not_authenticated", "not_permitted"),
    ],
)
def test_a_refusal_of_each_kind_is_in_it(code):
    assert any(f'.code).to.equal("{code}")' in script(item, "test") for item in REQUESTS)


def test_every_401_in_it_looks_for_the_challenge():
    unauthorized = [item for item in REQUESTS if "to.have.status(401)" in script(item, "test")]
    assert unauthorized
    assert all('"WWW-Authenticate")' in script(item, "test") for item in unauthorized)


def test_tokens_go_with_the_calls_that_require_them_alone():
    """The open folders are to work without, for those who never sign in."""
    tokens = {
        name: {
            item["request"]["auth"]["bearer"][0]["value"]
            for item in requests_in(folder)
            if "auth" in item["request"]
        }
        for name, folder in FOLDERS.items()
    }
    sent = {"{{provider_access}}", "{{client_access}}", "{{foreign_access}}", "{{service_token}}"}
    assert tokens.pop(SIGNED_IN) == {*sent, "made-up"}
    assert not any(tokens.values())


@every_request
def test_each_request_says_what_it_is_for_and_what_it_expects(item):
    assert item["request"]["description"]
    assert "pm.test(" in script(item, "test")
    assert "to.have.status(" in script(item, "test")
    assert '"Content-Type")' in script(item, "test")


@every_request
def test_each_request_goes_to_the_base_url(item):
    url = item["request"]["url"]
    assert url["raw"].startswith(("{{baseUrl}}/", "{{next_page}}"))
    query = "&".join(f"{pair['key']}={pair['value']}" for pair in url.get("query", []))
    parts = "/".join([*url["host"], *url.get("path", [])])
    assert url["raw"] == (f"{parts}?{query}" if query else parts)


def test_hosts_and_dates_are_nowhere_written_out():
    text = json.dumps(COLLECTION["item"])
    assert "://" not in text
    assert not re.search(r"20\d\d-\d", text)


def test_every_variable_is_declared_and_used():
    text = json.dumps(COLLECTION["item"])
    declared = {variable["key"] for variable in COLLECTION["variable"]}
    sent = set(re.findall(r"{{(\w+)}}", text))
    put = set(re.findall(r'collectionVariables\.set\(\\"(\w+)\\"', text))
    read = set(re.findall(r'collectionVariables\.get\(\\"(\w+)\\"', text))
    assert declared == GIVEN | put
    assert not GIVEN & put
    assert declared == sent | read


def test_the_watch_over_the_logs_knows_its_password():
    values = {variable["key"]: variable["value"] for variable in COLLECTION["variable"]}
    assert values["password"].startswith(MARK_OF_PASSWORDS)
    assert values["service_token"] == ""


def test_every_body_but_the_malformed_one_is_json_once_filled_in():
    malformed = []
    for item in REQUESTS:
        raw = item["request"].get("body", {"raw": "{}"})["raw"]
        try:
            assert isinstance(json.loads(re.sub(r"{{\w+}}", "1", raw)), dict)
        except json.JSONDecodeError:
            malformed.append(item["name"])
    assert malformed == ["Malformed JSON: 400"]
