"""POST /provider/create and POST /client/create."""

import pytest

from scheduling.models import Client, Provider

MODELS = {"provider": Provider, "client": Client}

pytestmark = pytest.mark.parametrize("kind", MODELS)


def create(api, kind, first_name="Ada", last_name="Lovelace"):
    return api.post(f"/{kind}/create", {"first_name": first_name, "last_name": last_name})


def test_it_creates_a_person(api, kind):
    answer = create(api, kind)
    assert answer.status_code == 201
    person = MODELS[kind].objects.get()
    assert list(answer.json().items()) == [
        (f"{kind}_id", person.pk),
        ("first_name", "Ada"),
        ("last_name", "Lovelace"),
    ]
    assert (person.first_name, person.last_name) == ("Ada", "Lovelace")


def test_two_people_may_share_a_name(api, kind):
    ids = {create(api, kind).json()[f"{kind}_id"] for _ in range(2)}
    assert len(ids) == 2


def test_it_costs_one_statement(api, kind, django_assert_num_queries):
    with django_assert_num_queries(1):
        assert create(api, kind).status_code == 201


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("  Ada ", "Ada"),
        ("\tAda\r\n", "Ada"),
        ("\u00a0\u3000Ada\u2003", "Ada"),
        ("Ada  Augusta", "Ada  Augusta"),
        ("O'Brien-Smith, Jr.", "O'Brien-Smith, Jr."),
        ("Jos\u00e9", "Jos\u00e9"),
        ("Jose\u0301", "Jose\u0301"),
        ("\u738b\u5c0f\u660e", "\u738b\u5c0f\u660e"),
        ("\u0645\u062d\u0645\u062f", "\u0645\u062d\u0645\u062f"),
        ("\u0416\u0443\u043a\u043e\u0432\u0441\u043a\u0438\u0439",) * 2,
        ("\u0995\u09cd\u09b7", "\u0995\u09cd\u09b7"),
        ("\u0646\u0633\u200c\u0631\u06cc\u0646",) * 2,
        ("\U00020bb7\u91ce", "\U00020bb7\u91ce"),
        ("<b>%s</b>; DROP TABLE --",) * 2,
        ("null", "null"),
        ("7", "7"),
        ("x", "x"),
        ("x" * 99, "x" * 99),
        ("x" * 100, "x" * 100),
        ("\U00020bb7" * 100, "\U00020bb7" * 100),
        (" " + "x" * 100 + " ", "x" * 100),
    ],
)
def test_a_name_is_trimmed_and_otherwise_kept(api, kind, given, kept):
    for field in ("first_name", "last_name"):
        answer = create(api, kind, **{field: given})
        assert (answer.status_code, answer.json()[field]) == (201, kept)
        pk = answer.json()[f"{kind}_id"]
        assert getattr(MODELS[kind].objects.get(pk=pk), field) == kept


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("", "blank"),
        ("   ", "blank"),
        ("\u00a0\u3000", "blank"),
        ("\u200b", "blank"),
        ("\n\t", "blank"),
        ("x" * 101, "max_length"),
        ("\U00020bb7" * 101, "max_length"),
        ("x" * 50 + " " + "x" * 50, "max_length"),
        ("A\x00da", "control_character"),
        ("Ada\x00", "control_character"),
        ("A\nda", "control_character"),
        ("A\x1bda", "control_character"),
        ("A\x7fda", "control_character"),
        ("A\x85da", "control_character"),
        ("A\u2028da", "control_character"),
        (None, "null"),
        (7, "invalid"),
        (1.5, "invalid"),
        (True, "invalid"),
        (["Ada"], "invalid"),
        ({"Ada": "Ada"}, "invalid"),
    ],
)
@pytest.mark.parametrize("field", ["first_name", "last_name"])
def test_it_refuses_what_is_no_name(api, kind, field, name, code):
    answer = create(api, kind, **{field: name})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid")
    assert [(error["field"], error["code"]) for error in answer.json()["errors"]] == [(field, code)]
    assert not MODELS[kind].objects.exists()


def test_it_names_every_missing_field(api, kind):
    answer = api.post(f"/{kind}/create", {})
    assert answer.status_code == 400
    assert [(error["field"], error["code"]) for error in answer.json()["errors"]] == [
        ("first_name", "required"),
        ("last_name", "required"),
    ]
