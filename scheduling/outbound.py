"""Requests into the outside world: one POST to an address that a stranger has named.

Signed as the Standard Webhooks specification has it. No request goes into a private network: what
a name resolves to is looked at, and that very address is connected to, on redirects too.
"""

import base64
import hashlib
import hmac
import http.client
import io
import re
import secrets
import socket
import ssl
import threading
import time
from collections.abc import Sequence
from contextlib import closing, suppress
from datetime import datetime
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any, NamedTuple
from urllib.parse import SplitResult, urljoin, urlsplit

from django.conf import settings

PATIENCE = 10.0  # seconds for all of it: resolving, connecting, redirects, the last byte
LARGEST_ANSWER = 64 * 1024
LONGEST_EXCERPT = 1024
LONGEST_URL = 2000
MOST_REDIRECTS = 3
# Names that are asked for at a time. A resolver that hangs gives up in its own time, after ours, so
# that there are several of them for each request under way.
LOOKUPS = threading.BoundedSemaphore(128)
SECRET_PREFIX = "whsec_"  # noqa: S105  how the specification marks one
PORTS = {"https": 443, "http": 80}
LABEL = r"(?!-)[a-z0-9_-]{1,63}(?<!-)"
# In ASCII. What ends in a number (127.1, 0x7f000001) is an address to resolvers, and no name.
NAME = re.compile(rf"(?=.{{1,253}}\Z)({LABEL}\.)*(?!(\d+|0x[0-9a-f]*)\Z){LABEL}", re.IGNORECASE)
NAT64 = ip_network("64:ff9b::/96")
UNICAST = ip_network("2000::/3")
# Not public, though the standard library's table, which is as old as the running Python, may say
# so. Behind the first two, clouds tell a machine its own secrets (Oracle's and Azure's).
NOT_PUBLIC = [
    ip_network(network)
    for network in (
        *("192.0.0.0/24", "168.63.129.16/32", "192.88.99.0/24"),
        *("2001::/23", "2002::/16", "3fff::/20"),  # Teredo and 6to4 are among these
    )
]
Address = IPv4Address | IPv6Address


class Answer(NamedTuple):
    """What came of it: a `status`, or None and a word and a sentence why there was no answer."""

    status: int | None
    failure: str
    detail: str
    body: str
    milliseconds: int


class Refused(Exception):
    """No answer was had. `failure` is a word for programs, the text a sentence for people."""

    def __init__(self, failure: str, detail: str) -> None:
        super().__init__(detail)
        self.failure = failure


def new_secret() -> str:
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def signed_headers(
    *, message_id: str, now: datetime, body: bytes, secrets: Sequence[str]
) -> dict[str, str]:
    """One signature for each secret: whoever knows one of them can tell that it is from us."""
    timestamp = str(int(now.timestamp()))
    signed = f"{message_id}.{timestamp}.".encode() + body
    signatures = [
        base64.b64encode(hmac.digest(_key(secret), signed, hashlib.sha256)).decode()
        for secret in secrets
    ]
    return {
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(f"v1,{signature}" for signature in signatures),
    }


def check_url(url: str) -> None:
    """Raises ValueError, with a sentence for people, for a URL to which nothing will ever be sent.

    What its name resolves to is not asked: that can be another thing at each request.
    """
    _parsed(url)


def post(url: str, *, body: bytes, headers: dict[str, str]) -> Answer:
    """Send it, within ten seconds whatever the other side does. Raises nothing for what it does.

    A 307 or 308 is followed, to an address as good as the first; another redirect is the answer.
    Of the answer 64 KiB are read, headers included, and nothing is decompressed: the status counts,
    however much more there is. One that breaks off or trickles past the deadline is none.
    """
    began = time.monotonic()
    deadline = Deadline(began + PATIENCE)
    status, failure, detail, text = None, "", "", ""
    try:
        status, text = _follow(url, body, headers, deadline)
    except Refused as refused:
        failure, detail = refused.failure, str(refused)
    return Answer(status, failure, detail, text, int((time.monotonic() - began) * 1000))


class Deadline:
    def __init__(self, moment: float) -> None:
        self.moment = moment

    def left(self) -> float:
        """Seconds; raises TimeoutError when there are none."""
        left = self.moment - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left


