"""The load: a process of its own in which one loop drives every client's connection.

Each client sends its next request as soon as the answer to the last one is complete. The loop costs
some 20 us a request, so that the two cores are left to what is measured. Latency runs from before
the request is sent (and the connection opened, where the server closes it after each answer) until
the last byte of the answer.
"""

import gc
import json
import select
import socket
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

PEOPLE = 1000


@dataclass(frozen=True)
class Load:
    """So many requests; for the nth, `{id}` in path and body is the nth of the ids, which start
    over after the last, and `{client}` one of a thousand people. The tokens are sent in turn as
    well, where there are any."""

    port: int
    clients: int
    requests: int
    method: str
    path: str
    body: str
    first: int
    ids: int
    tokens: list[str]

    def filled(self, template: str, nth: int) -> str:
        client, now = str(1 + nth % PEOPLE), str(self.first + nth % self.ids)
        return template.replace("{client}", client).replace("{id}", now)

    def messages(self) -> Iterator[bytes]:
        for nth in range(self.requests):
            body, token = self.filled(self.body, nth), ""
            if self.tokens:
                token = f"Authorization: Bearer {self.tokens[nth % len(self.tokens)]}\r\n"
            yield (
                f"{self.method} {self.filled(self.path, nth)} HTTP/1.1\r\n"
                f"Host: 127.0.0.1:{self.port}\r\nContent-Type: application/json\r\n"
                f"{token}Content-Length: {len(body)}\r\n\r\n{body}"
            ).encode()


class Client:
    """One connection, kept alive as long as the server keeps it."""

    def __init__(self, port: int, poll: Any) -> None:
        self.address = ("127.0.0.1", port)
        self.poll = poll
        self.connection: socket.socket | None = None

    def send(self, message: bytes) -> None:
        self.started = time.perf_counter()
        self.head, self.missing, self.closes = b"", 0, False
        if self.connection is None:
            self.connection = socket.create_connection(self.address, timeout=60)
            self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.poll.register(self.connection, select.EPOLLIN)
        self.connection.sendall(message)

    def receive(self) -> str | None:
        """The status once the answer is complete; "none" when the server went away."""
        chunk = self.connection.recv(2**16)
        if not chunk:
            self.close()
            return "none"
        if self.missing:
            self.missing -= len(chunk)
        else:
            self.head += chunk
            end = self.head.find(b"\r\n\r\n")
            if end < 0:
                return None
            lower = self.head[:end].lower()
            length = int(lower.split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
            self.closes = b"connection: close" in lower
            self.missing = length - (len(self.head) - end - 4)
        if self.missing:
            return None
        if self.closes:
            self.close()
        return self.head[9:12].decode()

    def close(self) -> None:
        self.poll.unregister(self.connection)
        self.connection.close()
        self.connection = None


def drive(load: Load) -> dict[str, Any]:
    messages = load.messages()
    latencies: list[float] = []
    statuses: Counter[str] = Counter()
    busy: dict[int, Client] = {}
    poll = select.epoll()

    def send(client: Client) -> None:
        if (message := next(messages, None)) is not None:
            client.send(message)
            busy[client.connection.fileno()] = client

    began = time.perf_counter()
    for _ in range(load.clients):
        send(Client(load.port, poll))
    while busy:
        ready = poll.poll(60)
        if not ready:
            raise TimeoutError("No answer for a minute.")
        for number, _ in ready:
            client = busy[number]
            if (status := client.receive()) is not None:
                latencies.append(time.perf_counter() - client.started)
                statuses[status] += 1
                del busy[number]
                send(client)
    return {
        "seconds": time.perf_counter() - began,
        "latencies": latencies,
        "statuses": statuses,
    }


if __name__ == "__main__":
    gc.disable()
    print(json.dumps(drive(Load(**json.load(sys.stdin)))))
