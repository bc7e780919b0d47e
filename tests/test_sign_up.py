"""Signing up: a provider or client with an account of its own, and nobody learns who has one."""

from unittest import mock

import pytest
from django.contrib.auth.hashers import ScryptPasswordHasher
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext

from scheduling.models import Client, Provider

from .callers import signed_in, staff
from .factories import PASSWORD, make_account, make_client, make_provider

MODELS = {"provider": Provider, "client": Client}
NAMES = {"first_name": "Emmy", "last_name": "Noether"}
ACCOUNT = {"email": "emmy@example.org", "password": PASSWORD}

each_kind = pytest.mark.parametrize("kind", ["provider", "client"])


@pytest.fixture(params=["open", "required"])
def mode(request, settings):
    settings.AUTHENTICATION = request.param
    settings.OPEN_PROVIDER_SIGNUP = True
    return request.param


def create(api, kind, **fields):
    return api.post(f"/{kind}/create", NAMES | fields)


@each_kind
def test_it_makes_an_account_and_answers_its_three_keys(api, mode, kind):
    answer = create(api, kind, **ACCOUNT)
    assert answer.status_code == 201
    assert list(answer.json()) == [f"{kind}_id", "first_name", "last_name"]
    person = MODELS[kind].objects.get(pk=answer.json()[f"{kind}_id"])
    assert person.user.email == "emmy@example.org"
    assert person.user.check_password(PASSWORD)
    assert not person.user.is_staff
    assert not person.user.is_superuser


@each_kind
def test_the_account_can_sign_in_at_once(api, mode, kind):
    create(api, kind, **ACCOUNT)
    assert api.post("/auth/token", ACCOUNT).status_code == 200


@each_kind
@pytest.mark.parametrize("taken", ["emmy@example.org", "Emmy@Example.ORG"])
@pytest.mark.parametrize("given", ["emmy@example.org", "EMMY@EXAMPLE.ORG", " emmy@example.org "])
def test_a_taken_address_gets_the_same_answer_and_no_second_account(api, mode, kind, taken, given):
    make_account(email=taken)
    answer = create(api, kind, email=given, password="hunter2-another-horse")
    assert answer.status_code == 201
    assert list(answer.json()) == [f"{kind}_id", "first_name", "last_name"]
    assert MODELS[kind].objects.get(pk=answer.json()[f"{kind}_id"]).user is None
    [only] = User.objects.all()
    assert only.check_password(PASSWORD)


@each_kind
def test_a_taken_address_costs_the_same_work(api, mode, kind):
    """As many statements and as many passwords hashed: there is no clock to tell them apart by."""
    work = []
    create(api, kind, email="first@example.org", password=PASSWORD)
    for email in ("first@example.org", "second@example.org"):
        hashing = mock.patch.object(
            ScryptPasswordHasher, "encode", autospec=True, side_effect=ScryptPasswordHasher.encode
        )
        with hashing as hashed, CaptureQueriesContext(connection) as statements:
            assert create(api, kind, email=email, password=PASSWORD).status_code == 201
        work.append((hashed.call_count, len(statements)))
    assert work[0] == work[1]
    assert work[0][0] == 1


@each_kind
def test_ids_do_not_tell_a_taken_address(api, mode, kind):
    ids = [
        create(api, kind, email=email, password=PASSWORD).json()[f"{kind}_id"]
        for email in ("a@example.org", "a@example.org", "b@example.org")
    ]
    assert ids == [ids[0], ids[0] + 1, ids[0] + 2]


@pytest.mark.parametrize("given", ["Emmy@Example.org", "EMMY@EXAMPLE.ORG"])
def test_the_address_is_kept_in_lower_case(api, given):
    create(api, "client", email=given, password=PASSWORD)
    assert User.objects.get().email == "emmy@example.org"


