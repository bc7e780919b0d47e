"""README.md and its neighbours at their word: examples are executed, names looked up."""

import argparse
import ast
import json
import os
import re
import shlex
import subprocess
import sys
import time

import pytest
import requests

from scheduling import errors
from scheduling.urls import urlpatterns as seven_calls

from .database import free_port
from .server import ROOT

README = (ROOT / "README.md").read_text()
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()
DECISIONS = sorted((ROOT / "docs/decisions").glob("*.md"))

README_ADDRESS = "http://127.0.0.1:8000"
README_DAY = "2026-12-30"
EXAMPLE = re.compile(
    r"^```sh\n(?P<command>curl [^`]*)```\n"
    r"\n(?P<prose>(?:(?!```).)*?[Aa]nswers (?P<status>\d{3})(?:(?!```).)*?)\n"
    r"\n```json\n(?P<answer>[^`]*)```$",
    re.MULTILINE | re.DOTALL,
)
EXAMPLES = [match.groupdict() for match in EXAMPLE.finditer(README)]


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def section(title):
    return re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", README, re.MULTILINE | re.DOTALL)[1]


def curl(command, server, day):
    """What the curl command line would send. An option not known here is an error."""
    parser = argparse.ArgumentParser(exit_on_error=False)
    parser.add_argument("url")
    parser.add_argument("-X", dest="method")
    parser.add_argument("-H", dest="headers", action="append", default=[])
    parser.add_argument("-d", dest="body")
    parser.add_argument("-o", dest="output")
    parser.add_argument("-i", "-f", "-s", "-S", dest="flags", action="count")
    words = shlex.split(command.replace("\\\n", " "))
    given = parser.parse_args([word.replace("$DAY", day) for word in words[1:]])
    return requests.request(
        given.method or ("GET" if given.body is None else "POST"),
        given.url.replace(README_ADDRESS, server.base_url),
        headers=dict(header.split(": ", 1) for header in given.headers),
        data=given.body,
        timeout=5,
    )


def in_order(text):
    """JSON as nested lists of pairs, so that a comparison minds the order of the members; a moment
    that depends on when it was asked counts by its form alone."""
    text = re.sub(r'("created_at": ?)"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"', r'\1"a moment"', text)
    return json.loads(text, object_pairs_hook=list)


@pytest.fixture
def day():
    """DAY as the README's own line computes it."""
    (line,) = [block for block in blocks("sh") if block.startswith("DAY=")]
    shell = subprocess.run(
        ["sh", "-ec", f'{line}printf %s "$DAY"'], capture_output=True, text=True, check=True
    )
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", shell.stdout)
    return shell.stdout


def test_each_example_answers_what_is_shown(server, day):
    assert len(EXAMPLES) == sum(block.startswith("curl") for block in blocks("sh"))
    assert f"`DAY` being {README_DAY}" in README
    paged = None
    for example in EXAMPLES:
        answer = curl(example["command"], server, day)
        shown = example["answer"].replace(README_DAY, day)
        assert answer.status_code == int(example["status"]), (example["command"], answer.text)
        assert in_order(answer.text) == in_order(shown), example["command"]
        is_refused = answer.status_code >= 400
        assert answer.headers["Content-Type"] == (
            errors.PROBLEM_JSON if is_refused else "application/json"
        )
        paged = answer if "limit=" in example["command"] else paged

    (shown_link,) = blocks("http")
    pattern = re.escape(shown_link.strip().replace(README_ADDRESS, server.base_url))
    assert re.fullmatch(
        pattern.replace(re.escape("..."), r"[\w%=-]+"), f"Link: {paged.headers['Link']}"
    )
    second = requests.get(paged.links["next"]["url"], timeout=5)
    assert [timeslot["timeslot_id"] for timeslot in second.json()["available timeslots"]] == [3]
    assert "Link" not in second.headers

    (crontab,) = blocks("crontab")
    over_http, by_command = (line.split(maxsplit=5)[5] for line in crontab.splitlines())
    assert curl(over_http, server, day).status_code == 200
    assert by_command.endswith(" .venv/bin/python manage.py expire_reservations")


