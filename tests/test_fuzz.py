"""The published schema against the running service: requests made up by the thousand."""

import os
import subprocess
import sys

import pytest
import schemathesis

from .server import ROOT

# Every check of schemathesis is on. Two operations may answer 400 to what their schema allows,
# because a schema has no words for it.
CONFIGURATION = """
hooks = "tests.test_fuzz"

[checks]
negative_data_rejection.expected-statuses = ["400", "415"]

[[operations]]  # the end comes after the start; at most 50,000 timeslots and five years ahead
include-operation-id = "publishAvailability"
checks.positive_data_acceptance.expected-statuses = ["201", "400", "404", "409"]

[[operations]]  # `to` comes after `from`; the cursor is taken from a Link header
include-operation-id = "getProviderAvailability"
checks.positive_data_acceptance.expected-statuses = ["200", "400", "404"]
"""


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


@pytest.mark.long
def test_every_answer_is_as_the_schema_says(server, tmp_path):
    configuration = tmp_path / "schemathesis.toml"
    configuration.write_text(CONFIGURATION)
    run = subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli", "--config-file", configuration),
            *("run", f"{server.base_url}/schema", "--phases", "examples,coverage,fuzzing,stateful"),
            *("--checks", "all", "--max-examples", "100", "--continue-on-failure", "--seed", "1"),
            *("--generation-database", "none", "--request-timeout", "10", "--no-color"),
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
    assert '"level":"ERROR"' not in server.log.read_text()