class Line(io.RawIOBase):
    """A connection as http.client uses one: until the deadline, and for 64 KiB of answer.

    The time-out of a socket counts anew with each byte, so a trickle would never end; and
    http.client reads as much as it is told to, without end if a length is said to be -1.
    """

    def __init__(self, connected: socket.socket, deadline: Deadline) -> None:
        self.connected = connected
        self.deadline = deadline
        self.room = LARGEST_ANSWER

    def sendall(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            self.connected.settimeout(self.deadline.left())
            rest = rest[self.connected.send(rest) :]

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self.room:
            raise Refused("too_large", "Its answer begins with more than 64 KiB of headers.")
        self.connected.settimeout(self.deadline.left())
        count = self.connected.recv_into(buffer, min(len(buffer), self.room))
        self.room -= count
        return count

    def close(self) -> None:
        """Nothing: whoever has connected closes. http.client does it before it has read."""


def _follow(url: str, body: bytes, headers: dict[str, str], deadline: Deadline) -> tuple[int, str]:
    for _ in range(1 + MOST_REDIRECTS):
        try:
            target = _parsed(url)
        except ValueError as refused:
            raise Refused("forbidden_url", str(refused)) from None
        status, location, text = _ask(target, body, headers, deadline)
        if status not in (307, 308) or location is None:
            return status, text
        try:
            url = urljoin(url, location)
            scheme = urlsplit(url).scheme
        except ValueError:
            raise Refused("bad_redirect", "It redirects to what is no URL.") from None
        if target.scheme == "https" and scheme != "https":
            raise Refused("bad_redirect", "It redirects from https to something else.")
    raise Refused("too_many_redirects", f"It redirects more than {MOST_REDIRECTS} times.")


def _ask(
    target: SplitResult, body: bytes, headers: dict[str, str], deadline: Deadline
) -> tuple[int, str | None, str]:
    """One request. The status, where it redirects to, and how the answer begins."""
    try:
        addresses = _resolve(target, deadline)
        with closing(_connect(addresses, _port(target), deadline)) as plain:
            connected = plain
            if target.scheme == "https":
                plain.settimeout(deadline.left())  # for the handshake as a whole
                connected = _tls().wrap_socket(plain, server_hostname=_host(target))
            with closing(connected):
                return _exchange(Line(connected, deadline), target, body, headers)
    except ssl.SSLCertVerificationError as unknown:
        raise Refused("tls", f"Its certificate is not good: {unknown.verify_message}.") from None
    except (OSError, http.client.HTTPException, ValueError, OverflowError) as failed:
        if time.monotonic() >= deadline.moment or isinstance(failed, TimeoutError):
            raise Refused("timeout", f"It took longer than {PATIENCE:g} seconds.") from None
        raise _reason(failed) from None


def _exchange(
    line: Line, target: SplitResult, body: bytes, headers: dict[str, str]
) -> tuple[int, str | None, str]:
    with closing(http.client.HTTPConnection(_host(target), _port(target))) as connection:
        connection.default_port = PORTS[target.scheme]  # which the Host header leaves out
        connection.sock = line
        path = f"{target.path or '/'}{'?' if target.query else ''}{target.query}"
        connection.request(
            "POST",
            path,
            body,
            {"User-Agent": "reservation-service", "Connection": "close"} | headers,
        )
        with connection.getresponse() as response:
            begins = b""
            with suppress(Refused):  # as much as is read of any
                while piece := response.read(1024):
                    begins += piece
                if response.length:
                    raise http.client.IncompleteRead(begins)
            return response.status, response.headers.get("Location"), _excerpt(begins)


def _reason(failed: Exception) -> Refused:
    if isinstance(failed, ConnectionRefusedError):
        return Refused("connection_refused", "Nobody listens at this address.")
    if isinstance(failed, ssl.SSLError):
        return Refused("tls", f"It does not speak TLS as it should: {failed.reason}.")
    if isinstance(failed, http.client.HTTPException | ValueError | OverflowError):
        return Refused("not_http", "Its answer is not HTTP, or ends too soon.")
    return Refused("connection_broken", "The connection broke, or could not be made.")


def _parsed(url: str) -> SplitResult:
    """Raises ValueError."""
    if len(url) > LONGEST_URL:
        raise ValueError(f"A URL has at most {LONGEST_URL} characters.")
    if re.search(r"[\s\x00-\x20\x7f\\]", url) or not url.isascii():
        raise ValueError("A URL has no spaces, control characters or letters beyond ASCII.")
    target = urlsplit(url)
    schemes = ("https", "http") if settings.WEBHOOK_ALLOWED_NETWORKS else ("https",)
    if target.scheme not in schemes:
        raise ValueError("The URL must begin with https://.")
    if target.username is not None or target.password is not None:
        raise ValueError("A URL must hold no user name and no password.")
    if "#" in url:
        raise ValueError("A URL to send to has no #fragment.")
    if target.port == 0:
        raise ValueError("Nobody listens on port 0.")
    address = _literal(_host(target))
    if address is None and not NAME.fullmatch(_host(target)):
        raise ValueError("The URL must name a host, or an address written in full.")
    if address is not None and not _is_allowed(address, target.scheme):
        raise ValueError("Nothing is sent to this address: it is not on the public internet.")
    return target


def _host(target: SplitResult) -> str:
    return target.hostname or ""


def _port(target: SplitResult) -> int:
    return target.port or PORTS[target.scheme]


def _literal(host: str) -> Address | None:
    with suppress(ValueError):
        return ip_address(host) if "%" not in host else None  # what follows it is an interface
    return None


def _resolve(target: SplitResult, deadline: Deadline) -> list[Address]:
    """The addresses that may be connected to. Asked once: a second answer could be another.

    In a thread, because the system's resolver knows no time-out of ours.
    """
    found: list[str] = []
    is_known, lookups = threading.Event(), LOOKUPS

    def ask() -> None:
        try:
            with suppress(OSError, UnicodeError):
                entries = socket.getaddrinfo(_host(target), None, type=socket.SOCK_STREAM)
                found.extend(str(entry[4][0]) for entry in entries)
        finally:
            lookups.release()
            is_known.set()

    if not lookups.acquire(timeout=deadline.left()):
        raise TimeoutError
    threading.Thread(target=ask, daemon=True).start()
    if not is_known.wait(deadline.left()):
        raise TimeoutError
    addresses = [ip_address(one) for one in dict.fromkeys(found)]
    if not addresses:
        raise Refused("unresolvable", "Its name is not known.")
    if not all(_is_allowed(address, target.scheme) for address in addresses):
        raise Refused("forbidden_address", "Its name leads to an address that is not public.")
    return addresses


def _is_allowed(address: Address, scheme: str) -> bool:
    """On the public internet by https, or in a network that the operator has allowed."""
    if any(address in network for network in settings.WEBHOOK_ALLOWED_NETWORKS):
        return True
    return scheme == "https" and _is_public(address)


def _is_public(address: Address) -> bool:
    if isinstance(address, IPv6Address):
        if address.scope_id:
            return False
        if address in NAT64:
            return _is_public(IPv4Address(int(address) & 0xFFFFFFFF))  # where it comes out
        if address not in UNICAST:
            return False
    if any(address in network for network in NOT_PUBLIC):
        return False
    return address.is_global and not address.is_multicast and not address.is_reserved


def _connect(addresses: list[Address], port: int, deadline: Deadline) -> socket.socket:
    """To the first that answers. One that does not leaves time for those after it."""
    failure: OSError = TimeoutError()
    for nth, address in enumerate(addresses):
        try:
            patience = deadline.left() / (len(addresses) - nth)
            return socket.create_connection((str(address), port), timeout=patience)
        except OSError as failed:
            failure = failed
    raise failure


def _excerpt(body: bytes) -> str:
    text = body[: 4 * LONGEST_EXCERPT].decode(errors="replace")
    return "".join(
        one if one.isprintable() or one in "\n\t" else "\N{REPLACEMENT CHARACTER}" for one in text
    )[:LONGEST_EXCERPT]


def _key(secret: str) -> bytes:
    return base64.b64decode(secret.removeprefix(SECRET_PREFIX))


@lru_cache(maxsize=1)
def _tls() -> ssl.SSLContext:
    return ssl.create_default_context()
