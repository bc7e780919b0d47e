"""More than can be answered in time: what is taken is answered, the rest refused at once."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from .server import Server

pytestmark = pytest.mark.once

EVERYWHERE = {
    *("X-Content-Type-Options", "X-Frame-Options", "Referrer-Policy"),
    "Cross-Origin-Opener-Policy",
}
CALLERS = 250  # more than the places and the room of two workers


@pytest.fixture
def server(empty_database_url, tmp_path):
    with Server(tmp_path, empty_database_url, SIGN_IN_RATE="") as running:
        yield running


def sign_in(server, start, nth):
    """In vain, and never twice for the same account: it takes a quarter of a second of CPU."""
    body = {"email": f"nobody{nth}@example.org", "password": "unknown"}
    start.wait()
    headers = {"X-Request-ID": f"n{nth}"}
    return requests.post(f"{server.base_url}/auth/token", json=body, headers=headers, timeout=60)


def test_what_is_too_much_is_refused_and_the_rest_answered(server):
    start = threading.Barrier(CALLERS + 1, timeout=60)
    with ThreadPoolExecutor(CALLERS) as threads:
        asked = [threads.submit(sign_in, server, start, nth) for nth in range(CALLERS)]
        start.wait()
        # Whoever watches over the service is answered meanwhile.
        for path in ("/healthz", "/readyz"):
            assert requests.get(server.base_url + path, timeout=10).status_code == 200
        answers = [one.result() for one in asked]
    refused = [answer for answer in answers if answer.status_code == 503]
    assert {answer.status_code for answer in answers} == {401, 503}
    assert len(refused) < CALLERS - 8
    for answer in refused:
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert (answer.json()["code"], answer.headers["Retry-After"]) == ("overloaded", "1")
        assert answer.headers.keys() >= EVERYWHERE
    ids = {answer.headers["X-Request-ID"] for answer in refused}
    assert ids <= {f"n{nth}" for nth in range(CALLERS)}
    assert len(ids) == len(refused)
    # Whatever was refused has happened to nobody, and the next is served as ever.
    answer = requests.get(f"{server.base_url}/provider/profile?provider_id=1", timeout=10)
    assert answer.status_code == 200
    assert '"requests refused"' in server.log.read_text()
