"""/schema describes every call, /docs shows it from our own files."""

import json
import re

import pytest
from jsonschema import Draft202012Validator

from scheduling import errors
from scheduling.serializers import Shape
from scheduling.views.endpoint import Endpoint

ACCOUNT = ["already_registered", "email_taken", "throttled"]
ENDED = ["reservation_not_found", "cancelled", "hold_expired"]
RESERVABLE = ["timeslot_not_found", "timeslot_taken", "notice_too_short", "throttled"]
STALE = ["changed_meanwhile"]
OPERATIONS = {
    ("/provider/create", "post"): ACCOUNT,
    ("/provider/availability", "get"): ["provider_not_found"],
    ("/provider/availability", "post"): ["provider_not_found", "timeslots_overlap"],
    ("/provider/availability", "delete"): [
        *("provider_not_found", "timeslot_not_found", "timeslots_reserved"),
    ],
    ("/provider/profile", "get"): ["provider_not_found"],
    ("/provider/profile", "put"): ["provider_not_found", *STALE],
    ("/provider/list", "get"): [],
    ("/provider/reservation", "get"): ["reservation_not_found"],
    ("/provider/reservations", "get"): ["provider_not_found"],
    ("/provider/cancel", "put"): [*ENDED, *STALE],
    ("/provider/expiredReservations", "put"): [],
    ("/client/create", "post"): ACCOUNT,
    ("/client/getProviderAvailability", "get"): ["provider_not_found"],
    ("/client/findTimeslots", "get"): [],
    ("/client/reserve", "post"): ["client_not_found", "too_many_holds", *RESERVABLE],
    ("/client/confirm", "put"): [*ENDED, "not_your_reservation", "already_confirmed"],
    ("/client/reschedule", "put"): [*ENDED, *RESERVABLE, *STALE, "too_late_to_cancel"],
    ("/client/cancel", "put"): [*ENDED, *STALE, "too_late_to_cancel"],
    ("/client/profile", "get"): ["client_not_found"],
    ("/client/profile", "put"): ["client_not_found", *STALE],
    ("/client/reservation", "get"): ["reservation_not_found"],
    ("/client/reservations", "get"): ["client_not_found"],
    ("/provider/calendarLink", "post"): ["provider_not_found"],
    ("/provider/calendarLink", "delete"): ["provider_not_found"],
    ("/provider/calendar.ics", "get"): ["not_found"],
    ("/client/calendarLink", "post"): ["client_not_found"],
    ("/client/calendarLink", "delete"): ["client_not_found"],
    ("/client/calendar.ics", "get"): ["not_found"],
    ("/events", "get"): ["history_archived"],
    ("/webhooks", "post"): ["provider_not_found", "too_many_webhooks"],
    ("/webhooks", "get"): [],
    ("/webhooks", "put"): ["webhook_not_found"],
    ("/webhooks", "delete"): ["webhook_not_found"],
    ("/webhooks/secret", "put"): ["webhook_not_found"],
    ("/webhooks/test", "post"): ["webhook_not_found", "webhook_disabled"],
    ("/webhooks/deliveries", "get"): ["webhook_not_found"],
    ("/webhooks/replay", "post"): [
        *("webhook_not_found", "webhook_disabled", "delivery_not_found")
    ],
    ("/auth/token", "post"): ["wrong_credentials", "too_many_attempts", "throttled"],
    ("/auth/token/refresh", "post"): ["token_invalid", "token_expired"],
    ("/auth/logout", "post"): ["token_invalid", "token_expired"],
}
WITH_A_TOKEN = ["not_authenticated", "token_invalid", "token_expired", "not_permitted"]
WITH_A_KEY = ["invalid", "still_running", "key_reused"]
# What they answer is not kept for a retry.
SECRET = [
    *(
        (f"/{party}/calendarLink", verb)
        for party in ("provider", "client")
        for verb in ("post", "delete")
    ),
    *(("/webhooks", "post"), ("/webhooks/secret", "put")),
]
WITH_A_BODY = ["invalid", "malformed_json", "unsupported_media_type"]
STATUS = {known["code"]: str(known["status"]) for known in errors.every_refusal()}

