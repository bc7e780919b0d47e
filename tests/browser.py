"""A real browser, Debian's Chromium, and sites for it to look at."""

import json
import os
import shutil
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import expect, sync_playwright

from .server import ROOT, Server
from .watch import MARK_OF_PASSWORDS

PASSWORD = f"{MARK_OF_PASSWORDS}of-a-visitor"
# Where pictures of every page are kept, to be looked at.
SCREENSHOTS = Path(os.environ.get("SCREENSHOTS", ROOT / ".ci" / "screenshots"))
QUIETLY = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
expect.set_options(timeout=10_000)
# Of a browser's console: what it says of answers that are refusals, which the pages explain.
EXPECTED = ("Failed to load resource",)


class Site(Server):
    """The service with people in it, spoken to as any program does it."""

    def ask(self, method, path, body=None, token=None):
        request = urllib.request.Request(
            f"{self.base_url}{path}",
            None if body is None else json.dumps(body).encode(),
            {"Content-Type": "application/json"},
            method=method,
        )
        if token:
            request.add_header("Authorization", f"Bearer {token}")
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)

    def provider(self, first_name="Ada", last_name="Lovelace", **account):
        names = {"first_name": first_name, "last_name": last_name}
        return self.ask("POST", "/provider/create", names | account)["provider_id"]

    def client(self, first_name="Emmy", last_name="Noether"):
        names = {"first_name": first_name, "last_name": last_name}
        return self.ask("POST", "/client/create", names)["client_id"]

    def publish(self, provider_id, start, end, **more):
        window = {"start_time": start.isoformat(), "end_time": end.isoformat()}
        asked = {"provider_id": provider_id} | window | more
        return self.ask("POST", "/provider/availability", asked)["available timeslots"]

    def reserve(self, client_id, timeslot_id):
        asked = {"client_id": client_id, "timeslot_id": timeslot_id}
        return self.ask("POST", "/client/reserve", asked)["Reservation scheduled"]

    def confirm(self, client_id, reservation_id):
        asked = {"client_id": client_id, "reservation_id": reservation_id}
        return self.ask("PUT", "/client/confirm", asked)["Reservation is confirmed"]


@pytest.fixture(scope="session")
def chromium():
    with sync_playwright() as playwright:
        program = shutil.which("chromium-headless-shell")
        assert program, "apt-get install chromium-headless-shell"
        browser = playwright.chromium.launch(executable_path=program, args=[*QUIETLY])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    with Site(folder, f"sqlite:///{folder / 'db.sqlite3'}") as site:
        yield site


@pytest.fixture(scope="session")
def private(tmp_path_factory):
    """A site where people sign in."""
    folder = tmp_path_factory.mktemp("private")
    with Site(
        folder,
        f"sqlite:///{folder / 'db.sqlite3'}",
        AUTHENTICATION="required",
        SECRET_KEY="a-key-of-the-tests-and-of-nobody-else-at-all",
        OPEN_PROVIDER_SIGNUP="true",
        SIGN_UP_RATE="",
    ) as site:
        yield site


@pytest.fixture
def visitor(chromium):
    """Makes a browser of somebody's own; whatever goes wrong in its pages fails the test."""
    contexts, wrong = [], []

    def visitor(site, **options):
        options = {"locale": "en-GB", "timezone_id": "Europe/Berlin"} | options
        context = chromium.new_context(base_url=site.base_url, **options)
        context.set_default_timeout(10_000)
        contexts.append(context)
        context.on("weberror", lambda error: wrong.append(str(error.error)))
        context.on("console", lambda message: note(message, wrong))
        return context.new_page()

    yield visitor
    for context in contexts:
        context.close()
    assert wrong == []


def note(message, wrong):
    if message.type in ("error", "warning") and not message.text.startswith(EXPECTED):
        wrong.append(message.text)


def days_ahead(days, hour=9):
    """A full hour in UTC, so many days from now."""
    day = datetime.now(UTC) + timedelta(days=days)
    return day.replace(hour=hour, minute=0, second=0, microsecond=0)


def minutes(count):
    return timedelta(minutes=count)


def violations(page, within="html"):
    """What axe-core finds against WCAG 2.2 AA and its best practices, in a line each."""
    source = ROOT / "node_modules" / "axe-core" / "axe.min.js"
    page.evaluate(source.read_text())
    found = page.evaluate("(within) => axe.run(within)", within)
    return [
        f"{one['id']}: {node['html'][:120]} {node['failureSummary']}"
        for one in found["violations"]
        for node in one["nodes"]
    ]
