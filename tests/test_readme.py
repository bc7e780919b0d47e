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
from itertools import groupby

import pytest
import requests

from scheduling import errors
from scheduling.urls import urlpatterns as every_call

from .concurrency import wait_until
from .database import free_port
from .server import ROOT

pytestmark = pytest.mark.once

README = (ROOT / "README.md").read_text()
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()
DECISIONS = sorted((ROOT / "docs/decisions").glob("*.md"))

README_ADDRESS = "http://127.0.0.1:8000"
README_DAY = "2026-12-30"
EXAMPLE = re.compile(
    r"^```sh\n(?P<command>curl [^`]*)```\n"
    r"\n(?P<prose>(?:(?!```).)*?[Aa]nswers (?P<status>\d{3})(?:(?!```).)*?)\n"
    r"\n```(?:json|ics)\n(?P<answer>[^`]*)```$",
    re.MULTILINE | re.DOTALL,
)
EXAMPLES = [match.groupdict() for match in EXAMPLE.finditer(README)]


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def section(title):
    return re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", README, re.MULTILINE | re.DOTALL)[1]


def curl(command, server, day, **tokens):
    """What the curl command line would send. An option not known here is an error."""
    parser = argparse.ArgumentParser(exit_on_error=False)
    parser.add_argument("url")
    parser.add_argument("-X", dest="method")
    parser.add_argument("-H", dest="headers", action="append", default=[])
    parser.add_argument("-d", dest="body")
    parser.add_argument("-o", dest="output")
    parser.add_argument("-i", "-f", "-s", "-S", dest="flags", action="count")
    words = shlex.split(command.replace("\\\n", " "))
    variables = {"$DAY": day} | {f"${name.upper()}": word for name, word in tokens.items()}
    for name, value in variables.items():
        words = [word.replace(name, str(value)) for word in words]
    given = parser.parse_args(words[1:])
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
    names = "created|expires|cancelled|happened|disabled|next_attempt"
    text = re.sub(
        rf'("(?:{names})_at": ?)"\d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\dZ"', r'\1"a moment"', text
    )
    text = re.sub(r'key=rsc_[\w.-]+"', 'key=a key"', text)
    text = re.sub(r'"whsec_[\w+/=.]+"', '"a secret"', text)
    text = re.sub(r'"msg_[0-9a-f]{32}"', '"a message"', text)
    text = re.sub(r'("after": ?)"[\w=-]+"', r'\1"a position"', text)
    text = re.sub(r'("(?:access|refresh)": ?)"eyJhbGciOiJIUzI1NiIs[\w.-]+"', r'\1"a token"', text)
    return json.loads(text, object_pairs_hook=list)


def is_calendar(found, shown):
    """Line by line, but for what a line of three dots leaves out; moments by their form alone."""
    found, shown = (
        re.sub(r"(DTSTAMP|CREATED|LAST-MODIFIED):\d{8}T\d{6}Z", r"\1:a moment", text)
        for text in (found.replace("\r\n", "\n"), shown)
    )
    pattern = re.escape(shown).replace(re.escape("\n...\n"), r"\n(?:.*\n)*?")
    return re.fullmatch(pattern, found) is not None


def with_gaps(text):
    """An answer of which a line of three dots leaves a part out."""
    return in_order(re.sub(r"^ *\.\.\.,$", '"...",', text, flags=re.MULTILINE))