TAGGED = [
    *("/client/getProviderAvailability", "/client/profile", "/client/reservation"),
    *("/client/calendar.ics", "/provider/profile", "/provider/reservation"),
    "/provider/calendar.ics",
]

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
    if success != "204":
        kind = "text/calendar" if path.endswith(".ics") else "application/json"
        assert operation["responses"][success]["content"][kind]["examples"]
    assert operation["summary"]
    if method in ("post", "put") and path != "/provider/expiredReservations":
        assert operation["requestBody"]["content"]["application/json"]["examples"]
        assert operation["requestBody"]["required"]


@each_operation
def test_every_operation_documents_its_refusals(schema, path, method):
    operation = schema["paths"][path][method]
    codes = [*OPERATIONS[path, method], "length_required", "body_too_large", "unavailable"]
    if "requestBody" in operation:
        codes += WITH_A_BODY
    if not path.startswith("/auth/"):
        is_stored = method != "get" and (path, method) not in SECRET
        codes += WITH_A_KEY if is_stored else ["invalid"]
    if not path.startswith("/auth/") and not path.endswith(".ics"):
        codes += WITH_A_TOKEN
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
            assert answer.status_code in (200, 201, 202, 401, 404), (path, answer.content)


def test_it_says_what_makes_an_account(schema):
    person = schema["components"]["schemas"]["PersonInput"]
    assert person["required"] == ["first_name", "last_name"]
    assert person["dependentRequired"] == {"email": ["password"], "password": ["email"]}
    assert person["properties"]["password"]["minLength"] == 8
    # Who signs in is asked for the password that there is, whatever it was made by.
    sign_in = schema["components"]["schemas"]["SignInInput"]
    assert sign_in["properties"]["password"]["minLength"] == 1


def test_a_refusal_has_a_known_code_or_one_to_come(schema):
    shapes = schema["components"]["schemas"]
    assert set(shapes["Code"]["enum"]) == set(STATUS)
    known, any_other = shapes["Problem"]["properties"]["code"]["anyOf"]
    assert known == {"$ref": "#/components/schemas/Code"}
    assert any_other == {"type": "string"}


@pytest.mark.parametrize("path", TAGGED)
def test_what_has_a_tag_can_be_asked_for_by_it(schema, path):
    operation = schema["paths"][path]["get"]
    assert "If-None-Match" in {parameter["name"] for parameter in operation["parameters"]}
    assert "ETag" in operation["responses"]["200"]["headers"]
    assert "content" not in operation["responses"]["304"]


def test_no_shape_is_called_as_what_it_holds(schema):
    for name, shape in schema["components"]["schemas"].items():
        members = {
            member.replace("_", "").replace(" ", "") for member in shape.get("properties", {})
        }
        assert name.lower() not in {member.lower() for member in members}, name
    assert "Client" not in schema["components"]["schemas"]


def test_a_status_is_one_type_wherever_it_stands(schema):
    for path, method in OPERATIONS:
        for parameter in schema["paths"][path][method].get("parameters", []):
            assert "enum" not in parameter["schema"], (path, parameter["name"])


def shapes_in(node):
    """Each object within, and itself."""
    if isinstance(node, list):
        yield from (one for item in node for one in shapes_in(item))
    if isinstance(node, dict):
        yield node
        yield from (one for item in node.values() for one in shapes_in(item))


def test_each_default_is_what_could_be_sent(schema):
    with_default = [shape for shape in shapes_in(schema) if "default" in shape and "type" in shape]
    assert len(with_default) > 10
    for shape in with_default:
        Draft202012Validator(shape | {"components": schema["components"]}).validate(
            shape["default"]
        )


@pytest.mark.parametrize("base", [Endpoint, Shape])
def test_how_it_is_made_is_no_description(schema, base):
    first_line = base.__doc__.partition("\n")[0]
    assert first_line not in json.dumps(schema)


def test_the_docs_load_nothing_from_elsewhere(api):
    page = api.get("/docs")
    assert page.status_code == 200
    html = page.content.decode()
    assert "//cdn" not in html
    links = re.findall(r'(?:src|href)\s*=\s*"([^"]+)"', html)
    assert len(links) >= 5
    *files, script = links
    for link in files:
        assert link.startswith("/static/"), link
        answer = api.get(link)
        assert answer.status_code == 200, link
        assert b"".join(answer.streaming_content)
        answer.close()
    answer = api.get(script)
    assert (answer.status_code, answer["Content-Type"]) == (200, "application/javascript")
    assert 'url: "/schema"' in answer.content.decode()
