"""The published schema against the running service: requests made up by the thousand."""

import json
import os
import subprocess
import sys

import pytest
import requests
import schemathesis

from .server import ROOT, Server
from .watch import MARK_OF_PASSWORDS

# Every check of schemathesis is on, as they are by default: `--checks all` would overrule the
# `enabled = false` below. Some operations may answer 400 to what their schema allows, because a
# schema has no words for it; so may no other, and the hooks below see to the rest.
CONFIGURATION = """
hooks = "tests.test_fuzz"

[generation]
max-examples = 30

[checks]
negative_data_rejection.expected-statuses = ["400", "415"]

[[operations]]  # the end comes after the start; at most 50,000 timeslots and five years ahead
include-operation-id = "publishAvailability"
checks.positive_data_acceptance.expected-statuses = ["201", "400", "404", "409"]

[[operations]]  # `to` comes after `from`; zones are known ones; a cursor comes from a Link header
include-operation-id = [
    "getProviderAvailability", "findTimeslots", "listProviders",
    "listReservations", "listReservationsOfProvider", "listTimeslotsOfProvider", "listEvents",
    "listWebhooks", "listDeliveries",
]
checks.positive_data_acceptance.expected-statuses = ["200", "400", "404"]

[[operations]]  # either a window, whose end comes after its start, or ids
include-operation-id = "withdrawAvailability"
checks.positive_data_acceptance.expected-statuses = ["200", "400", "404", "409"]

[[operations]]  # it has changed since the tag in If-Match, for no such tag was ever sent
include-operation-id = [
    "cancelReservation", "cancelReservationAsProvider", "rescheduleReservation",
]
checks.positive_data_acceptance.expected-statuses = ["200", "404", "409", "410", "412"]

[[operations]]  # at least one change; zones are known ones
include-operation-id = ["changeClientProfile", "changeProviderProfile"]
checks.positive_data_acceptance.expected-statuses = ["200", "400", "404", "412"]

[[operations]]  # at least one change; and as below
include-operation-id = "changeWebhook"
checks.positive_data_acceptance.expected-statuses = ["200", "400", "404"]
checks.ensure_resource_availability.enabled = false

[[operations]]  # which webhook is meant stands in the body, where the check does not look
include-operation-id = [
    "deleteWebhook", "listDeliveries", "replayDeliveries", "rotateWebhookSecret", "testWebhook",
]
checks.ensure_resource_availability.enabled = false

[[operations]]  # each may hash a password, which takes a quarter of a second
include-operation-id = ["createProvider", "createClient", "signIn"]
generation.max-examples = 15
"""

# Whoever asks too often is told nothing but that.
NO_LIMITS = {
    "OPEN_PROVIDER_SIGNUP": "true",
    **dict.fromkeys(["SIGN_IN_RATE", "SIGN_UP_RATE"], ""),
    **dict.fromkeys(["RESERVE_RATE", "RESERVE_RATE_PER_ADDRESS"], ""),
}

GOOD_ENDING = f" {MARK_OF_PASSWORDS}and a long way from every name and number"


@schemathesis.hook
def before_load_schema(context, raw_schema):
    """Leave out the Idempotency-Key, as no schema can say that it came with another request, and
    If-None-Match, which a 304 may be the answer to. And let it be seen that what makes a client
    answers the client_id that others ask for."""
    raw_schema.update(json.loads(json.dumps(raw_schema).replace("NewClient", "Client")))
    for methods in raw_schema["paths"].values():
        for operation in methods.values():
            operation["parameters"] = [
                parameter
                for parameter in operation.get("parameters", [])
                if parameter["name"] not in ("Idempotency-Key", "If-None-Match")
            ]


@schemathesis.hook
def filter_body(context, body):
    """Leave out what JSON Schema cannot tell from its neighbours."""
    if not isinstance(body, dict):
        return True
    # 1.0 is an integer to JSON Schema, and no id to the service.
    is_a_float = any(isinstance(value, float) for key, value in body.items() if key.endswith("_id"))
    # A pattern cannot tell a visible character.
    is_blank = any(
        isinstance(body.get(key), str)
        and not any(letter.isprintable() and not letter.isspace() for letter in body[key])
        for key in ("first_name", "last_name")
    )
    return not is_a_float and not is_blank


@schemathesis.hook
def map_body(context, body):
    """Lengthen each new password by what makes it a good one: which are, no schema can tell."""
    if isinstance(body, dict) and "first_name" in body and isinstance(body.get("password"), str):
        password = body["password"]
        if 8 <= len(password) <= 1000:
            return body | {"password": (password + GOOD_ENDING)[-1000:]}
    return body


@pytest.mark.fuzz
@pytest.mark.long
@pytest.mark.parametrize("mode", ["open", "required"])
def test_every_answer_is_as_the_schema_says(empty_database_url, tmp_path, mode):
    configuration = tmp_path / "schemathesis.toml"
    configuration.write_text(CONFIGURATION)
    with Server(tmp_path, empty_database_url, AUTHENTICATION=mode, **NO_LIMITS) as server:
        # Staff may do everything: past the door there is more to find.
        headers = {"Authorization": f"Bearer {server.staff_token()}"} if mode == "required" else {}
        make_the_account_of_the_examples(server, headers)
        run = subprocess.run(
            [
                *(sys.executable, "-m", "schemathesis.cli", "--config-file", configuration),
                *("run", f"{server.base_url}/schema", "--seed", "1"),
                *("--phases", "examples,coverage,fuzzing,stateful"),
                *("--continue-on-failure", "--generation-database", "none"),
                *("--request-timeout", "10", "--no-color"),
                *(word for name in headers for word in ("-H", f"{name}: {headers[name]}")),
            ],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
    assert run.returncode == 0, run.stdout + run.stderr
    # Ids found in answers were carried into later calls.
    assert "API Links:" in run.stdout
    log = server.log.read_text()
    assert '"level":"ERROR"' not in log
    # With sign-in required only staff came so far.
    assert '"method":"PUT","path":"/provider/expiredReservations","status":200' in log


def make_the_account_of_the_examples(server, headers):
    """Of those that the schema shows, so that its example of a sign-in succeeds."""
    schema = requests.get(f"{server.base_url}/schema", timeout=5).json()
    body = schema["paths"]["/auth/token"]["post"]["requestBody"]["content"]["application/json"]
    [example] = body["examples"].values()
    person = {"first_name": "Ada", "last_name": "Lovelace", **example["value"]}
    answer = requests.post(
        f"{server.base_url}/client/create", json=person, headers=headers, timeout=5
    )
    assert answer.status_code == 201, answer.text
