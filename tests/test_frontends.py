"""docs/frontends.md at its word; `make clients` types its commands and runs its examples."""

import json
import re

import pytest
from django.conf import settings
from django.urls import resolve

from scheduling import errors

from .server import ROOT
from .test_readme import section

pytestmark = pytest.mark.once

FOLDER = ROOT / "docs"
GUIDE = (FOLDER / "frontends.md").read_text()
EXAMPLES = {"ts": "book.ts", "python": "book.py"}
each_example = pytest.mark.parametrize(("language", "example"), EXAMPLES.items())


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)


@each_example
def test_it_shows_the_examples_as_they_are(language, example):
    [shown] = blocks(language)
    assert shown == (ROOT / "clients" / example).read_text()
    assert len([line for line in shown.splitlines() if line]) <= 30


@each_example
def test_each_example_has_commands_that_run_it(language, example):
    [commands] = [block for block in blocks("sh") if example in block]
    make, check, book = commands.splitlines()
    assert "http://127.0.0.1:8000/schema" in make
    assert "--strict" in check
    assert book.endswith(" http://127.0.0.1:8000")


def test_what_it_installs_is_pinned_here():
    lines = re.findall(r"^(?:npm|python -m pip) install (.*)$", GUIDE, re.MULTILINE)
    named = {word for line in lines for word in re.sub(r"--\S+|\b@\d+", "", line).split()}
    pinned = set(json.loads((ROOT / "package.json").read_text())["devDependencies"])
    pinned |= set(re.findall(r"^[\w-]+", (ROOT / "requirements-dev.in").read_text(), re.MULTILINE))
    assert named >= {"openapi-fetch", "@types/node", "typescript", "openapi-python-client"}
    assert named <= pinned


def test_each_code_it_names_is_a_refusal():
    status = {refusal["code"]: str(refusal["status"]) for refusal in errors.every_refusal()}
    named = {
        code: number
        for number, codes in re.findall(r"(\d{3})\s((?:`[a-z_]+`(?: and )?)+)", GUIDE)
        for code in re.findall(r"`([a-z_]+)`", codes)
    }
    assert named.keys() >= {"invalid", "key_reused", "overloaded", "still_running", "token_expired"}
    assert {code: status[code] for code in named} == named


def test_each_address_it_names_is_served():
    named = set(re.findall(r"`(/[a-z/]+)`", GUIDE))
    assert named >= {
        "/schema",
        "/docs",
        "/provide",
        "/auth/token",
        "/events",
        "/client/reservation",
    }
    for path in named:
        resolve(path)


def test_each_link_leads_somewhere():
    for path, anchor in re.findall(r"\]\((?!https:)([^)#]*)(?:#([^)]*))?\)", GUIDE):
        target = (FOLDER / path).resolve()
        assert target.exists(), path
        titles = re.findall(r"^#+ (.*)$", target.read_text(), re.MULTILINE)
        slugs = {re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles}
        assert not anchor or anchor in slugs, anchor


def test_it_says_what_pages_from_elsewhere_may_send_and_read():
    [may] = re.findall(r"^## From another origin\n(.*)", GUIDE, re.MULTILINE | re.DOTALL)
    sent, read = re.search(r"may send (.*?),\s+and read (.*?)\.", may, re.DOTALL).groups()
    assert re.findall("`(.*?)`", read) == settings.CORS_EXPOSE_HEADERS
    # The others are the browser's own, or without a meaning here.
    of_others = {"accept", "user-agent", "x-csrftoken", "x-requested-with"}
    allowed = set(settings.CORS_ALLOW_HEADERS) - of_others
    assert {name.lower() for name in re.findall("`(.*?)`", sent)} == allowed


def test_each_setting_it_names_is_one():
    named = set(re.findall(r"`([A-Z]+_[A-Z_]+)`", GUIDE))
    assert named == {"CORS_ALLOWED_ORIGINS"}
    assert all(f"| `{name}` |" in section("Settings") for name in named)
