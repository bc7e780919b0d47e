"""Signing in, staying signed in and signing out; and what happens to stolen or made-up tokens."""

import base64
import json
from datetime import timedelta
from unittest import mock

import jwt
import pytest
from django.contrib.auth.hashers import ScryptPasswordHasher, make_password
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext

from scheduling import tokens
from scheduling.models import Client, SignIn

from .callers import authorize
from .concurrency import at_once
from .factories import PASSWORD, make_account, make_client, make_provider, make_timeslot

EMAIL = "ada@example.org"


@pytest.fixture(autouse=True)
def required(settings):
    settings.AUTHENTICATION = "required"


def sign_in(api, email=EMAIL, password=PASSWORD):
    return api.post("/auth/token", {"email": email, "password": password})


def refresh(api, token):
    return api.post("/auth/token/refresh", {"refresh": token})


def sign_out(api, token):
    return api.post("/auth/logout", {"refresh": token})


def claims(token):
    return jwt.decode(token, options={"verify_signature": False})


def refused(answer, code):
    assert (answer.status_code, answer.json()["code"]) == (401, code), answer.content
    assert answer["WWW-Authenticate"].startswith("Bearer")
    return True


@pytest.fixture
def client():
    return make_client()


@pytest.fixture
def account(client):
    return make_account(client=client)


@pytest.fixture
def pair(api, account):
    return sign_in(api).json()


def reserve(api, client, token):
    """A request that only this client may make."""
    timeslot = make_timeslot()
    header = {"HTTP_AUTHORIZATION": f"Bearer {token}"}
    return api.post(
        "/client/reserve", {"client_id": client.pk, "timeslot_id": timeslot.pk}, **header
    )


# --- Signing in ----------------------------------------------------------------------------------


@pytest.mark.parametrize("given", [EMAIL, "Ada@Example.org", " ADA@EXAMPLE.ORG "])
def test_it_answers_an_access_and_a_refresh_token(api, account, client, given):
    answer = sign_in(api, given)
    assert answer.status_code == 200
    assert list(answer.json()) == ["access", "refresh"]
    assert answer["Cache-Control"] == "no-store"
    assert reserve(api, client, answer.json()["access"]).status_code == 200


@pytest.mark.parametrize("mode", ["open", "required"])
def test_it_works_in_both_modes(api, account, settings, mode):
    settings.AUTHENTICATION = mode
    assert sign_in(api).status_code == 200


def test_an_access_token_says_who_it_is_for_a_quarter_of_an_hour(api, clock):
    provider, client = make_provider(), make_client()
    user = make_account(provider=provider, client=client)
    said = claims(sign_in(api).json()["access"])
    assert said["role"] == "provider"
    assert (said["provider_id"], said["client_id"]) == (provider.pk, client.pk)
    assert said["user_id"] == str(user.pk)
    assert said["exp"] - said["iat"] == 15 * 60
    assert said["iat"] == int(clock.now.timestamp())


@pytest.mark.parametrize(
    ("person", "role"), [("provider", "provider"), ("client", "client"), (None, "account")]
)
def test_its_role_is_what_the_account_acts_as(api, person, role):
    make = {"provider": make_provider, "client": make_client}
    make_account(**{person: make[person]()} if person else {})
    said = claims(sign_in(api).json()["access"])
    assert said["role"] == role
    assert {"provider_id", "client_id"} & set(said) == ({f"{person}_id"} if person else set())


def test_staff_are_staff_and_nobody_else(api):
    make_account(client=make_client(), is_staff=True)
    said = claims(sign_in(api).json()["access"])
    assert said["role"] == "staff"
    assert not {"provider_id", "client_id"} & set(said)


@pytest.mark.parametrize(
    ("email", "password"),
    [
        (EMAIL, "hunter2-wrong-horse"),
        (EMAIL, PASSWORD + " "),
        (EMAIL, PASSWORD.upper()),
        ("nobody@example.org", PASSWORD),
    ],
)
def test_wrong_credentials_are_all_refused_alike(api, account, email, password):
    answer = sign_in(api, email, password)
    assert refused(answer, "wrong_credentials")
    assert answer.content == sign_in(api, "another@example.org", "hunter2-x").content
    assert not SignIn.objects.exists()


@pytest.mark.parametrize("field", ["is_active"])
def test_a_deactivated_account_is_as_unknown(api, account, field):
    User.objects.update(is_active=False)
    assert refused(sign_in(api), "wrong_credentials")


def test_an_account_without_a_password_cannot_sign_in(api, account):
    account.set_unusable_password()
    account.save()
    assert refused(sign_in(api), "wrong_credentials")