def as_cut(answer, shown):
    """The answer with the parts left out that the shown one has not got."""
    [(key, everything)], [(_, some)] = answer, shown
    return [(key, [one for one, _ in groupby(one if one in some else "..." for one in everything)])]


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
    [*_, sign_out] = [block for block in blocks("sh") if "/auth/logout" in block]
    commands = [block for block in blocks("sh") if block.startswith("curl")]
    assert [example["command"] for example in EXAMPLES] == [
        command for command in commands if command != sign_out
    ]
    assert f"`DAY` being {README_DAY}" in README
    shown_headers, tokens = iter(blocks("http")), {}
    for example in EXAMPLES:
        command = example["command"]
        answer = curl(command, server, day, **tokens)
        if "/events" in command:  # an event waits for whoever writes, in the other databases too
            wait_until(lambda command=command: curl(command, server, day).json()["has_more"])
            answer = curl(command, server, day)
        assert answer.status_code == int(example["status"]), (command, answer.text)
        if ".ics" in command:
            shown = example["answer"].replace(README_DAY.replace("-", ""), day.replace("-", ""))
            assert is_calendar(answer.text, shown), answer.text
            assert answer.headers["Content-Type"] == "text/calendar; charset=utf-8"
            continue
        found = in_order(answer.text.replace(server.base_url, README_ADDRESS))
        shown = with_gaps(example["answer"].replace(README_DAY, day))
        if counted := re.search(r"with (\d+) timeslots", example["prose"]):
            assert len(answer.json()["available timeslots"]) == int(counted[1])
            found = as_cut(found, shown)
        assert found == shown, command
        is_refused = answer.status_code >= 400
        assert answer.headers["Content-Type"] == (
            errors.PROBLEM_JSON if is_refused else "application/json"
        )
        tokens = answer.json() if "/auth/token" in command else tokens
        if "/calendarLink" in command:
            tokens = {"key": answer.json()["calendar_link"].partition("key=")[2]}
        if " -i " in command:
            header = next(shown_headers).strip().replace(README_ADDRESS, server.base_url)
            name = header.partition(":")[0]
            pattern = re.escape(header).replace(re.escape("..."), r"[\w%=-]+")
            assert re.fullmatch(pattern, f"{name}: {answer.headers[name]}"), command
        if " -i " in command and "Link" in answer.headers:
            second = requests.get(answer.links["next"]["url"], timeout=5)
            rest = [timeslot["timeslot_id"] for timeslot in second.json()["available timeslots"]]
            assert rest == [3]
            assert "Link" not in second.headers
    assert next(shown_headers, None) is None
    assert curl(sign_out, server, day, **tokens).status_code == 204

    (crontab,) = blocks("crontab")
    over_http, *by_command = (line.split(maxsplit=5)[5] for line in crontab.splitlines())
    assert curl(over_http, server, day).status_code == 200
    python = " .venv/bin/python "
    for command, name in zip(by_command, ["expire_reservations", "purge"], strict=True):
        assert command.endswith(f"{python}manage.py {name}")
        assert server.manage(name).returncode == 0


def test_each_call_has_an_example():
    commands = " ".join(example["command"] for example in EXAMPLES)
    called = set(re.findall(rf"{README_ADDRESS}/([\w/.]+)", commands))
    called.add("auth/logout")
    assert called == {str(call.pattern) for call in every_call}


def test_each_address_it_names_is_served(server):
    named = set(re.findall(r"`(/[a-z]+/?)`", README))
    named |= set(re.findall(rf"{README_ADDRESS}(/[a-z]+/?)(?![\w/])", README))
    assert named >= {"/docs", "/schema", "/problems", "/healthz", "/readyz", "/admin/"}
    for path in named:
        assert requests.get(server.base_url + path, timeout=5).status_code == 200, path


def test_each_code_it_names_is_a_refusal():
    named = set(re.findall(r"\d{3}\s`([a-z_]+)`", README + CONTRIBUTING))
    refused = [example for example in EXAMPLES if int(example["status"]) >= 400]
    named |= {json.loads(example["answer"])["code"] for example in refused}
    assert "hold_expired" in named
    assert named <= {refusal["code"] for refusal in errors.every_refusal()}


def test_it_lists_the_settings_there_are_with_their_defaults():
    rows = re.findall(r"^\| `([A-Z_]+)` \| (.*?) \|", section("Settings"), re.MULTILINE)
    documented = {name: default.strip("`") for name, default in rows}

    read = {}
    files = [ROOT / "reservation_system" / name for name in ("settings.py", "environment.py")]
    nodes = [node for file in files for node in ast.walk(ast.parse(file.read_text()))]
    for call in (node for node in nodes if isinstance(node, ast.Call)):
        is_reader = re.fullmatch(r"env\.\w+|number|seconds|flag|rate", ast.unparse(call.func))
        if is_reader and isinstance(call.args[0], ast.Constant):
            defaults = call.args[1:2] + [word.value for word in call.keywords]
            read[call.args[0].value] = defaults[0]
    assert set(documented) == set(read)
    for name, default in read.items():
        if isinstance(default, ast.Constant) and default.value != "":
            shown = documented[name]
            is_flag = isinstance(default.value, bool)
            assert shown == (str(default.value).lower() if is_flag else str(default.value)), name


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
        if re.fullmatch(r"\d+/(second|minute|hour|day)", path):  # a rate
            continue
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
