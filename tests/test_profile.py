"""GET and PUT /provider/profile and /client/profile."""

import pytest

from scheduling.models import Client, Provider

from .factories import make_client, make_provider

KINDS = {"provider": (Provider, make_provider), "client": (Client, make_client)}

pytestmark = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture
def person(db, kind):
    return KINDS[kind][1]("Ada", "Lovelace")


def get(api, kind, person_id):
    return api.get(f"/{kind}/profile", {f"{kind}_id": person_id})


def put(api, kind, person_id, **changes):
    return api.put(f"/{kind}/profile", {f"{kind}_id": person_id, **changes})


def test_it_shows_names_and_time_zone(api, kind, person):
    answer = get(api, kind, person.pk)
    assert answer.status_code == 200
    assert list(answer.json().items()) == [
        (f"{kind}_id", person.pk),
        ("first_name", "Ada"),
        ("last_name", "Lovelace"),
        ("time_zone", "UTC"),
        ("is_emailed", True),
    ]


@pytest.mark.parametrize(
    "changes",
    [
        {"first_name": "Augusta"},
        {"last_name": "King"},
        {"time_zone": "Asia/Tokyo"},
        {"is_emailed": False},
        {"first_name": " Augusta ", "last_name": "King", "time_zone": "America/New_York"},
    ],
)
def test_it_changes_what_is_given_and_nothing_else(api, kind, person, changes):
    other = KINDS[kind][1]()
    kept = {"first_name": "Ada", "last_name": "Lovelace", "time_zone": "UTC"}
    kept["is_emailed"] = True
    expected = kept | {
        name: value.strip() if isinstance(value, str) else value for name, value in changes.items()
    }
    answer = put(api, kind, person.pk, **changes)
    assert answer.status_code == 200
    assert answer.json() == {f"{kind}_id": person.pk, **expected}
    assert get(api, kind, person.pk).json() == answer.json()
    rows = KINDS[kind][0].objects.order_by("pk").values_list("pk", *expected)
    assert list(rows) == [
        (person.pk, *expected.values()),
        (other.pk, other.first_name, other.last_name, "UTC", True),
    ]


@pytest.mark.parametrize(
    ("changes", "field", "code"),
    [
        ({}, "body", "nothing_to_change"),
        ({"email": "ada@example.org"}, "body", "nothing_to_change"),
        ({"first_name": ""}, "first_name", "blank"),
        ({"last_name": None}, "last_name", "null"),
        ({"first_name": "Augusta", "last_name": 1}, "last_name", "invalid"),
        ({"time_zone": "Mars/Olympus"}, "time_zone", "unknown_time_zone"),
        ({"time_zone": "../../etc/passwd"}, "time_zone", "unknown_time_zone"),
        ({"time_zone": "utc"}, "time_zone", "unknown_time_zone"),
        ({"time_zone": 1}, "time_zone", "invalid"),
        ({"is_emailed": "no"}, "is_emailed", "invalid"),
    ],
)
def test_it_refuses_what_is_no_profile_and_stores_nothing(api, kind, person, changes, field, code):
    before = get(api, kind, person.pk).json()
    answer = put(api, kind, person.pk, **changes)
    assert answer.status_code == 400
    [error] = answer.json()["errors"]
    assert (error["field"], error["code"]) == (field, code)
    assert get(api, kind, person.pk).json() == before


def test_nobody_there(api, kind, person):
    for answer in (
        get(api, kind, person.pk + 1),
        put(api, kind, person.pk + 1, first_name="Augusta"),
    ):
        assert (answer.status_code, answer.json()["code"]) == (404, f"{kind}_not_found")


def test_reading_costs_one_statement_and_writing_two_in_a_transaction(
    api, kind, person, django_assert_num_queries
):
    with django_assert_num_queries(1):
        get(api, kind, person.pk)
    with django_assert_num_queries(4):
        put(api, kind, person.pk, first_name="Augusta")


def test_creating_answers_three_keys_as_ever(api, kind):
    answer = api.post(f"/{kind}/create", {"first_name": "Ada", "last_name": "Lovelace"})
    assert list(answer.json()) == [f"{kind}_id", "first_name", "last_name"]