@pytest.mark.parametrize(
    ("email", "account_is"),
    [
        (EMAIL, {}),
        ("nobody@example.org", {}),
        (EMAIL, {"is_active": False}),
        (EMAIL, {"password": make_password(None)}),
    ],
    ids=["wrong password", "unknown", "deactivated", "without a password"],
)
def test_an_unknown_address_costs_as_many_hashes_and_statements(api, account, email, account_is):
    User.objects.update(**account_is)
    sign_in(api, "first@example.org", "hunter2-wrong")  # the process's first of everything
    hashing = mock.patch.object(
        ScryptPasswordHasher, "encode", autospec=True, side_effect=ScryptPasswordHasher.encode
    )
    with hashing as hashed, CaptureQueriesContext(connection) as statements:
        assert refused(sign_in(api, email, "hunter2-wrong"), "wrong_credentials")
    assert hashed.call_count == 1
    looked_up = [one for one in statements.captured_queries if "auth_user" in one["sql"]]
    assert len(looked_up) == 1


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"email": EMAIL},
        {"password": PASSWORD},
        {"email": "ada", "password": PASSWORD},
        {"email": EMAIL, "password": 7},
        {"email": [EMAIL], "password": PASSWORD},
        {"email": EMAIL, "password": "x" * 1001},
        {"email": "a" * 300 + "@example.org", "password": PASSWORD},
    ],
)
def test_what_is_no_sign_in_is_a_400(api, body):
    answer = api.post("/auth/token", body)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid")


# --- Staying signed in ---------------------------------------------------------------------------


def test_a_refresh_token_is_spent_for_a_new_pair(api, pair, client):
    answer = refresh(api, pair["refresh"])
    assert answer.status_code == 200
    assert answer["Cache-Control"] == "no-store"
    renewed = answer.json()
    assert renewed["refresh"] != pair["refresh"]
    assert reserve(api, client, renewed["access"]).status_code == 200
    assert refresh(api, renewed["refresh"]).status_code == 200


def test_a_spent_refresh_token_ends_its_whole_family(api, pair):
    thief = refresh(api, pair["refresh"]).json()
    assert refused(refresh(api, pair["refresh"]), "token_invalid")
    assert refused(refresh(api, thief["refresh"]), "token_invalid")
    assert not SignIn.objects.exists()


def test_the_same_accounts_other_sign_ins_go_on(api, pair):
    other = sign_in(api).json()
    refresh(api, pair["refresh"])
    assert refused(refresh(api, pair["refresh"]), "token_invalid")
    assert refresh(api, other["refresh"]).status_code == 200


@pytest.mark.django_db(transaction=True)
def test_of_two_that_spend_it_at_once_one_wins_and_the_family_ends(api, pair):
    """A reuse is a reuse, however close in time."""
    answers = at_once(*[lambda: refresh(type(api)(), pair["refresh"])] * 6)
    assert sorted(answer.status_code for answer in answers) == [200] + [401] * 5
    [winner] = [answer.json() for answer in answers if answer.status_code == 200]
    assert refused(refresh(api, winner["refresh"]), "token_invalid")


def test_it_carries_what_the_account_has_become(api, pair, account):
    provider = make_provider()
    provider.user = account
    provider.save()
    assert claims(refresh(api, pair["refresh"]).json()["access"])["provider_id"] == provider.pk


@pytest.mark.parametrize(("days", "status"), [(14, 401), (13.999, 200)])
def test_it_lasts_14_days_from_its_last_use(api, account, clock, days, status):
    pair = sign_in(api).json()
    clock.shift(days=10)
    pair = refresh(api, pair["refresh"]).json()
    clock.shift(days=days)
    answer = refresh(api, pair["refresh"])
    assert answer.status_code == status
    if status == 401:
        assert refused(answer, "token_expired")


@pytest.mark.parametrize(
    "change",
    [{"is_active": False}, {"password": "!"}, {"password": "pbkdf2_sha256$1$salt$hash"}],
)
def test_a_changed_account_must_sign_in_again(api, pair, change):
    User.objects.update(**change)
    assert refused(refresh(api, pair["refresh"]), "token_invalid")
    assert not SignIn.objects.exists()


def test_a_deleted_account_is_signed_out(api, pair, account):
    account.delete()
    assert refused(refresh(api, pair["refresh"]), "token_invalid")


def test_old_sign_ins_are_cleared_away_by_the_next(api, account, clock):
    sign_in(api)
    clock.shift(days=14, seconds=1)
    sign_in(api)
    assert SignIn.objects.count() == 1


# --- Signing out ---------------------------------------------------------------------------------


