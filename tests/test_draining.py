"""A stop loses no request of those who look at /readyz, and cuts off none that is in hand."""

import contextlib
import http.client
import itertools
import json
import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from .concurrency import wait_until
from .server import Server
from .test_database_away import children_of

pytestmark = pytest.mark.once

CALLERS = 4
LIST = "/client/getProviderAvailability?provider_id=1"


class Balancer:
    """In front of several instances: it asks each twenty times a second whether it is ready, and
    sends the calls of some callers, over connections that are kept, to those that are."""

    def __init__(self, servers):
        self.ready = dict.fromkeys(servers, True)
        self.answered = dict.fromkeys(servers, 0)
        self.lost = []
        self.looks = True
        self.is_over = threading.Event()

    def __enter__(self):
        self.threads = ThreadPoolExecutor(CALLERS + len(self.ready))
        self.work = [self.threads.submit(self.look_at, server) for server in self.ready]
        self.work += [self.threads.submit(self.call) for _ in range(CALLERS)]
        return self

    def __exit__(self, *_):
        self.is_over.set()
        self.threads.shutdown()
        for one in self.work:
            one.result()

    def look_at(self, server):
        while not self.is_over.wait(0.05):
            if self.looks:
                self.ready[server] = code_of(server) is None

    def call(self):
        with requests.Session() as session:
            for turn in itertools.count():
                if self.is_over.is_set():
                    return
                ready = [server for server, is_ready in self.ready.items() if is_ready]
                server = ready[turn % len(ready)]
                try:
                    status = session.get(server.base_url + LIST, timeout=10).status_code
                except requests.RequestException as lost:
                    status = repr(lost)
                if status == 200:
                    self.answered[server] += 1
                else:
                    self.lost.append(status)

    def await_answers(self, server):
        enough = self.answered[server] + 20
        wait_until(lambda: self.answered[server] >= enough)


def code_of(server, seconds=10):
    """Of the problem that /readyz has, over a connection of its own."""
    with contextlib.suppress(requests.RequestException):
        answer = requests.get(f"{server.base_url}/readyz", timeout=seconds)
        return None if answer.status_code == 200 else answer.json()["code"]
    return "gone"


def test_a_stop_under_load_loses_no_request_of_who_looks_at_readyz(empty_database_url, tmp_path):
    with (
        Server(tmp_path, empty_database_url) as other,
        Server(tmp_path, empty_database_url) as server,
        Balancer([server, other]) as balancer,
    ):
        # The control: not draining, it is asked until somebody looks.
        balancer.await_answers(server)
        balancer.looks = False
        assert server.stop() == 0
        wait_until(lambda: balancer.lost)
        balancer.looks = True
        server.environment["DRAIN_SECONDS"] = "8"
        server.start()
        wait_until(lambda: balancer.ready[server])
        balancer.await_answers(server)
        balancer.lost.clear()
        began = time.monotonic()
        server.process.terminate()
        wait_until(lambda: code_of(server) == "draining")
        # Whoever has not looked yet is served, over a new connection too.
        assert requests.get(server.base_url + LIST, timeout=10).status_code == 200
        assert server.process.wait(timeout=25) == 0
        assert time.monotonic() - began >= 8
        balancer.await_answers(other)
    assert balancer.lost == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_it_at_once(empty_database_url, tmp_path, number):
    with Server(tmp_path, empty_database_url, DRAIN_SECONDS="3600") as server:
        server.process.terminate()
        wait_until(lambda: code_of(server) == "draining")
        if number == signal.SIGTERM:
            # A worker that is replaced meanwhile knows as well.
            for worker in children_of(server.process.pid):
                os.kill(int(worker), signal.SIGKILL)
            wait_until(lambda: code_of(server) == "gone")
            wait_until(lambda: code_of(server) == "draining")
        server.process.send_signal(number)
        assert server.process.wait(timeout=25) == 0


def test_a_request_on_a_kept_connection_is_answered_though_it_stops(server):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    connection.request("GET", LIST)
    assert connection.getresponse().read()
    body = json.dumps({"first_name": "Emmy", "last_name": "Noether"}).encode()
    connection.putrequest("POST", "/client/create")
    connection.putheader("Content-Type", "application/json")
    connection.putheader("Content-Length", str(len(body)))
    connection.endheaders(body[:10])
    # Half of it is there, when somebody else is answered.
    assert code_of(server) is None
    server.process.terminate()
    # Whoever connects as it stops listening may wait for as long as there is a request in hand.
    wait_until(lambda: code_of(server, seconds=1) == "gone")
    connection.send(body[10:])
    assert connection.getresponse().status == 201
    connection.close()
    assert server.process.wait(timeout=25) == 0
