"""GET /provider/list."""

import pytest
from django.db import connection

from scheduling.models import Provider

from .factories import make_provider

PEOPLE = [
    ("Ada", "Lovelace"),
    ("grace", "hopper"),
    ("Marie", "Curie"),
    ("Ada", "Curie"),
    ("Hopper", "Grace"),
    ("Emmy", "Noether"),
    ("100%", "sure_thing"),
]


def providers(api, **query):
    answer = api.get("/provider/list", query)
    assert answer.status_code == 200, answer.content
    return answer


def names(answer):
    return [f"{one['first_name']} {one['last_name']}" for one in answer.json()["providers"]]


@pytest.fixture
def people(db):
    return [make_provider(*names) for names in PEOPLE]


def test_it_lists_providers_in_the_order_of_their_names(api, people):
    answer = providers(api)
    assert names(answer) == [
        *("Ada Curie", "Marie Curie", "Hopper Grace", "grace hopper", "Ada Lovelace"),
        *("Emmy Noether", "100% sure_thing"),
    ]
    assert list(answer.json()["providers"][0].items()) == [
        ("provider_id", people[3].pk),
        ("first_name", "Ada"),
        ("last_name", "Curie"),
    ]


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("ada", ["Ada Curie", "Ada Lovelace"]),
        ("ADA C", ["Ada Curie"]),
        ("cur", ["Ada Curie", "Marie Curie"]),
        ("curie m", ["Marie Curie"]),
        ("hopper", ["Hopper Grace", "grace hopper"]),
        (" Grace ", ["grace hopper", "Hopper Grace"]),
        ("race", []),
        ("%", []),
        ("_", []),
        ("100%", ["100% sure_thing"]),
        ("sure_", ["100% sure_thing"]),
    ],
)
def test_a_name_is_found_by_how_it_begins(api, people, name, found):
    assert sorted(names(providers(api, name=name))) == sorted(found)


@pytest.mark.parametrize("name", ["", "ada", "hopper"])
def test_its_pages_hold_each_once(api, people, name):
    for _ in range(3):
        make_provider("Ada", "Hopper")
    query = {"name": name} if name else {}
    whole = [one["provider_id"] for one in providers(api, **query).json()["providers"]]
    assert len(whole) == len(set(whole)) == {"": 10, "ada": 5, "hopper": 5}[name]
    answer, found = providers(api, **query, limit=1), []
    while True:
        found += [one["provider_id"] for one in answer.json()["providers"]]
        if "Link" not in answer:
            break
        answer = api.get(answer["Link"].partition("<")[2].partition(">")[0])
    assert found == whole


def test_who_begins_so_both_ways_comes_once(api, db):
    twice = make_provider("Anna", "Andersson")
    answer = providers(api, name="an").json()["providers"]
    assert [one["provider_id"] for one in answer] == [twice.pk]


@pytest.mark.parametrize("name", ["Jos\u00e9", "\u738b", "\u0416\u0443\u043a\u043e\u0432"])
def test_a_name_of_any_script_is_found(api, db, name):
    make_provider(name, "Example")
    assert len(names(providers(api, name=name))) == 1


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "a\x00"}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"limit": "0"}, "limit"),
        ({"cursor": "WyJhXHUwMDAwIiwxXQ=="}, "cursor"),
        ({"cursor": "WzEsMV0="}, "cursor"),
    ],
)
def test_it_refuses_what_it_cannot_understand(api, people, query, field):
    answer = api.get("/provider/list", query)
    assert answer.status_code == 400
    assert [one["field"] for one in answer.json()["errors"]] == [field]


def test_it_costs_one_statement(api, people, django_assert_num_queries):
    for query in ({}, {"name": "ada"}, {"limit": 1}):
        with django_assert_num_queries(1):
            providers(api, **query)


@pytest.mark.parametrize("name", ["", "ma"])
def test_it_reads_its_indexes_and_not_the_table(db, is_postgresql, name):
    Provider.objects.bulk_create(
        Provider(first_name=f"Ada{nth}", last_name=f"Lovelace{nth}") for nth in range(2000)
    )
    plans = []

    def explained(execute, sql, params, many, context):
        with connection.cursor() as cursor:
            explain = "EXPLAIN" if is_postgresql else "EXPLAIN QUERY PLAN"
            cursor.cursor.execute(f"{explain} {sql}", params)
            plans.append("\n".join(str(row) for row in cursor.fetchall()))
        return execute(sql, params, many, context)

    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    with connection.execute_wrapper(explained):
        Provider.objects.by_name(begins=name, goes_on_at=("", 0), limit=20)
    [plan] = plans
    assert "scheduling_provider_last_first" in plan, plan
    assert ("scheduling_provider_first_last" in plan) is (bool(name) or not is_postgresql), plan
    assert "Seq Scan" not in plan
    assert "SCAN scheduling_provider\n" not in plan
