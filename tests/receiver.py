"""A system of somebody else's that webhooks are sent to: it keeps what it gets, or misbehaves."""

import contextlib
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple


class Received(NamedTuple):
    path: str
    headers: dict
    body: bytes


class Receiver(ThreadingHTTPServer):
    """Answers what `answer` says to each request; by default 204."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, answer=lambda handler: handler.reply(204), tls=None):
        super().__init__(("127.0.0.1", 0), Handler)
        self.answer = answer
        self.tls = tls
        self.received = []
        # Whoever hangs does so until the test is over.
        self.is_over = threading.Event()

    @property
    def port(self):
        return self.server_address[1]

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/hook"

    def process_request_thread(self, request, address):
        # Here and not at accept: a handshake that hangs must not keep the others out.
        with contextlib.suppress(OSError):
            if self.tls is not None:
                request = self.tls.wrap_socket(request, server_side=True)
            super().process_request_thread(request, address)

    def handle_error(self, request, address):
        pass

    def __enter__(self):
        self.thread = threading.Thread(target=self.serve_forever, args=(0.01,))
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.is_over.set()
        self.shutdown()
        self.thread.join()
        self.server_close()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.received.append(Received(self.path, headers, body))
        with contextlib.suppress(OSError):
            self.server.answer(self)
        self.close_connection = True

    def reply(self, status, body=b"", **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if status != 204:
            self.wfile.write(body)

    def hang(self):
        self.server.is_over.wait(30)

    def trickle(self, piece):
        """A byte now and then, for as long as anybody listens."""
        while not self.server.is_over.wait(0.05):
            self.wfile.write(piece)
            self.wfile.flush()

    def say(self, raw):
        self.wfile.write(raw)
        self.wfile.flush()

    def log_message(self, *_):
        pass


def server_tls(authority, *names):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names).configure_cert(context)
    return context