def test_it_ends_the_sign_in(api, pair):
    answer = sign_out(api, pair["refresh"])
    assert (answer.status_code, answer.content) == (204, b"")
    assert "Content-Length" not in answer  # RFC 9110, 8.6
    assert refused(refresh(api, pair["refresh"]), "token_invalid")
    assert sign_out(api, pair["refresh"]).status_code == 204


def test_a_spent_token_ends_it_as_well(api, pair):
    renewed = refresh(api, pair["refresh"]).json()
    assert sign_out(api, pair["refresh"]).status_code == 204
    assert refused(refresh(api, renewed["refresh"]), "token_invalid")


def test_an_account_that_goes_while_its_password_is_checked_is_refused(api, account, monkeypatch):
    def check(user, _):
        User.objects.all().delete()
        return True

    monkeypatch.setattr(User, "check_password", check)
    assert refused(sign_in(api), "wrong_credentials")


def test_signing_in_is_written_down(api, account, clock):
    sign_in(api)
    account.refresh_from_db()
    assert account.last_login == clock.now


def test_a_refreshed_sign_in_is_not_cleared_away(api, account, clock):
    pair = sign_in(api).json()
    clock.shift(days=10)
    pair = refresh(api, pair["refresh"]).json()
    clock.shift(days=10)
    sign_in(api)
    assert refresh(api, pair["refresh"]).status_code == 200


def test_another_device_stays_signed_in(api, pair):
    other = sign_in(api).json()
    sign_out(api, pair["refresh"])
    assert refresh(api, other["refresh"]).status_code == 200


# --- Tokens that are not good --------------------------------------------------------------------


def forged(token, key=None, headers=None, **changes):
    """The token with some claims changed, signed with another key (or with ours)."""
    payload = claims(token) | changes
    payload = {name: value for name, value in payload.items() if value is not None}
    ring = tokens._key_ring()
    given = jwt.get_unverified_header(token) | (headers or {})
    key = ring.keys[ring.kid] if key is None else key
    return jwt.encode(payload, key, given["alg"], given)


def unsigned(token, algorithm, **changes):
    def part(value):
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    header = jwt.get_unverified_header(token) | {"alg": algorithm}
    return f"{part(header)}.{part(claims(token) | changes)}."


ANOTHER_KEY = b"another key, of 32 bytes or more."

THEFTS = {
    "another key": lambda token: forged(token, ANOTHER_KEY),
    "another key under another name": lambda token: forged(token, ANOTHER_KEY, {"kid": "abcd"}),
    "no key named": lambda token: jwt.encode(claims(token), ANOTHER_KEY, "HS256"),
    "another algorithm": lambda token: forged(token, headers={"alg": "HS512"}),
    "alg none": lambda token: unsigned(token, "none"),
    "alg None": lambda token: unsigned(token, "None"),
    "no signature": lambda token: token.rpartition(".")[0] + ".",
    "a swapped role": lambda token: swapped(token, role="staff"),
    "a swapped client": lambda token: swapped(token, client_id=claims(token)["client_id"] + 1),
    "a later end": lambda token: swapped(token, exp=claims(token)["exp"] + 9999),
    "another issuer": lambda token: forged(token, iss="https://evil.example"),
    "no issuer": lambda token: forged(token, iss=None),
    "another type": lambda token: forged(token, token_type="refresh"),
    "no type": lambda token: forged(token, token_type=None),
    "no end": lambda token: forged(token, exp=None),
    "no id": lambda token: forged(token, jti=None),
    "nothing": lambda token: "",
    "a word": lambda token: "token",
    "dots": lambda token: "..",
    "not ASCII": lambda token: token + "é",
    "much": lambda token: "a" * 7000,
    "two": lambda token: f"{token} {token}",
    "a service token that never was": lambda token: "rst_" + "a" * 43,
}


def swapped(token, **changes):
    """The claims changed and the signature kept, as a thief without a key has to."""
    head, _, signature = token.split(".")
    body = base64.urlsafe_b64encode(json.dumps(claims(token) | changes).encode()).rstrip(b"=")
    return f"{head}.{body.decode()}.{signature}"


@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
@pytest.mark.parametrize("theft", THEFTS)
def test_a_token_that_is_not_ours_opens_nothing(api, pair, client, theft):
    assert reserve(api, client, forged(pair["access"])).status_code == 200  # the control
    answer = reserve(api, client, THEFTS[theft](pair["access"]).encode().decode("latin-1"))
    assert refused(answer, "token_invalid")
    assert 'error="invalid_token"' in answer["WWW-Authenticate"]


@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
@pytest.mark.parametrize(
    "theft", [theft for theft in THEFTS if theft not in ("a swapped client", "another type")]
)
def test_nor_does_a_refresh_token(api, pair, theft):
    token = THEFTS[theft](pair["refresh"])
    for call in (refresh, sign_out):
        assert refused(call(api, token), "token_invalid")
    assert SignIn.objects.count() == 1
    assert refresh(api, pair["refresh"]).status_code == 200


def test_a_refresh_token_is_no_access_token_and_the_other_way_round(api, pair, client):
    assert refused(reserve(api, client, pair["refresh"]), "token_invalid")
    assert refused(refresh(api, pair["access"]), "token_invalid")
    assert refused(sign_out(api, pair["access"]), "token_invalid")


@pytest.mark.parametrize(("seconds", "status"), [(899, 200), (900, 401)])
@pytest.mark.parametrize("is_seen_before", [False, True])
def test_an_access_token_ends_to_the_second(
    api, account, client, clock, seconds, status, is_seen_before
):
    token = sign_in(api).json()["access"]
    if is_seen_before:  # verified tokens are remembered
        assert reserve(api, client, token).status_code == 200
    clock.shift(seconds=seconds)
    answer = reserve(api, client, token)
    assert answer.status_code == status
    if status == 401:
        assert refused(answer, "token_expired")


ENDS = {
    "deactivated": lambda api, account, pair: User.objects.update(is_active=False),
    "deleted": lambda api, account, pair: account.delete(),
    "unlinked": lambda api, account, pair: Client.objects.update(user=None),
    "signed out": lambda api, account, pair: sign_out(api, pair["refresh"]),
    "robbed": lambda api, account, pair: [refresh(api, pair["refresh"]) for _ in range(2)],
}


@pytest.mark.parametrize("end", ENDS)
def test_an_access_token_lives_until_it_ends_whatever_becomes_of_its_account(
    api, account, client, clock, end
):
    """The price of asking the database nothing: at most 15 minutes."""
    pair = sign_in(api).json()
    token = pair["access"]
    ENDS[end](api, account, pair)
    clock.shift(seconds=899)
    assert reserve(api, client, token).status_code == 200
    clock.shift(seconds=1)
    assert refused(reserve(api, client, token), "token_expired")


def test_who_is_staff_no_more_is_so_once_the_access_token_ends(api, account, clock):
    User.objects.update(is_staff=True)
    pair = sign_in(api).json()
    User.objects.update(is_staff=False)
    authorize(api, pair["access"])
    clock.shift(seconds=899)
    assert api.put("/provider/expiredReservations").status_code == 200
    clock.shift(seconds=1)
    assert refused(api.put("/provider/expiredReservations"), "token_expired")
    authorize(api, refresh(api, pair["refresh"]).json()["access"])
    assert api.put("/provider/expiredReservations").status_code == 403


def test_a_key_is_replaced_without_signing_anybody_out(api, pair, client, settings):
    former = settings.SECRET_KEY
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "n" * 60, [former]
    assert reserve(api, client, pair["access"]).status_code == 200
    renewed = refresh(api, pair["refresh"]).json()
    settings.SECRET_KEY_FALLBACKS = []
    assert reserve(api, client, renewed["access"]).status_code == 200
    assert refresh(api, renewed["refresh"]).status_code == 200
    assert refused(reserve(api, client, pair["access"]), "token_invalid")


@pytest.mark.parametrize("header", ["Basic YTpi", "Token x", "bearer", "", "Digest"])
def test_another_scheme_is_nobody(api, header):
    answer = api.post("/client/reserve", {}, HTTP_AUTHORIZATION=header)
    code = "token_invalid" if header == "bearer" else "not_authenticated"
    assert refused(answer, code)


def test_an_authenticated_reserve_costs_one_statement(api, pair, client, django_assert_num_queries):
    timeslot = make_timeslot()
    authorize(api, pair["access"])
    with django_assert_num_queries(1):
        answer = api.post("/client/reserve", {"client_id": client.pk, "timeslot_id": timeslot.pk})
    assert answer.status_code == 200


def test_an_open_service_looks_at_no_token(api, client, settings):
    settings.AUTHENTICATION = "open"
    assert reserve(api, client, "made up").status_code == 200


def test_a_token_is_read_once_and_remembered(api, pair, client):
    tokens._verified.cache_clear()
    with mock.patch.object(jwt, "decode", side_effect=jwt.decode) as decoded:
        for _ in range(3):
            assert reserve(api, client, pair["access"]).status_code == 200
    assert decoded.call_count == 1


def test_the_settings_say_how_long_tokens_last(settings):
    assert settings.SIMPLE_JWT["ACCESS_TOKEN_LIFETIME"] == timedelta(minutes=15)
    assert settings.SIMPLE_JWT["REFRESH_TOKEN_LIFETIME"] == timedelta(days=14)
