"""One POST to an address that a stranger named: it is bounded, and goes into no private network."""

import contextlib
import re
import socket
import ssl
import threading
import time
from datetime import UTC, datetime
from ipaddress import ip_network

import pytest
import trustme
from standardwebhooks import Webhook
from standardwebhooks.webhooks import WebhookVerificationError

from scheduling import outbound

from .receiver import Handler, Receiver, server_tls

pytestmark = pytest.mark.once

LOOPBACK = [ip_network("127.0.0.0/8")]
BODY = b'{"type":"webhook.test"}'
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.fixture
def allowed(settings):
    settings.WEBHOOK_ALLOWED_NETWORKS = LOOPBACK


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(outbound, "PATIENCE", 0.4)


@pytest.fixture
def names(monkeypatch):
    """What names resolve to: each answer once, the last for good. Nobody else is asked."""
    known = {}
    asked = []
    resolve = socket.getaddrinfo

    def getaddrinfo(host, *how, **options):
        if re.fullmatch(r"[0-9.]+|.*:.*", host):  # an address already
            return resolve(host, *how, **options)
        asked.append(host)
        answers = known.get(host)
        if answers is None:
            raise socket.gaierror
        addresses = answers.pop(0) if len(answers) > 1 else answers[0]
        return [(None, None, None, "", (address, 0)) for address in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    known["asked"] = asked
    return known


def post(url, **headers):
    return outbound.post(url, body=BODY, headers=headers)


def connect_to_loopback(monkeypatch, port):
    """Every connection goes to this port here; returns to where it was meant to go."""
    meant = []
    connect = socket.create_connection

    def create_connection(address, timeout):
        meant.append(address)
        return connect(("127.0.0.1", port), timeout)

    monkeypatch.setattr(socket, "create_connection", create_connection)
    return meant


def test_it_sends_what_it_is_given_and_tells_what_came_back(allowed):
    with Receiver(lambda handler: handler.reply(200, b"thank you\x00\x1b[31m")) as receiver:
        answer = post(f"{receiver.url}?a=1&b=%20", **{"Content-Type": "application/json"})
    [received] = receiver.received
    assert (received.path, received.body) == ("/hook?a=1&b=%20", BODY)
    assert received.headers["host"] == f"127.0.0.1:{receiver.port}"
    assert received.headers["content-type"] == "application/json"
    assert (answer.status, answer.failure, answer.detail) == (200, "", "")
    assert answer.body == "thank you��[31m"
    assert 0 <= answer.milliseconds < 5000


@pytest.mark.parametrize("status", [201, 204, 301, 302, 303, 400, 404, 410, 429, 500, 503])
def test_any_status_is_an_answer(allowed, status):
    with Receiver(lambda handler: handler.reply(status, Location="/elsewhere")) as receiver:
        answer = post(receiver.url)
    assert (answer.status, answer.failure) == (status, "")
    assert len(receiver.received) == 1


def misbehave(how):
    return {
        "hangs": lambda handler: handler.hang(),
        "trickles its headers": lambda handler: (
            handler.say(b"HTTP/1.1 200 OK\r\nX: "),
            handler.trickle(b"x"),
        ),
        "trickles its body": lambda handler: (
            handler.say(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"),
            handler.trickle(b"x"),
        ),
        "promises more than it sends": lambda handler: (
            handler.say(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nx"),
            handler.hang(),
        ),
    }[how]


@pytest.mark.parametrize(
    "how",
    ["hangs", "trickles its headers", "trickles its body", "promises more than it sends"],
)
def test_all_of_it_ends_in_time(allowed, impatient, how):
    with Receiver(misbehave(how)) as receiver:
        began = time.monotonic()
        answer = post(receiver.url)
        took = time.monotonic() - began
    assert (answer.status, answer.failure) == (None, "timeout")
    assert took < 5


def test_a_handshake_that_hangs_ends_in_time(names, impatient, monkeypatch):
    names["hook.example"] = [["93.184.216.34"]]
    with socket.create_server(("127.0.0.1", 0)) as silent:
        connect_to_loopback(monkeypatch, silent.getsockname()[1])
        assert post("https://hook.example/").failure == "timeout"


def test_a_handshake_that_trickles_ends_in_time(names, impatient, monkeypatch):
    names["hook.example"] = [["93.184.216.34"]]
    with Receiver(lambda handler: None) as receiver:

        def trickle(request, address):
            with request, contextlib.suppress(OSError):
                request.sendall(
                    b"\x16\x03\x03\x40\x00\x02\x00\x3f\xfc"
                )  # a record of 16 KiB begins
                while not receiver.is_over.wait(0.05):
                    request.sendall(b"\x03")

        receiver.process_request_thread = trickle
        connect_to_loopback(monkeypatch, receiver.port)
        assert post("https://hook.example/").failure == "timeout"


def test_a_receiver_that_does_not_read_is_given_up_in_time(allowed, impatient):
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}/"
        assert outbound.post(url, body=bytes(32 << 20), headers={}).failure == "timeout"


def test_a_receiver_that_hears_byte_by_byte_is_given_up_in_time(
    names, authority, impatient, monkeypatch
):
    """Of TLS, each piece that is taken would be a new beginning."""
    names["hook.example"] = [["93.184.216.34"]]
    receiver = Receiver(tls=server_tls(authority, "hook.example"))

    def slowly(handler):
        while not receiver.is_over.wait(0.02):
            handler.rfile.read(16 * 1024)

    monkeypatch.setattr(Handler, "do_POST", slowly)
    with receiver:
        connect_to_loopback(monkeypatch, receiver.port)
        answer = outbound.post("https://hook.example/", body=bytes(64 << 20), headers={})
    assert answer.failure == "timeout"


def test_the_second_address_is_tried_while_there_is_time(names, impatient, monkeypatch):
    names["hook.example"] = [["93.184.216.34", "1.1.1.1"]]
    tried = []

    def create_connection(address, timeout):
        tried.append((address, timeout))
        raise TimeoutError

    monkeypatch.setattr(socket, "create_connection", create_connection)
    assert post("https://hook.example/").failure == "timeout"
    assert [address for address, _ in tried] == [("93.184.216.34", 443), ("1.1.1.1", 443)]
    assert tried[0][1] < 0.5 * outbound.PATIENCE


def test_a_resolver_that_hangs_ends_in_time(impatient, monkeypatch):
    is_over = threading.Event()

    def getaddrinfo(*_, **__):
        is_over.wait(30)
        raise socket.gaierror

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    assert post("https://hook.example/").failure == "timeout"
    is_over.set()


def test_so_many_names_and_no_more_are_asked_for_at_a_time(impatient, monkeypatch):
    is_over = threading.Event()
    asked = []

    def getaddrinfo(host, *_, **__):
        asked.append(host)
        is_over.wait(30)
        raise socket.gaierror

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    monkeypatch.setattr(outbound, "LOOKUPS", threading.BoundedSemaphore(2))
    assert [post("https://hook.example/").failure for _ in range(4)] == ["timeout"] * 4
    assert len(asked) == 2
    is_over.set()
    # Who was waited for in vain makes room.
    assert post("https://hook.example/").failure == "unresolvable"


@pytest.mark.parametrize(
    ("raw", "failure"),
    [
        (b"", "not_http"),
        (b"SSH-2.0-OpenSSH_9\r\n", "not_http"),
        (b"HTTP/1.1 abc\r\n\r\n", "not_http"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nx", "not_http"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 1000 + b"\r\n", "not_http"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000, "too_large"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 10_000, "too_large"),
        (CHUNKED + b"x\r\n", "not_http"),
        (CHUNKED + b"5\r\nhell", "not_http"),
        (CHUNKED + b"-ffffffffffffffffffff\r\nx", "not_http"),
    ],
)
def test_an_answer_that_is_none_is_a_failure(allowed, raw, failure):
    with Receiver(lambda handler: handler.say(raw)) as receiver:
        answer = post(receiver.url)
    assert (answer.status, answer.failure) == (None, failure)
    assert answer.detail


@pytest.mark.parametrize(
    "begins",
    [
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n",
        CHUNKED + b"40000000\r\n",
    ],
)
def test_of_an_endless_answer_it_reads_64_kib(allowed, begins):
    got, sent = answer_endlessly(begins)
    assert (got.status, got.body) == (200, "x" * outbound.LONGEST_EXCERPT)
    # The rest fits into the buffers of two sockets.
    assert sent < 16 * 1024


@pytest.mark.parametrize("size", [b"-1", b"-5"])
def test_no_made_up_length_makes_it_read_more(allowed, size):
    """http.client takes -1 for all there is, and so does urllib3, which builds on it."""
    got, sent = answer_endlessly(CHUNKED + size + b"\r\n")
    assert got.status in (200, None)
    assert sent < 16 * 1024


def answer_endlessly(begins):
    """What came of it, and how many KiB the receiver got rid of."""
    sent = []

    def answer(handler):
        handler.say(begins)
        for _ in range(16 * 1024):
            handler.wfile.write(b"x" * 64 * 1024)
            sent.append(64)

    with Receiver(answer) as receiver:
        return post(receiver.url), sum(sent)


def test_64_kib_are_an_answer_like_any_other(allowed):
    with Receiver(lambda handler: handler.reply(200, b"x" * 64 * 1024)) as receiver:
        answer = post(receiver.url)
    assert (answer.status, answer.failure) == (200, "")


def test_nobody_listens(allowed):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    answer = post(f"http://127.0.0.1:{port}/")
    assert (answer.status, answer.failure) == (None, "connection_refused")


def test_a_name_that_is_not_known(names):
    assert post("https://nowhere.example/").failure == "unresolvable"


PRIVATE = [
    *("127.0.0.1", "127.8.8.8", "0.0.0.0", "10.1.2.3", "172.16.0.1", "172.31.255.255"),
    *("192.168.1.1", "169.254.169.254", "100.64.0.1", "192.0.0.1", "192.0.2.1", "198.18.0.1"),
    *("198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1"),
    *("255.255.255.255", "::", "::1", "fe80::1", "fc00::1", "fd12:3456::1", "fec0::1", "ff02::1"),
    *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a00:1"),
    *("2002:7f00:1::", "2002:a9fe:a9fe::", "2001:db8::1", "2001::f5ff:fffe"),
    *("64:ff9b:1::1", "100::1", "4000::1"),
    # Of clouds: where a machine learns its own secrets.
    *("192.0.0.192", "168.63.129.16", "100.100.100.200", "fd00:ec2::254", "fd20:ce::254"),
    *("2002:c000:c0::1", "64:ff9b::a83f:8110", "::ffff:168.63.129.16"),
    *("192.0.0.20", "192.88.99.1", "2001:20::1", "3fff::1", "5f00::1"),
]
PUBLIC = [
    *("93.184.216.34", "1.1.1.1", "2606:4700:4700::1111", "2a00:1450:4001:80e::200e"),
    *("168.63.129.15", "192.0.1.1", "64:ff9b::5db8:d822"),
]


@pytest.mark.parametrize("address", PRIVATE)
def test_nothing_goes_to_a_private_address_by_whatever_name(names, monkeypatch, address):
    names["hook.example"] = [["93.184.216.34", address]]
    meant = connect_to_loopback(monkeypatch, 1)
    answer = post("https://hook.example/")
    assert (answer.status, answer.failure, meant) == (None, "forbidden_address", [])
    written = f"[{address}]" if ":" in address else address
    with pytest.raises(ValueError, match="not on the public internet"):
        outbound.check_url(f"https://{written}/")
    assert post(f"https://{written}/").failure == "forbidden_url"
    assert meant == []


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_connected_to(names, monkeypatch, address):
    names["hook.example"] = [[address]]
    meant = connect_to_loopback(monkeypatch, 1)
    assert post("https://hook.example:8443/").failure == "connection_refused"
    assert meant == [(address, 8443)]
    outbound.check_url(f"https://{f'[{address}]' if ':' in address else address}/")


@pytest.mark.parametrize(
    "host",
    [
        *("2130706433", "0x7f000001", "0x7f.1", "0X7F.0.0.1", "127.1", "0177.0.0.1", "127.0.0.1."),
        *("127.0.0.01", "1.1.1.0x1", "0", "0x", "1.2.3.4.5", "256.1.1.1", "hook.1"),
    ],
)
def test_an_address_is_written_in_full_or_not_at_all(allowed, host):
    """To the system's resolver most of these are addresses, too."""
    with pytest.raises(ValueError, match="host"):
        outbound.check_url(f"https://{host}/")
    assert post(f"https://{host}/").failure == "forbidden_url"


@pytest.mark.parametrize("host", ["hook.example", "a", "1.example", "x_y.xn--bcher-kva.example"])
def test_a_host_has_a_name(host):
    outbound.check_url(f"https://{host}/")


def test_this_machines_own_name_leads_nowhere():
    assert post("https://localhost/").failure == "forbidden_address"


def test_a_name_is_resolved_once_and_what_was_looked_at_is_connected_to(names, monkeypatch):
    """DNS rebinding: the second answer of a name is a private address."""
    names["hook.example"] = [["93.184.216.34"], ["127.0.0.1"]]
    meant = connect_to_loopback(monkeypatch, 1)
    post("https://hook.example/")
    assert (names["asked"], meant) == (["hook.example"], [("93.184.216.34", 443)])


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("http://hook.example/", "https"),
        ("ftp://hook.example/", "https"),
        ("file:///etc/passwd", "https"),
        ("hook.example", "https"),
        ("//hook.example/", "https"),
        ("", "https"),
        ("https://", "host"),
        ("https:///path", "host"),
        ("https://exa mple/", "spaces"),
        ("https://example\r\nX: y/", "spaces"),
        ("https://exämple.org/", "ASCII"),
        ("https://-.example!/", "host"),
        ("https://-hook.example/", "host"),
        ("https://hook-.example/", "host"),
        ("https://hook..example/", "host"),
        ("https://.example/", "host"),
        ("https://hook.example./", "host"),
        (f"https://{'x' * 64}.example/", "host"),
        (f"https://{'x.' * 127}example/", "host"),
        ("https://user:secret@hook.example/", "user name"),
        ("https://user@hook.example/", "user name"),
        ("https://hook.example/#part", "fragment"),
        ("https://hook.example/#", "fragment"),
        ("https://hook.example:0/", "port"),
        ("https://hook.example:99999/", "ort"),
        ("https://hook.example:x/", "ort"),
        ("https://[::1/", "IPv6"),
        ("https://[::1%25eth0]/", "host"),
        (f"https://hook.example/{'x' * 2000}", "2000"),
    ],
)
def test_a_url_that_nothing_is_ever_sent_to(url, sentence):
    with pytest.raises(ValueError, match=sentence):
        outbound.check_url(url)
    assert post(url).failure == "forbidden_url"


def test_http_is_for_allowed_networks_alone(names, allowed, monkeypatch):
    outbound.check_url("http://internal.example/")
    names["internal.example"] = [["93.184.216.34"]]
    meant = connect_to_loopback(monkeypatch, 1)
    assert post("http://internal.example/").failure == "forbidden_address"
    assert meant == []


def test_no_proxy_of_the_environment_is_asked(allowed, monkeypatch):
    with Receiver() as receiver, Receiver() as proxy:
        for name in ("http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        assert post(receiver.url).status == 204
    assert len(receiver.received) == 1
    assert proxy.received == []


@pytest.mark.parametrize("status", [307, 308])
def test_a_redirect_that_keeps_the_method_is_followed(allowed, status):
    with Receiver() as there:
        with Receiver(lambda handler: handler.reply(status, Location=there.url)) as here:
            answer = post(here.url, **{"webhook-id": "msg_1"})
        assert answer.status == 204
        assert there.received[0].body == BODY
        assert there.received[0].headers["webhook-id"] == "msg_1"


@pytest.mark.parametrize(
    ("location", "failure"),
    [
        ("http://10.0.0.1/", "forbidden_url"),
        ("http://[::1]/", "forbidden_url"),
        ("http://169.254.169.254/latest/meta-data", "forbidden_url"),
        ("http://inward.example/", "forbidden_address"),
        ("ftp://127.0.0.1/", "forbidden_url"),
        ("http://user:secret@127.0.0.1/", "forbidden_url"),
        ("", "too_many_redirects"),
        ("/hook", "too_many_redirects"),
        ("http://[", "bad_redirect"),
        ("//[::1/", "bad_redirect"),
        ("http://127.0.0.1:x/", "forbidden_url"),
        ("http://ex\xe4mple/", "forbidden_url"),
        (f"/{'x' * 2000}", "forbidden_url"),
    ],
)
def test_a_redirect_leads_nowhere_that_a_webhook_may_not(allowed, names, location, failure):
    names["inward.example"] = [["10.0.0.1"]]
    with Receiver(lambda handler: handler.reply(307, Location=location)) as receiver:
        answer = post(receiver.url)
    assert (answer.status, answer.failure) == (None, failure)
    assert len(receiver.received) <= 1 + outbound.MOST_REDIRECTS


@pytest.fixture
def authority(monkeypatch):
    """One that is trusted, in the place of those that everybody trusts."""
    authority = trustme.CA()
    context = ssl.create_default_context()
    authority.configure_trust(context)
    monkeypatch.setattr(outbound, "_tls", lambda: context)
    return authority


def test_the_certificate_must_be_of_the_name(names, authority, monkeypatch):
    names["hook.example"] = names["other.example"] = [["93.184.216.34"]]
    with Receiver(tls=server_tls(authority, "hook.example")) as receiver:
        connect_to_loopback(monkeypatch, receiver.port)
        assert post("https://hook.example/").status == 204
        assert receiver.received[0].headers["host"] == "hook.example"
        answer = post("https://other.example/")
        assert (answer.status, answer.failure) == (None, "tls")
        assert "mismatch" in answer.detail
    assert len(receiver.received) == 1


def test_the_certificate_must_be_of_an_authority_that_is_trusted(names, authority, monkeypatch):
    names["hook.example"] = [["93.184.216.34"]]
    with Receiver(tls=server_tls(trustme.CA(), "hook.example")) as receiver:
        connect_to_loopback(monkeypatch, receiver.port)
        assert post("https://hook.example/").failure == "tls"
    assert receiver.received == []


def test_who_speaks_no_tls(names, monkeypatch):
    names["hook.example"] = [["93.184.216.34"]]
    with Receiver(lambda handler: handler.say(b"hello")) as receiver:
        connect_to_loopback(monkeypatch, receiver.port)
        assert post("https://hook.example/").failure in ("tls", "connection_broken")


def test_a_redirect_from_https_stays_with_https(names, authority, allowed, monkeypatch):
    names["hook.example"] = [["93.184.216.34"]]

    def answer(handler):
        handler.reply(307, Location="http://127.0.0.1/")

    with Receiver(answer, tls=server_tls(authority, "hook.example")) as receiver:
        connect_to_loopback(monkeypatch, receiver.port)
        assert post("https://hook.example/").failure == "bad_redirect"
    assert len(receiver.received) == 1


def test_a_redirect_from_https_to_https_is_followed(names, authority, monkeypatch):
    names["hook.example"] = [["93.184.216.34"]]

    def answer(handler):
        if handler.path == "/":
            return handler.reply(308, Location="HTTPS://hook.example/there")
        return handler.reply(204)

    with Receiver(answer, tls=server_tls(authority, "hook.example")) as receiver:
        connect_to_loopback(monkeypatch, receiver.port)
        assert post("https://hook.example/").status == 204
    assert [received.path for received in receiver.received] == ["/", "/there"]
    assert names["asked"] == ["hook.example"] * 2  # each hop anew


def sign(*secrets, body=BODY):
    now = datetime.now(UTC)
    return outbound.signed_headers(message_id="msg_1", now=now, body=body, secrets=secrets)


def test_the_specifications_own_library_takes_the_signature():
    secret = outbound.new_secret()
    assert Webhook(secret).verify(BODY.decode(), sign(secret)) == {"type": "webhook.test"}
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(BODY.decode() + " ", sign(secret))
    with pytest.raises(WebhookVerificationError):
        Webhook(outbound.new_secret()).verify(BODY.decode(), sign(secret))


def test_while_a_secret_is_replaced_either_will_do():
    new, former = outbound.new_secret(), outbound.new_secret()
    headers = sign(new, former)
    assert headers["webhook-signature"].count("v1,") == 2
    for secret in (new, former):
        assert Webhook(secret).verify(BODY.decode(), headers)


def test_a_signature_as_the_specification_shows_it():
    headers = outbound.signed_headers(
        message_id="msg_p5jXN8AQM9LWM0D4loKWxJek",
        now=datetime.fromtimestamp(1614265330, UTC),
        body=b'{"test": 2432232314}',
        secrets=["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"],
    )
    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }
