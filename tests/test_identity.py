"""A foreign identity provider in the place of our own accounts."""

import base64
import contextlib
import hashlib
import hmac
import json
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import jwt
import pytest
import requests
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from django.contrib.auth.models import User
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from scheduling import accounts, errors, identity
from scheduling.models import Reservation, ServiceToken

from .concurrency import LONGEST_WAIT, rows_of
from .factories import PASSWORD, make_client, make_provider, make_timeslot
from .server import Server

pytestmark = pytest.mark.once

ISSUER = "https://identity.example.org/realms/practice"
AUDIENCE = "reservations"


class Key:
    """A key pair of the issuer's, or of somebody else's."""

    def __init__(self, kid, algorithm, private):
        self.kid, self.algorithm, self.private = kid, algorithm, private

    def published(self, **changes):
        kinds = {"E": ECAlgorithm, "R": RSAAlgorithm, "P": RSAAlgorithm}
        to_jwk = (OKPAlgorithm if self.algorithm == "EdDSA" else kinds[self.algorithm[0]]).to_jwk
        jwk = to_jwk(self.private.public_key(), as_dict=True)
        return jwk | {"kid": self.kid, "use": "sig", "alg": self.algorithm} | changes

    def token(self, headers=None, without=(), **claims):
        now = int(time.time())
        claims = {
            **{"iss": ISSUER, "aud": AUDIENCE, "sub": "f3a1"},
            **{"iat": now, "exp": now + 300},
        } | claims
        claims = {name: value for name, value in claims.items() if name not in without}
        headers = {"kid": self.kid} | (headers or {})
        headers = {name: value for name, value in headers.items() if value is not None}
        return jwt.encode(claims, self.private, self.algorithm, headers)


def rsa_key(kid, algorithm="RS256", size=2048):
    return Key(kid, algorithm, rsa.generate_private_key(65537, size))


def ec_key(kid, algorithm="ES256", curve=ec.SECP256R1):
    return Key(kid, algorithm, ec.generate_private_key(curve()))


RSA, EC, OTHER = rsa_key("rsa"), ec_key("ec"), ec_key("other")
SMALL = rsa_key("small", size=1024)
UNUSUAL = ec_key("unusual", "ES256K", ec.SECP256K1)
ATTACKER = rsa_key("rsa")


class JWKS(ThreadingHTTPServer):
    """The issuer's address for its keys: what it answers, and how often it was asked."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        # An address of its own for each test: what is known of the one before stays there.
        self.url = f"http://127.0.0.1:{self.server_port}/{uuid.uuid4()}"
        self.questions = self.answers = 0
        self.asked, self.may_answer = threading.Semaphore(0), threading.Event()
        self.may_answer.set()
        self.pieces = None
        self.publish(RSA, EC)

    def publish(self, *keys):
        self.answer(json.dumps({"keys": [key.published() for key in keys]}).encode())

    def answer(self, body, status=200, **headers):
        self.body, self.status, self.headers = body, status, headers


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        server = self.server
        server.questions += 1
        server.asked.release()
        server.may_answer.wait(LONGEST_WAIT)
        server.answers += 1
        try:
            self.send_response(server.status)
            for name, value in {"Content-Length": str(len(server.body)), **server.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            for piece in server.pieces or [server.body]:
                self.wfile.write(piece)
        except ConnectionError:
            pass  # who asked has hung up

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def published_keys():
    server = JWKS()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.may_answer.set()
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def issuer(settings):
    """The identity provider, and the service with the settings that name it."""
    settings.AUTHENTICATION = "required"
    settings.IDENTITY_ISSUER = ISSUER
    settings.IDENTITY_AUDIENCE = AUDIENCE
    with published_keys() as server:
        settings.IDENTITY_JWKS_URL = server.url
        yield server


@pytest.fixture
def call(api, issuer, clock):
    """PUT /provider/expiredReservations, which is for staff: the answer's status and code."""

    def call(token):
        answer = api.put("/provider/expiredReservations", HTTP_AUTHORIZATION=f"Bearer {token}")
        if answer.status_code == 503:
            assert int(answer["Retry-After"]) > 0
        if answer.status_code == 401:
            assert answer["WWW-Authenticate"] == 'Bearer error="invalid_token"'
        return answer.status_code, answer.json().get("code")

    return call


GOOD = (200, None)
INVALID = (401, "token_invalid")
EXPIRED = (401, "token_expired")
AWAY = (503, "unavailable")


def staff_token(key=RSA, **claims):
    return key.token(**{"role": "staff"} | claims)


def bearer(token):
    return {"HTTP_AUTHORIZATION": f"Bearer {token}"}


def reserve(api, client_id, token):
    ids = {"client_id": client_id, "timeslot_id": make_timeslot().pk}
    return api.post("/client/reserve", ids, **bearer(token))


# --- Who is calling


@pytest.mark.parametrize("as_claim", [int, str])
def test_a_client_of_the_issuer_reserves(api, issuer, clock, django_assert_num_queries, as_claim):
    client, timeslot = make_client(), make_timeslot()
    token = RSA.token(client_id=as_claim(client.pk))
    with django_assert_num_queries(1):
        answer = api.post(
            "/client/reserve",
            {"client_id": client.pk, "timeslot_id": timeslot.pk},
            **bearer(token),
        )
    assert answer.status_code == 200
    assert Reservation.objects.get().client == client
    assert reserve(api, make_client().pk, token).json()["code"] == "not_permitted"


def test_a_provider_of_the_issuer_publishes(api, issuer, clock):
    ours, another = make_provider(), make_provider()
    hours = {"start_time": "2026-12-30T10:00:00Z", "end_time": "2026-12-30T11:00:00Z"}
    token = EC.token(provider_id=ours.pk, client_id=None)
    for pk, status in ((ours.pk, 201), (another.pk, 403)):
        window = {"provider_id": pk, **hours}
        assert api.post("/provider/availability", window, **bearer(token)).status_code == status


@pytest.mark.parametrize(
    ("claims", "status"),
    [
        ({"role": "staff"}, 200),
        ({"role": ["staff"]}, 200),
        ({"role": ["offline_access", "staff"]}, 200),
        ({"role": "staff", "client_id": None, "provider_id": 7}, 200),
        ({"role": "Staff"}, 403),
        ({"role": "nonstaff"}, 403),
        ({"role": ["nonstaff"]}, 403),
        ({"role": [["staff"]]}, 403),
        ({"role": {"staff": True}}, 403),
        ({"role": "service", "scope": "expire"}, 403),
        ({"role": None}, 403),
        ({"role": []}, 403),
        ({"role": True}, 403),
        ({"roles": "staff"}, 403),
        ({}, 403),
    ],
)
def test_staff_is_whom_the_role_claim_calls_so(call, claims, status):
    assert call(RSA.token(**claims))[0] == status


def test_claims_go_by_the_names_in_the_settings(api, issuer, call, settings):
    settings.IDENTITY_ROLE_CLAIM = "https://example.org/claims/groups"
    settings.IDENTITY_CLIENT_ID_CLAIM = "https://example.org/claims/client"
    settings.IDENTITY_PROVIDER_ID_CLAIM = "practitioner"
    client, ours = make_client(), make_provider()
    assert call(RSA.token(**{"https://example.org/claims/groups": ["staff"]})) == GOOD
    assert call(RSA.token(role="staff")) == (403, "not_permitted")
    token = RSA.token(
        **{"https://example.org/claims/client": client.pk}, practitioner=ours.pk, client_id=99
    )
    assert reserve(api, client.pk, token).status_code == 200
    assert reserve(api, 99, token).status_code == 403
    window = {
        **{"provider_id": ours.pk},
        **{"start_time": "2026-12-30T10:00:00Z", "end_time": "2026-12-30T11:00:00Z"},
    }
    assert api.post("/provider/availability", window, **bearer(token)).status_code == 201


@pytest.mark.parametrize("claim", ["client_id", "provider_id"])
@pytest.mark.parametrize(
    "value",
    [
        *(0, -1, 2**63, 10**400, 1.0, 1.5, True, False, [], [1], {}),
        *("", "0", "-1", "1.0", " 1", "\u0661", "one", str(2**63), "9" * 5000),
    ],
)
def test_an_id_that_is_none_is_refused(call, claim, value):
    assert call(staff_token(**{claim: value})) == INVALID


# --- Which tokens are taken


@pytest.mark.parametrize(
    "key",
    [
        *(rsa_key("k", name) for name in ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")),
        ec_key("k"),
        ec_key("k", "ES384", ec.SECP384R1),
        ec_key("k", "ES512", ec.SECP521R1),
        Key("k", "EdDSA", ed25519.Ed25519PrivateKey.generate()),
    ],
    ids=lambda key: key.algorithm,
)
def test_each_algorithm_of_key_pairs_is_taken(call, issuer, key):
    issuer.publish(key)
    assert call(staff_token(key)) == GOOD


@pytest.mark.parametrize("key", [RSA, EC], ids=["RSA", "EC"])
def test_a_key_need_not_name_its_use_and_algorithm(call, issuer, key):
    jwk = key.published()
    del jwk["use"], jwk["alg"]
    issuer.answer(json.dumps({"keys": [jwk]}).encode())
    assert call(staff_token(key)) == GOOD


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, GOOD),
        ({"aud": ["account", AUDIENCE]}, GOOD),
        ({"aud": ["account"]}, INVALID),
        ({"aud": "reservation"}, INVALID),
        ({"aud": []}, INVALID),
        ({"aud": {AUDIENCE: 1}}, INVALID),
        ({"iss": "https://identity.example.org"}, INVALID),
        ({"iss": ISSUER + "/"}, INVALID),
        ({"sub": 7}, INVALID),
        *(({"without": [claim]}, INVALID) for claim in ("exp", "iss", "aud", "sub")),
        *(({claim: None}, INVALID) for claim in ("exp", "aud", "sub")),
        *(({"exp": value}, INVALID) for value in ("soon", [], 1e999)),
        ({"exp": "9999999999"}, GOOD),
        ({"exp": 10**30}, GOOD),
        ({"headers": {"kid": None}}, INVALID),
        ({"headers": {"kid": "unknown"}}, INVALID),
        ({"headers": {"kid": EC.kid}}, INVALID),
        ({"key": ATTACKER}, INVALID),
        ({"key": OTHER}, INVALID),
    ],
)
def test_a_token_is_taken_only_if_all_of_it_fits(call, change, expected):
    assert call(staff_token(**change)) == expected


def test_garbage_is_no_token(call):
    header, claims, signature = staff_token().split(".")
    for token in (
        *("", ".", "..", "a.b.c", "e30.e30.", "\u00ff", "x" * 5000, f"{header}.{claims}."),
        *(f"{header}.{claims}", f"{header}.{claims}.{signature[:-8]}AAAAAAAA"),
        *(f"{header}.{claims}A.{signature}", f"{header}..{signature}"),
        *(f"{encoded(junk)}.{claims}.{signature}" for junk in ([], 1, {"kid": 1, "alg": "RS256"})),
        *(
            f"{encoded({'kid': RSA.kid, **junk})}.{claims}.{signature}"
            for junk in ({}, {"alg": ["RS256"]}, {"alg": None}, {"alg": "RS256", "crit": ["x"]})
        ),
    ):
        assert call(token) == INVALID, token


def encoded(value):
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


@pytest.mark.parametrize("algorithm", ["none", "None", "HS256", "RS384", "PS256", "ES256"])
@pytest.mark.parametrize("secret", ["PEM", "DER", "modulus"])
def test_the_token_does_not_choose_how_it_is_verified(call, algorithm, secret):
    """The public key as the secret of an HMAC, or no signature at all (RFC 8725, 2.1)."""
    public = RSA.private.public_key()
    secrets = {
        "PEM": public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        "DER": public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        "modulus": RSA.published()["n"].encode(),
    }
    claims = jwt.decode(staff_token(), options={"verify_signature": False})
    signed = f"{encoded({'alg': algorithm, 'kid': RSA.kid})}.{encoded(claims)}"
    mac = hmac.new(secrets[secret], signed.encode(), hashlib.sha256).digest()
    for signature in (mac, b""):
        text = base64.urlsafe_b64encode(signature).rstrip(b"=").decode()
        assert call(f"{signed}.{text}") == INVALID


def test_a_key_in_the_tokens_own_header_is_ignored(call, issuer):
    with published_keys() as attackers:
        attackers.publish(ATTACKER, Key("attacker", ATTACKER.algorithm, ATTACKER.private))
        for kid in (RSA.kid, "attacker"):
            own = {"jwk": ATTACKER.published(), "jku": attackers.url, "x5u": attackers.url}
            assert call(staff_token(ATTACKER, headers={"kid": kid, **own})) == INVALID
    assert (issuer.questions, attackers.questions) == (1, 0)


@pytest.mark.parametrize(
    "as_key", ["secret", "small", "unusual curve", "published private half", "encryption"]
)
def test_keys_that_prove_nothing_are_not_taken(call, issuer, as_key):
    unnamed = UNUSUAL.published()
    del unnamed["alg"]
    secret = b"a secret that is 32 bytes long.."
    unfit, token = {
        "secret": (
            {"kty": "oct", "kid": "k", "k": base64.urlsafe_b64encode(secret).decode()},
            jwt.encode({"role": "staff"}, secret, "HS256", {"kid": "k"}),
        ),
        "small": (SMALL.published(), None),
        "unusual curve": (unnamed, staff_token(UNUSUAL)),
        "published private half": (
            json.loads(RSAAlgorithm.to_jwk(ATTACKER.private)) | {"kid": "rsa", "use": "sig"},
            staff_token(ATTACKER),
        ),
        "encryption": (RSA.published(use="enc"), staff_token(RSA)),
    }[as_key]
    if token is None:
        with pytest.warns(jwt.warnings.InsecureKeyLengthWarning):
            token = staff_token(SMALL)
    issuer.answer(json.dumps({"keys": [unfit, EC.published()]}).encode())
    assert call(token) == INVALID
    assert call(staff_token(EC)) == GOOD


@pytest.mark.parametrize("is_known", [False, True])
def test_a_token_ends_30_seconds_after_it_says(call, clock, is_known):
    token = staff_token(exp=int(time.time()) + 60)
    if is_known:
        assert call(token) == GOOD
    clock.shift(seconds=89.999)
    assert call(token) == GOOD
    clock.shift(seconds=0.001)
    assert call(token) == EXPIRED
    assert call(staff_token(exp=int(time.time()) - 30)) == EXPIRED


@pytest.mark.parametrize("claim", ["nbf", "iat"])
def test_a_token_begins_30_seconds_before_it_says(call, clock, claim):
    now = int(time.time())
    token = staff_token(**{claim: now + 31}, exp=now + 300)
    assert call(token) == INVALID
    assert call(staff_token(**{claim: now + 30})) == GOOD
    clock.shift(seconds=1)
    assert call(token) == GOOD


# --- The issuer's keys


def test_keys_are_fetched_when_first_needed_and_then_kept(api, call, issuer, clock):
    assert api.get("/healthz").status_code == 200
    assert issuer.questions == 0
    for _ in range(3):
        assert call(staff_token()) == GOOD
        assert call(staff_token(EC)) == GOOD
    clock.shift(seconds=299.999)
    assert call(staff_token()) == GOOD
    assert issuer.questions == 1
    clock.shift(seconds=0.001)
    assert call(staff_token()) == GOOD
    assert issuer.questions == 2


def test_a_new_key_is_fetched_once_a_token_names_it(call, issuer, clock):
    assert call(staff_token()) == GOOD
    issuer.publish(RSA, OTHER)
    clock.shift(seconds=29.999)
    assert call(staff_token(OTHER)) == INVALID
    clock.shift(seconds=0.001)
    assert call(staff_token(OTHER)) == GOOD
    assert call(staff_token()) == GOOD
    assert issuer.questions == 2


def test_made_up_keys_ask_the_issuer_once_in_30_seconds(call, issuer, clock):
    for nth in range(10):
        assert call(staff_token(headers={"kid": f"made up {nth}"})) == INVALID
    assert issuer.questions == 1
    for nth in range(20):
        clock.shift(seconds=10)
        assert call(staff_token(headers={"kid": f"made up {nth}"})) == INVALID
    assert issuer.questions == 1 + 20 // 3


def test_a_withdrawn_key_is_refused_after_5_minutes(call, issuer, clock):
    token = staff_token(exp=int(time.time()) + 3600)
    assert call(token) == GOOD
    issuer.publish(EC)
    clock.shift(seconds=299.999)
    assert call(token) == GOOD
    clock.shift(seconds=0.001)
    assert call(token) == INVALID
    assert call(staff_token(EC)) == GOOD


def test_the_last_key_can_be_withdrawn_as_well(call, issuer, clock):
    token = staff_token(exp=int(time.time()) + 3600)
    assert call(token) == GOOD
    issuer.publish()
    clock.shift(minutes=5)
    assert call(token) == INVALID
    issuer.publish(RSA)
    clock.shift(seconds=30)
    assert call(token) == GOOD


def test_another_key_by_the_same_name_takes_its_place(call, issuer, clock):
    successor = rsa_key(RSA.kid)
    token = staff_token(exp=int(time.time()) + 3600)
    assert call(token) == GOOD
    issuer.publish(successor)
    clock.shift(minutes=5)
    assert call(token) == INVALID
    assert call(staff_token(successor)) == GOOD


def test_a_clock_that_is_set_back_does_not_keep_keys_for_longer(call, issuer, clock):
    token = staff_token(exp=int(time.time()) + 3600, without=["iat"])
    assert call(token) == GOOD
    issuer.publish(EC)
    clock.shift(hours=-1)
    assert call(token) == INVALID


# --- When the issuer is away, slow or mad

GARBAGE = {
    "nothing": (b"", 200, {}),
    "no JSON": (b"<html>Welcome</html>", 200, {}),
    "half": (b'{"keys": [', 200, {}),
    "deep": (b"[" * 200_000, 200, {}),
    "no object": (b"[]", 200, {}),
    "no keys": (b"{}", 200, {}),
    "keys that are none": (b'{"keys": {"rsa": 1}}', 200, {}),
    "an error": (json.dumps({"keys": [RSA.published()]}).encode(), 500, {}),
    "huge": (
        json.dumps({"keys": [RSA.published()], "more": "x" * 2**18}).encode(),
        200,
        {},
    ),
    "cut off": (b'{"keys": []', 200, {"Content-Length": "9999"}),
    "not found": (b"{}", 404, {}),
    "compressed": (b"\x1f\x8b\x08\x00", 200, {"Content-Encoding": "gzip"}),
}


@pytest.mark.parametrize("answer", GARBAGE.values(), ids=GARBAGE)
def test_garbage_is_no_answer(call, issuer, clock, answer):
    body, status, headers = answer
    issuer.answer(body, status, **headers)
    assert call(staff_token()) == AWAY
    assert call(staff_token()) == AWAY
    assert issuer.questions == 1
    issuer.publish(RSA)
    clock.shift(seconds=30)
    token = staff_token(exp=int(time.time()) + 3600)
    assert call(token) == GOOD
    issuer.answer(body, status, **headers)
    clock.shift(minutes=5)
    assert call(token) == GOOD
    assert issuer.questions == 3


def test_an_answer_of_256_kib_is_read(call, issuer):
    body = json.dumps({"keys": [RSA.published()]}).encode()
    issuer.answer(body.ljust(256 * 1024))
    assert call(staff_token()) == GOOD


def test_it_follows_no_redirect(call, issuer, settings):
    with published_keys() as elsewhere:
        for status in (301, 302, 303, 307, 308):
            issuer.answer(b"", status, Location=elsewhere.url)
            settings.IDENTITY_JWKS_URL = f"{issuer.url}/{status}"
            assert call(staff_token()) == AWAY
    assert (issuer.questions, elsewhere.questions) == (5, 0)


@pytest.mark.parametrize(
    "unfit",
    [
        *(None, 1, "x", [], {}, {"kid": "rsa"}, {"kid": 1, "kty": "RSA"}, {"kid": [], "kty": []}),
        *({"kid": "x", "kty": kind} for kind in ("RSA", "EC", "OKP", "oct", "AKP", None, 1, [])),
        *(
            RSA.published(**change)
            for change in (
                *({"alg": alg} for alg in ("none", "HS256", "ES256", "RSA-OAEP", 1, ["RS256"])),
                *({"kty": "oct"}, {"kty": "EC"}, {"n": "AQ"}, {"n": 1}, {"e": "\u00e9"}),
                *({"kid": None}, {"kid": ["rsa"]}, {"use": "enc"}, {"use": ["sig"]}, {"d": "AQ"}),
            )
        ),
        *(
            EC.published(kid="rsa", **change)
            for change in ({"crv": "P-1"}, {"crv": []}, {"x": "AA"})
        ),
        ec_key("rsa", "ES256", ec.SECP256K1).published(alg=None),
    ],
    ids=lambda _: "",
)
def test_keys_of_unknown_kinds_are_passed_over(call, issuer, unfit):
    issuer.answer(json.dumps({"keys": [unfit, EC.published()]}).encode())
    assert call(staff_token(RSA)) == INVALID
    assert call(staff_token(EC)) == GOOD


def test_while_the_issuer_is_away_the_known_keys_go_on(call, issuer, clock, caplog):
    token = staff_token(exp=int(time.time()) + 3600)
    assert call(token) == GOOD
    issuer.answer(b"", 502)
    for _ in range(6):
        clock.shift(minutes=5)
        for _ in range(3):
            assert call(token) == GOOD
            assert call(staff_token(OTHER)) == INVALID
    assert issuer.questions == 7
    failures = [record for record in caplog.records if record.name == "scheduling.identity"]
    assert [record.getMessage() for record in failures] == ["identity provider unavailable"] * 6
    assert all("502" in record.reason for record in failures)


def test_a_failed_attempt_is_not_repeated_for_30_seconds(call, issuer, clock):
    issuer.answer(b"", 502)
    assert call(staff_token()) == AWAY
    issuer.publish(RSA)
    clock.shift(seconds=29.999)
    assert call(staff_token()) == AWAY
    assert issuer.questions == 1
    clock.shift(seconds=0.001)
    assert call(staff_token()) == GOOD


def test_nobody_listening_is_an_unavailable_issuer(call, issuer, clock, settings):
    gone = JWKS()
    gone.server_close()
    settings.IDENTITY_JWKS_URL = gone.url
    assert call(staff_token()) == AWAY
    settings.IDENTITY_JWKS_URL = issuer.url
    assert call(staff_token()) == GOOD


def test_a_slow_issuer_holds_one_thread(call, issuer, clock):
    token = staff_token(exp=int(time.time()) + 3600)
    assert call(token) == GOOD
    assert issuer.asked.acquire(timeout=LONGEST_WAIT)
    issuer.publish(RSA, OTHER)
    issuer.may_answer.clear()
    clock.shift(minutes=5)
    with ThreadPoolExecutor(1) as threads:
        held = threads.submit(identity.read, token)
        assert issuer.asked.acquire(timeout=LONGEST_WAIT)
        for _ in range(3):
            assert call(token) == GOOD
            assert call(staff_token()) == GOOD
            # Nobody can say yet whether there is such a key.
            assert call(staff_token(OTHER)) == AWAY
        assert not held.done()
        issuer.may_answer.set()
        assert held.result(LONGEST_WAIT)["role"] == "staff"
    assert call(staff_token(OTHER)) == GOOD
    assert issuer.questions == 2


def test_the_first_answer_is_waited_for_by_all_and_asked_for_by_one(issuer, clock):
    issuer.may_answer.clear()
    token = staff_token()
    with ThreadPoolExecutor(4) as threads:
        waiting = [threads.submit(identity.read, token) for _ in range(4)]
        assert issuer.asked.acquire(timeout=LONGEST_WAIT)
        assert not any(one.done() for one in waiting)
        issuer.may_answer.set()
        assert {one.result(LONGEST_WAIT)["sub"] for one in waiting} == {"f3a1"}
    assert issuer.questions == 1


def test_an_issuer_that_does_not_answer_is_given_up(issuer, clock, monkeypatch):
    monkeypatch.setattr(identity, "LONGEST_FETCH", 0.05)
    issuer.may_answer.clear()
    started = time.monotonic()
    with pytest.raises(errors.Unavailable):
        identity.read(staff_token())
    assert time.monotonic() - started < 10
    assert (issuer.questions, issuer.answers) == (1, 0)


def test_an_answer_that_trickles_is_given_up(issuer, clock, monkeypatch):
    def trickle():
        for byte in issuer.body:
            threading.Event().wait(0.005)
            yield bytes([byte])

    issuer.pieces = trickle()
    monkeypatch.setattr(identity, "LONGEST_FETCH", 0.05)
    with pytest.raises(errors.Unavailable):
        identity.read(staff_token())


# --- What is not there in this mode


def test_our_own_tokens_are_not_taken_and_those_of_machines_are(api, call, settings):
    user = User.objects.create(username="root", email="root@example.org", is_staff=True)
    access = accounts.start_session(user=user).access
    machine = accounts.create_service_token(name="cron", scope=ServiceToken.Scope.EXPIRE, days=30)
    assert call(access) == INVALID
    assert call(machine) == GOOD
    settings.IDENTITY_ISSUER = ""
    assert call(access) == GOOD


@pytest.mark.parametrize("path", ["/auth/token", "/auth/token/refresh", "/auth/logout"])
@pytest.mark.parametrize(
    "body", [{}, {"email": "a@example.org", "password": "x"}, {"refresh": "x"}]
)
def test_nobody_signs_in_here(api, issuer, settings, path, body):
    answer = api.post(path, body)
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert "identity provider" in answer.json()["detail"]
    settings.IDENTITY_ISSUER = ""
    assert api.post(path, body).status_code in (400, 401)


@pytest.mark.parametrize("kind", ["client", "provider"])
def test_people_are_made_by_staff(api, issuer, settings, clock, kind):
    settings.OPEN_PROVIDER_SIGNUP = True
    names = {"first_name": "Emmy", "last_name": "Noether"}
    account = {"email": "emmy@example.org", "password": "a-long-and-good-one"}
    for token, body, status in (
        (None, names | account, 401),
        (RSA.token(), names, 403),
        (RSA.token(client_id=1, provider_id=1), names, 403),
        (staff_token(), names, 201),
    ):
        headers = {} if token is None else bearer(token)
        assert api.post(f"/{kind}/create", body, **headers).status_code == status
    assert not User.objects.exists()


# --- Over a socket


def test_the_service_starts_with_an_issuer_and_takes_its_tokens(
    issuer, empty_database_url, tmp_path
):
    environment = {
        "SECRET_KEY": "ours",
        "AUTHENTICATION": "required",
        "IDENTITY_ISSUER": ISSUER,
        "IDENTITY_AUDIENCE": AUDIENCE,
        "IDENTITY_JWKS_URL": issuer.url,
        "IDENTITY_CLIENT_ID_CLAIM": "https://example.org/claims/client",
    }
    with Server(tmp_path, empty_database_url, **environment) as server:
        rows_of(
            empty_database_url,
            "INSERT INTO scheduling_timeslot (provider_id, start_time, end_time)"
            " VALUES (1, '2090-01-02 10:00:00+00:00', '2090-01-02 10:15:00+00:00') RETURNING id",
        )
        body = {"client_id": 1, "timeslot_id": 1}
        url = f"{server.base_url}/client/reserve"
        for token, status in (
            (EC.token(**{"https://example.org/claims/client": 1}), 200),
            (EC.token(**{"https://example.org/claims/client": 2}), 403),
            (EC.token(client_id=1), 403),
            (OTHER.token(**{"https://example.org/claims/client": 1}), 401),
        ):
            headers = {"Authorization": f"Bearer {token}"}
            assert requests.post(url, json=body, headers=headers, timeout=5).status_code == status
        assert requests.post(f"{server.base_url}/auth/token", json={}, timeout=5).status_code == 404


def test_no_account_is_made_beside_the_identity_providers(api, issuer, clock):
    """It could sign in nowhere."""
    names = {"first_name": "Emmy", "last_name": "Noether"}
    account = {"email": "emmy@example.org", "password": PASSWORD}
    header = {"HTTP_AUTHORIZATION": f"Bearer {staff_token()}"}
    answer = api.post("/client/create", names | account, **header)
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (400, "signed_in")
    assert api.post("/client/create", names, **header).status_code == 201
    assert not User.objects.exists()