@pytest.mark.parametrize(
    ("change", "field", "code"),
    [
        *(({"email": email}, "email", "invalid") for email in ("", "emmy", "emmy@", "@x.org", 7)),
        *(({"email": email}, "email", "invalid") for email in (True, ["a@b.org"], "a b@c.org")),
        ({"email": "ä@example.org"}, "email", "invalid"),
        ({"email": "a\x00@example.org"}, "email", "invalid"),
        ({"email": f"{'a' * 250}@example.org"}, "email", "invalid"),
        ({"password": ""}, "password", "blank"),
        ({"password": 12345678}, "password", "invalid"),
        ({"password": "x" * 1001}, "password", "max_length"),
        ({"password": "short"}, "password", "password_too_short"),
        ({"password": "password1"}, "password", "password_too_common"),
        ({"password": "8429071536"}, "password", "password_entirely_numeric"),
        ({"password": "emmy@example"}, "password", "password_too_similar"),
        ({"password": "Noether1"}, "password", "password_too_similar"),
    ],
)
def test_it_refuses_what_is_no_account_and_stores_nothing(api, mode, change, field, code):
    answer = create(api, "client", **ACCOUNT | change)
    assert answer.status_code == 400
    assert (field, code) in [(error["field"], error["code"]) for error in answer.json()["errors"]]
    assert not User.objects.exists()
    assert not Client.objects.exists()


@pytest.mark.parametrize("left_out", ["email", "password"])
def test_address_and_password_belong_together(api, mode, left_out):
    given = {name: value for name, value in ACCOUNT.items() if name != left_out}
    answer = create(api, "client", **given)
    assert answer.status_code == 400
    [error] = answer.json()["errors"]
    assert (error["field"], error["code"]) == (left_out, "required")


def test_who_signs_up_needs_an_account_where_sign_in_is_required(api, settings):
    assert create(api, "client").status_code == 201
    settings.AUTHENTICATION = "required"
    answer = create(api, "client")
    assert answer.status_code == 400
    assert [error["field"] for error in answer.json()["errors"]] == ["email", "password"]


@pytest.fixture
def required(settings):
    settings.AUTHENTICATION = "required"


@each_kind
def test_staff_create_people_with_and_without_accounts(api, required, kind):
    staff(api)
    assert create(api, kind).status_code == 201
    answer = create(api, kind, **ACCOUNT)
    assert answer.status_code == 201
    person = MODELS[kind].objects.get(pk=answer.json()[f"{kind}_id"])
    assert person.user.email == ACCOUNT["email"]


@each_kind
def test_staff_are_told_that_an_address_is_taken(api, required, kind):
    staff(api)
    make_account(email="emmy@example.org")
    before = MODELS[kind].objects.count()
    answer = create(api, kind, **ACCOUNT)
    assert (answer.status_code, answer.json()["code"]) == (409, "email_taken")
    assert MODELS[kind].objects.count() == before


def test_an_account_becomes_a_client_and_a_provider_once_each(api, required, settings):
    settings.OPEN_PROVIDER_SIGNUP = True
    user = signed_in(api, client=make_client())
    answer = create(api, "provider")
    assert answer.status_code == 201
    user.refresh_from_db()
    assert user.provider.pk == answer.json()["provider_id"]
    for kind in ("provider", "client"):
        answer = create(api, kind)
        assert (answer.status_code, answer.json()["code"]) == (409, "already_registered")
    assert (Provider.objects.count(), Client.objects.count()) == (1, 1)


def test_who_is_signed_in_makes_no_second_account(api, required):
    signed_in(api, provider=make_provider())
    answer = create(api, "client", **ACCOUNT)
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (400, "signed_in")
    assert User.objects.count() == 1


@pytest.mark.parametrize("end", ["deactivate", "delete"])
def test_an_account_that_has_gone_since_becomes_nobody(api, required, end):
    user = signed_in(api, provider=make_provider())
    if end == "delete":
        user.delete()
    else:
        User.objects.update(is_active=False)
    answer = create(api, "client")
    assert (answer.status_code, answer.json()["code"]) == (401, "token_invalid")
    assert not Client.objects.exists()


def test_a_person_outlives_the_account(api):
    client = make_client()
    make_account(client=client).delete()
    client.refresh_from_db()
    assert client.user is None


def test_the_name_of_an_account_says_nothing(api):
    create(api, "client", **ACCOUNT)
    user = User.objects.get()
    assert len(user.username) == 32
    assert (user.first_name, user.last_name) == ("", "")
