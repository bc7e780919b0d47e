"""Callers who promise a body and do not send it must not keep the others from being served."""

import socket
from contextlib import ExitStack

import pytest
import requests

from .concurrency import wait_until
from .server import Server

pytestmark = pytest.mark.once


def stall(server):
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=15)
    connection.sendall(
        b"POST /client/reserve HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        b"Content-Type: application/json\r\nContent-Length: 50\r\n\r\n{"
    )
    return connection


@pytest.mark.long
def test_the_service_comes_back_while_the_callers_go_on_stalling(empty_database_url, tmp_path):
    with (
        Server(tmp_path, empty_database_url, BODY_DEADLINE_SECONDS="6") as server,
        ExitStack() as connections,
    ):
        for _ in range(40):
            connections.enter_context(stall(server))
        wait_until(lambda: "a caller did not send its body" in server.log.read_text(), seconds=30)
        wait_until(lambda: is_served(server), seconds=30)


def is_served(server):
    person = {"first_name": "Alan", "last_name": "Turing"}
    try:
        answer = requests.post(f"{server.base_url}/client/create", json=person, timeout=2)
    except requests.RequestException:
        return False
    return answer.status_code == 201