def test_each_of_the_seven_calls_has_an_example():
    commands = " ".join(example["command"] for example in EXAMPLES)
    called = set(re.findall(rf"{README_ADDRESS}/([\w/]+)", commands))
    assert called == {str(call.pattern) for call in seven_calls}


def test_each_address_it_names_is_served(server):
    named = set(re.findall(r"`(/[a-z]+/?)`", README))
    named |= set(re.findall(rf"{README_ADDRESS}(/[a-z]+/?)(?![\w/])", README))
    assert named >= {"/docs", "/schema", "/problems", "/healthz", "/readyz", "/admin/"}
    for path in named:
        assert requests.get(server.base_url + path, timeout=5).status_code == 200, path


def test_each_code_it_names_is_a_refusal():
    named = set(re.findall(r"\d{3} `([a-z_]+)`", README + CONTRIBUTING))
    named |= {json.loads(example["answer"]).get("code", "invalid") for example in EXAMPLES}
    assert "hold_expired" in named
    assert named <= {refusal["code"] for refusal in errors.every_refusal()}


def test_it_lists_the_settings_there_are_with_their_defaults():
    rows = re.findall(r"^\| `([A-Z_]+)` \| (.*?) \|", section("Settings"), re.MULTILINE)
    documented = {name: default.strip("`") for name, default in rows}

    read = {}
    settings = ast.parse((ROOT / "reservation_system/settings.py").read_text())
    for call in (node for node in ast.walk(settings) if isinstance(node, ast.Call)):
        is_reader = re.fullmatch(r"env\.\w+|_number|_seconds|_flag", ast.unparse(call.func))
        if is_reader and isinstance(call.args[0], ast.Constant):
            defaults = call.args[1:2] + [word.value for word in call.keywords]
            read[call.args[0].value] = defaults[0]
    assert set(documented) == set(read)
    for name, default in read.items():
        if isinstance(default, ast.Constant) and default.value != "":
            shown = documented[name]
            assert shown == str(default.value).replace("False", "false"), name


def test_each_make_target_it_names_exists():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for document in (README, CONTRIBUTING):
        named = set(re.findall(r"(?:^|`)make ([a-z-]+)", document, re.MULTILINE))
        assert {"test", "lint"} <= named <= targets


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"])
def test_each_path_it_names_exists(name):
    document = (ROOT / name).read_text()
    linked = re.findall(r"\]\(([^):#]+)\)", document)
    quoted = re.findall(r"`((?:[\w-]+/)+[\w.-]*)`", document)
    for path in linked + quoted:
        assert (ROOT / path).exists(), path


def test_each_decision_is_short_and_accepted():
    for number, decision in enumerate(DECISIONS, start=1):
        text = decision.read_text()
        assert decision.name.startswith(f"{number:04}-")
        assert len(text.splitlines()) <= 30, decision.name
        assert "\nStatus: Accepted\n" in text, decision.name
        assert re.findall(r"^## (.*)$", text, re.MULTILINE) == [
            "Context",
            "Decision",
            "Consequences",
        ]


@pytest.mark.long
def test_the_steps_by_hand_work(empty_database_url):
    (steps,) = [block for block in blocks("sh") if "runserver" in block]
    commands = [shlex.split(line)[1:] for line in steps.splitlines() if "manage.py" in line]
    *preparations, runserver = commands
    assert [words[1] for words in commands] == [
        "makemigrations",
        "migrate",
        "loaddata",
        "runserver",
    ]
    environment = os.environ | {"DATABASE_URL": empty_database_url}
    said = [
        subprocess.run(
            [sys.executable, *words],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        ).stdout
        for words in preparations
    ]
    assert "No changes detected" in said[0]
    assert "Installed 4 object(s)" in said[2]

    port = free_port()
    process = subprocess.Popen(
        [sys.executable, *runserver, str(port)],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        until = time.monotonic() + 30
        while True:
            try:
                answer = requests.get(
                    f"http://127.0.0.1:{port}/client/getProviderAvailability?provider_id=2",
                    timeout=5,
                )
                break
            except requests.ConnectionError:
                assert time.monotonic() < until
                assert process.poll() is None
                time.sleep(0.05)
        assert (answer.status_code, answer.json()) == (200, {"available timeslots": []})
    finally:
        # The server and the process that watches its files.
        os.killpg(process.pid, 9)
        process.wait(timeout=10)
