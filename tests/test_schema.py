"""/schema describes every call, /docs shows it from our own files."""

import re

import pytest

from scheduling import errors

OPERATIONS = {
    ("/provider/create", "post"): [],
    ("/client/create", "post"): [],
    ("/provider/availability", "post"): ["provider_not_found", "timeslots_overlap"],
    ("/provider/expiredReservations", "put"): [],
    ("/client/getProviderAvailability", "get"): ["invalid", "provider_not_found"],
    ("/client/reserve", "post"): [
        *("client_not_found", "timeslot_not_found", "timeslot_taken", "notice_too_short")
    ],
    ("/client/confirm", "put"): [
        *("not_your_reservation", "reservation_not_found"),
        *("already_confirmed", "cancelled", "hold_expired"),
    ],
}
WITH_A_BODY = ["invalid", "malformed_json", "unsupported_media_type"]
STATUS = {known["code"]: str(known["status"]) for known in errors.every_refusal()}

each_operation = pytest.mark.parametrize(("path", "method"), OPERATIONS)


@pytest.fixture
def schema(api):
    answer = api.get("/schema")
    assert answer.status_code == 200
    return answer.json()


def test_it_is_openapi_3_1_of_every_call(schema):
    assert schema["openapi"].startswith("3.1.")
    assert {(path, method) for path, of in schema["paths"].items() for method in of} == set(
        OPERATIONS
    )


@each_operation
def test_every_operation_has_examples(schema, path, method):
    operation = schema["paths"][path][method]
    [success] = [status for status in operation["responses"] if status < "300"]
    assert operation["responses"][success]["content"]["application/json"]["examples"]
    assert operation["summary"]
    if method == "post" or path == "/client/confirm":
        assert operation["requestBody"]["content"]["application/json"]["examples"]


@each_operation
def test_every_operation_documents_its_refusals(schema, path, method):
    operation = schema["paths"][path][method]
    codes = [*OPERATIONS[path, method], "length_required", "body_too_large", "unavailable"]
    if "requestBody" in operation:
        codes += WITH_A_BODY
    for code in codes:
        documented = operation["responses"][STATUS[code]]
        assert f"`{code}`" in documented["description"]
        assert list(documented["content"]) == ["application/problem+json"]
    refused = {status for status in operation["responses"] if status >= "400"}
    assert refused == {STATUS[code] for code in codes}


@each_operation
def test_every_example_of_a_refusal_is_the_refusal(schema, path, method):
    for status, response in schema["paths"][path][method]["responses"].items():
        if status < "400":
            continue
        for name, example in (
            response["content"]["application/problem+json"].get("examples", {}).items()
        ):
            problem = example["value"]
            assert problem["status"] == int(status)
            assert STATUS[problem["code"]] == status
            assert name.replace("_", "").lower() == problem["code"].replace("_", "").lower()


def test_the_request_examples_are_accepted_as_shapes(api, schema, clock):
    for path, method in OPERATIONS:
        body = schema["paths"][path][method].get("requestBody", {"content": {}})["content"]
        for example in body.get("application/json", {}).get("examples", {}).values():
            answer = getattr(api, method)(path, example["value"])
            assert answer.status_code in (200, 201, 404), (path, answer.content)


def test_the_docs_load_nothing_from_elsewhere(api):
    page = api.get("/docs")
    assert page.status_code == 200
    html = page.content.decode()
    assert "//cdn" not in html
    links = re.findall(r'(?:src|href)\s*=\s*"([^"]+)"', html)
    assert len(links) >= 3
    for link in links:
        assert link.startswith("/static/"), link
        answer = api.get(link)
        assert answer.status_code == 200, link
        assert b"".join(answer.streaming_content)
        answer.close()
    assert re.search(r'url: "/schema"|"/schema"', html)
