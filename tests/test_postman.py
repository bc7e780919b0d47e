"""The Postman collection, as it lies there; `make postman` runs it against the service."""

import json
import re

import pytest

from scheduling.urls import urlpatterns

from .server import ROOT

FILE = ROOT / "postman" / "Henry Meds Assessment Endpoints.postman_collection.json"
COLLECTION = json.loads(FILE.read_text())


def requests_in(folder):
    for item in folder["item"]:
        yield from requests_in(item) if "item" in item else [item]


REQUESTS = list(requests_in(COLLECTION))
every_request = pytest.mark.parametrize("item", REQUESTS, ids=lambda item: item["name"])


def script(item, listen):
    found = [event["script"]["exec"] for event in item["event"] if event["listen"] == listen]
    return "\n".join(line for lines in found for line in lines)


def test_it_is_a_collection_of_version_2_1():
    schema = "https://schema.getpostman.com/json/collection/v2.1.0/collection.json"
    assert COLLECTION["info"]["schema"] == schema
    assert COLLECTION["variable"][0] == {"key": "baseUrl", "value": "http://127.0.0.1:8000"}


@pytest.mark.parametrize("pattern", urlpatterns, ids=str)
def test_every_call_succeeds_in_it(pattern):
    [method] = {"get", "post", "put"} & set(pattern.callback.view_class.http_method_names)
    address = f"{{{{baseUrl}}}}/{pattern.pattern}"
    [folder] = COLLECTION["item"][:1]
    called = {
        (item["request"]["method"], item["request"]["url"]["raw"].partition("?")[0])
        for item in requests_in(folder)
    }
    assert (method.upper(), address) in called


@pytest.mark.parametrize(
    "code",
    [
        *("invalid", "malformed_json", "not_your_reservation", "not_found"),
        *("provider_not_found", "client_not_found", "timeslot_not_found", "reservation_not_found"),
        *("method_not_allowed", "timeslots_overlap", "timeslot_taken", "notice_too_short"),
        *("already_confirmed", "unsupported_media_type"),
    ],
)
def test_a_refusal_of_each_kind_is_in_it(code):
    assert any(f'.code).to.equal("{code}")' in script(item, "test") for item in REQUESTS)


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
    assert set(re.findall(r"{{(\w+)}}", text)) <= declared
    set_or_read = re.findall(r'collectionVariables\.[gs]et\(\\"(\w+)\\"', text)
    assert declared == {"baseUrl", *set_or_read}


def test_every_body_but_the_malformed_one_is_json_once_filled_in():
    malformed = []
    for item in REQUESTS:
        raw = item["request"].get("body", {"raw": "{}"})["raw"]
        try:
            assert isinstance(json.loads(re.sub(r"{{\w+}}", "1", raw)), dict)
        except json.JSONDecodeError:
            malformed.append(item["name"])
    assert malformed == ["Malformed JSON: 400"]
