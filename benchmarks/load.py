"""The load: a process of its own in which one loop drives every client's connection.

Each client sends its next request as soon as the answer to the last one is complete. With a rate,
requests are sent when they are due, whatever became of those before, each on a connection that is
idle or new. The loop costs some 20 us a request: the two cores are left to what is measured.
Latency runs from before the request is sent or was due (and the connection opened, where the server
closes it after each answer) until the last byte of the answer.
"""

import gc
import json
import select
import socket
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

PEOPLE = 1000


@dataclass(frozen=True)
class Load:
    """So many requests; for the nth, `{id}` in path and body is the nth of the ids, which start
    over after the last, and `{client}` one of a thousand people. Where there are headers, it
    carries the nth of them, which start over as well."""

    port: int
    clients: int
    requests: int
    method: str
    path: str
    body: str
    first: int
    ids: int
    headers: list[str]
    rate: float = 0  # a second; 0: as fast as the clients are answered

    def filled(self, template: str, nth: int) -> str:
        client, now = str(1 + nth % PEOPLE), str(self.first + nth % self.ids)
        return template.replace("{client}", client).replace("{id}", now)

    def messages(self) -> Iterator[bytes]:
        for nth in range(self.requests):
            body, header = self.filled(self.body, nth), ""
            if self.headers:
                header = f"{self.headers[nth % len(self.headers)]}\r\n"
            yield (
                f"{self.method} {self.filled(self.path, nth)} HTTP/1.1\r\n"
                f"Host: 127.0.0.1:{self.port}\r\nContent-Type: application/json\r\n"
                f"{header}Content-Length: {len(body)}\r\n\r\n{body}"
            ).encode()


class Client:
    """One connection, kept alive as long as the server keeps it."""

    def __init__(self, port: int, poll: Any) -> None:
        self.address = ("127.0.0.1", port)
        self.poll = poll
        self.connection: socket.socket | None = None

    def send(self, message: bytes, due: float = 0) -> None:
        self.started = due or time.perf_counter()
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
            _, _, after = lower.partition(b"content-length:")  # a 304 has none, and no body
            length = int(after.split(b"\r\n", 1)[0]) if after else 0
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
    """How many seconds it took, and the latencies of each status."""
    messages = load.messages()
    latencies: dict[str, list[float]] = defaultdict(list)
    busy: dict[int, Client] = {}
    idle: list[Client] = []
    poll = select.epoll()

    def send(client: Client, due: float = 0) -> None:
        if (message := next(messages, None)) is not None:
            client.send(message, due)
            busy[client.connection.fileno()] = client

    def send_what_is_due(sent: int) -> int:
        while sent < load.requests and (due := began + sent / load.rate) <= time.perf_counter():
            send(idle.pop() if idle else Client(load.port, poll), due)
            sent += 1
        return sent

    sent, began = 0, time.perf_counter()
    for _ in range(0 if load.rate else load.clients):
        send(Client(load.port, poll))
    while busy or (load.rate and sent < load.requests):
        if load.rate:
            sent = send_what_is_due(sent)
        ready = poll.poll(0.001 if load.rate else 60)
        if not ready and not load.rate:
            raise TimeoutError("No answer for a minute.")
        for number, _ in ready:
            if (client := busy.get(number)) is None:  # idle, and closed by the server
                continue
            if (status := client.receive()) is not None:
                latencies[status].append(time.perf_counter() - client.started)
                del busy[number]
                if load.rate:
                    idle.append(client)
                else:
                    send(client)
    return {"seconds": time.perf_counter() - began, "latencies": latencies}


if __name__ == "__main__":
    gc.disable()
    print(json.dumps(drive(Load(**json.load(sys.stdin)))))
