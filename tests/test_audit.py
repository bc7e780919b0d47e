"""`.ci/audit.py`: a known vulnerability fails the lint, a missing network does not."""

import http.server
import json
import os
import runpy
import subprocess
import sys
import threading
import time

import pytest

from .database import free_port
from .server import ROOT

pytestmark = pytest.mark.once

SCRIPT = ROOT / ".ci/audit.py"
NOT_DONE = "The audit for known vulnerabilities was NOT DONE"
ADVISORY = {"id": "PYSEC-1", "summary": "It lets anybody in.", "affected": []}
KNOWN = {("jinja2", "2.4.1"): [ADVISORY]}
OLD_PIN = ("django", "3.2.0")


class Service(http.server.BaseHTTPRequestHandler):
    """A vulnerability service, in the one form that pip-audit can be pointed at."""

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        pin = (asked["package"]["name"], asked["version"])
        time.sleep(self.server.delay)
        self.send_response(self.server.status)
        self.end_headers()
        vulnerabilities = self.server.known.get(pin)
        answer = json.dumps({"vulns": vulnerabilities} if vulnerabilities else {})
        self.wfile.write((self.server.page or answer).encode())

    def log_message(self, *_):
        pass


@pytest.fixture
def service():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Service) as server:
        server.known, server.status, server.page, server.delay = dict(KNOWN), 200, None, 0
        server.url = f"http://127.0.0.1:{server.server_port}/"
        threading.Thread(target=server.serve_forever).start()
        yield server
        server.shutdown()


@pytest.fixture
def audit(tmp_path):
    """The audit of requirements.txt, or of other pins, by the service at `url` or the usual one."""

    def run(*pins, url=None, **environment):
        requirements = ROOT / "requirements.txt"
        if pins:
            requirements = tmp_path / "requirements.txt"
            requirements.write_text("\n".join(pins))
        ended = subprocess.run(
            [sys.executable, SCRIPT, requirements],
            env=os.environ | environment | ({} if url is None else asking_at(url, tmp_path)),
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
        assert not ended.stderr
        return ended.returncode, ended.stdout

    return run


def asking_at(url, cache):
    service = {"PIP_AUDIT_VULNERABILITY_SERVICE": "osv", "PIP_AUDIT_OSV_URL": url}
    return service | {"XDG_CACHE_HOME": str(cache), "NO_PROXY": "127.0.0.1"}


def test_pins_without_known_vulnerabilities_pass_in_silence(audit, service):
    assert audit(url=service.url) == (0, "")


def test_a_vulnerable_pin_fails_and_is_named(audit, service):
    service.known[OLD_PIN] = [ADVISORY]
    status, said = audit("==".join(OLD_PIN), "pyyaml==6.0.3", url=service.url)
    assert status == 1
    assert "django 3.2.0: PYSEC-1" in said
    assert ADVISORY["summary"] in said
    assert "pyyaml" not in said
    assert NOT_DONE not in said


def test_each_pin_of_production_is_asked_about(audit, service):
    for line in (ROOT / "requirements.txt").read_text().splitlines():
        if "==" in line and ";" not in line:
            service.known[tuple(line.split("=="))] = [ADVISORY]
    status, said = audit(url=service.url)
    assert status == 1
    assert said.count("PYSEC-1") == len(service.known) - len(KNOWN) > 20


def test_a_pin_that_cannot_be_asked_about_is_named(audit, service):
    status, said = audit("elsewhere @ https://example.org/elsewhere-1.tar.gz", url=service.url)
    assert status == 0
    assert "elsewhere was not audited" in said


@pytest.mark.parametrize("status", [404, 407, 503])
def test_a_service_that_refuses_is_no_audit(audit, service, status):
    service.status = status
    assert_not_done(audit(url=service.url))


def test_a_page_in_its_place_is_no_audit(audit, service):
    service.page = "<html>Please log in.</html>"
    assert_not_done(audit(url=service.url))


def test_a_mirror_that_knows_of_no_vulnerability_is_no_audit(audit, service):
    service.known.clear()
    assert_not_done(audit(url=service.url))


def test_a_service_that_takes_too_long_is_no_audit(service, tmp_path, monkeypatch, capsys):
    service.delay = 2
    main = runpy.run_path(str(SCRIPT))["main"]
    monkeypatch.setitem(main.__globals__, "SECONDS", 1)
    for name, value in asking_at(service.url, tmp_path).items():
        monkeypatch.setenv(name, value)
    assert_not_done((main(str(ROOT / "requirements.txt")), capsys.readouterr().out))


def test_nobody_there_is_no_audit(audit):
    assert_not_done(audit(url=f"http://127.0.0.1:{free_port()}/"))


def test_the_usual_service_behind_a_proxy_that_is_gone_is_no_audit(audit, tmp_path):
    proxy = f"http://127.0.0.1:{free_port()}"
    assert_not_done(audit(HTTPS_PROXY=proxy, NO_PROXY="", XDG_CACHE_HOME=str(tmp_path)))


def assert_not_done(outcome):
    status, said = outcome
    assert status == 0
    assert len(said.splitlines()) == 1
    assert said.startswith(NOT_DONE)


@pytest.mark.parametrize("pin", ["django", "django>=3", "==="])
def test_what_pins_nothing_fails_even_without_a_network(audit, pin):
    status, said = audit(pin, url=f"http://127.0.0.1:{free_port()}/")
    assert status == 1
    assert NOT_DONE not in said


def test_lint_runs_it():
    lines = (ROOT / "Makefile").read_text().splitlines()
    assert "\t$(BIN)/python .ci/audit.py requirements.txt" in lines
