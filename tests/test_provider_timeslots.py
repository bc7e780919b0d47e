"""GET /provider/availability."""

from datetime import timedelta

import pytest
import requests.utils
from django.core.management import call_command
from django.db import connection

from scheduling.models import StoredAnswer, Timeslot

from . import callers
from .factories import (
    QUARTER,
    confirm_all,
    make_client,
    make_crowd,
    make_hold,
    make_provider,
    make_timeslot,
)
from .plans import plans, rows_read

DAY = timedelta(days=1)
HOLD = timedelta(minutes=30)
TICK = timedelta(microseconds=1)
ADDRESS = "/provider/availability"


def ask(api, provider, **query):
    query = {name.rstrip("_"): value for name, value in query.items()}
    answer = api.get(ADDRESS, {"provider_id": provider.pk, **query})
    assert answer.status_code == 200, answer.content
    return answer


def timeslots(answer):
    assert list(answer.json()) == ["timeslots"]
    return answer.json()["timeslots"]


def ids(answer):
    return [one["timeslot_id"] for one in timeslots(answer)]


def next_page(api, answer):
    [link] = requests.utils.parse_header_links(answer["Link"])
    assert link["rel"] == "next"
    return api.get(link["url"])


def walk(api, provider, **query):
    """The ids on each page."""
    answer = ask(api, provider, **query)
    pages = [ids(answer)]
    while "Link" in answer:
        answer = next_page(api, answer)
        pages.append(ids(answer))
    return pages


def test_it_lists_all_timeslots_of_the_provider(api, clock):
    """Those of the past and those within the notice period too, oldest first."""
    provider = make_provider("Grace", "Hopper")
    days = [2, -400, 0, 400, -1]
    by_day = {day: make_timeslot(provider, starts_in=day * DAY).pk for day in days}
    make_timeslot()  # another provider's
    make_hold(Timeslot.objects.get(pk=by_day[2]))
    answer = ask(api, provider)
    assert ids(answer) == [by_day[day] for day in sorted(days)]
    assert [one["is_available"] for one in timeslots(answer)] == [True, True, True, False, True]
    assert list(timeslots(answer)[3].items()) == [
        ("timeslot_id", by_day[2]),
        ("provider_id", provider.pk),
        ("first_name", "Grace"),
        ("last_name", "Hopper"),
        ("start_time", "2026-12-02T09:00:00Z"),
        ("end_time", "2026-12-02T09:15:00Z"),
        ("is_available", False),
    ]


@pytest.mark.parametrize("starts_in", [2 * DAY, timedelta(0), -2 * DAY])
@pytest.mark.parametrize(
    ("status", "age", "is_free"),
    [
        ("held", timedelta(0), False),
        ("held", HOLD - TICK, False),
        ("held", HOLD, False),
        ("held", HOLD + TICK, True),
        ("confirmed", 300 * DAY, False),
        ("cancelled", timedelta(0), True),
        ("expired", DAY, True),
    ],
)
def test_a_live_reservation_alone_takes_it(api, clock, starts_in, status, age, is_free):
    hold = make_hold(make_timeslot(starts_in=starts_in), age=age, status=status)
    neighbour = make_timeslot(hold.provider, starts_in=starts_in + QUARTER)
    expected = [(hold.timeslot_id, is_free), (neighbour.pk, True)]

    def shown():
        listed = timeslots(ask(api, hold.provider))
        return [(one["timeslot_id"], one["is_available"]) for one in listed]

    assert shown() == expected
    hold.refresh_from_db()
    assert (hold.status, hold.version) == (status, 1)  # looking at it wrote nothing
    call_command("expire_reservations")
    assert shown() == expected


def test_one_with_a_history_is_listed_once(api, clock):
    timeslot = make_timeslot()
    for status in ("expired", "cancelled", "expired", "confirmed"):
        make_hold(timeslot, make_client(), status=status)
    [shown] = timeslots(ask(api, timeslot.provider))
    assert (shown["timeslot_id"], shown["is_available"]) == (timeslot.pk, False)


def test_what_was_withdrawn_is_not_listed(api, clock):
    timeslot = make_timeslot()
    make_hold(timeslot, status="cancelled")
    body = {"provider_id": timeslot.provider_id, "timeslot_ids": [timeslot.pk]}
    assert api.delete(ADDRESS, body).status_code == 200
    assert timeslots(ask(api, timeslot.provider)) == []


@pytest.mark.parametrize(
    ("query", "kept"),
    [
        ({}, [-1, 1, 2, 3]),
        ({"from_": "2026-12-01T09:00:00Z"}, [1, 2, 3]),
        ({"from_": "2026-12-01T10:00:00+01:00"}, [1, 2, 3]),
        ({"from_": "2026-12-01T08:59:59.999999Z"}, [1, 2, 3]),
        # Of one that lasts until 09:15 a part is left.
        ({"from_": "2026-12-01T09:00:00.000001Z"}, [2, 3]),
        ({"to": "2026-12-02T09:00:00Z"}, [-1, 1]),
        ({"to": "2026-12-02T09:00:00.000001Z"}, [-1, 1, 2]),
        ({"from_": "2026-12-01T09:00:00Z", "to": "2026-12-02T09:00:00Z"}, [1]),
        ({"from_": "2099-01-01T00:00:00Z"}, []),
        ({"from_": "0001-01-01T00:00:00Z", "to": "9999-12-31T23:59:59.999999Z"}, [-1, 1, 2, 3]),
        ({"from_": "2026-12-01T09:00:00Z", "limit": 1}, [1]),
    ],
)
def test_from_counts_and_to_does_not(api, clock, query, kept):
    """By the start, as in every list: each is in one of two spans that meet."""
    provider = make_provider()
    by_day = {day: make_timeslot(provider, starts_in=day * DAY).pk for day in (-1, 1, 2, 3)}
    assert ids(ask(api, provider, **query)) == [by_day[day] for day in kept]


@pytest.mark.parametrize("limit", [1, 2, 5, 6, 5000])
def test_its_pages_hold_each_once(api, clock, limit):
    provider = make_provider()
    pks = [make_timeslot(provider, starts_in=nth * QUARTER).pk for nth in range(-3, 3)]
    make_hold(Timeslot.objects.get(pk=pks[3]))
    pages = walk(api, provider, limit=limit)
    assert [pk for page in pages for pk in page] == pks
    assert all(len(page) == limit for page in pages[:-1])
    assert 1 <= len(pages[-1]) <= limit


def test_its_pages_keep_what_was_asked_for(api, clock):
    provider = make_provider()
    pks = [make_timeslot(provider, starts_in=nth * QUARTER).pk for nth in range(6)]
    span = {"from_": "2026-11-30T10:15:00+01:00", "to": "2026-11-30T10:15:00Z"}
    assert walk(api, provider, limit=2, **span) == [pks[1:3], pks[3:5]]
    second = next_page(api, ask(api, provider, limit=2, time_zone="Asia/Tokyo"))
    assert timeslots(second)[0]["start_time"] == "2026-11-30T18:30:00+09:00"


def test_a_page_goes_on_although_it_began_with_one_that_is_gone(api, clock):
    provider = make_provider()
    pks = [make_timeslot(provider, starts_in=nth * QUARTER).pk for nth in range(4)]
    first = ask(api, provider, limit=2)
    body = {"provider_id": provider.pk, "timeslot_ids": [pks[2]]}
    assert api.delete(ADDRESS, body).status_code == 200
    assert ids(next_page(api, first)) == [pks[3]]


def test_times_are_written_with_the_offset_of_a_zone(api, clock):
    timeslot = make_timeslot()
    [shown] = timeslots(ask(api, timeslot.provider, time_zone="Asia/Kolkata"))
    assert shown["start_time"] == "2026-12-02T14:30:00+05:30"
    assert shown["end_time"] == "2026-12-02T14:45:00+05:30"


@pytest.mark.parametrize(
    ("zone", "start_time"),
    [
        ("UTC", "0001-01-01T00:00:00Z"),
        ("America/New_York", "0001-01-01T00:00:00Z"),  # to its clock it is another year
        ("Asia/Tokyo", "0001-01-01T09:18:00+09:18"),
    ],
)
def test_the_first_timeslot_of_all_has_its_time(api, clock, zone, start_time):
    provider = make_provider()
    window = {"start_time": "0001-01-01T00:00Z", "end_time": "0001-01-01T00:15Z"}
    published = api.post(ADDRESS, {"provider_id": provider.pk, **window})
    assert published.status_code == 201
    [shown] = timeslots(ask(api, provider, time_zone=zone))
    assert shown["start_time"] == start_time


def test_nobody_there_is_told_from_nothing_there(api, clock):
    provider = make_provider()
    assert ask(api, provider).json() == {"timeslots": []}
    for pk in (provider.pk + 1, 2**63 - 1):
        answer = api.get(ADDRESS, {"provider_id": pk})
        assert (answer.status_code, answer.json()["code"]) == (404, "provider_not_found")


def test_a_head_is_a_get_without_a_body(api, clock):
    provider = make_provider()
    for nth in range(2):
        make_timeslot(provider, starts_in=nth * DAY)
    query = {"provider_id": provider.pk, "limit": 1}
    got, headed = api.get(ADDRESS, query), api.head(ADDRESS, query)
    assert (headed.status_code, headed.content) == (200, b"")
    assert headed["Link"] == got["Link"]
    assert api.head(ADDRESS, {"provider_id": provider.pk + 1}).status_code == 404
    assert api.head(ADDRESS).status_code == 400


def test_it_allows_what_else_the_address_takes(api, db):
    answer = api.put(ADDRESS, {"provider_id": 1})
    assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")
    assert answer["Allow"] == "GET, HEAD, POST, DELETE, OPTIONS"


@pytest.mark.parametrize("key", ["one", "no key, but that matters not"])
def test_reading_has_no_keys(api, clock, key):
    timeslot = make_timeslot()
    query = {"provider_id": timeslot.provider_id}
    answer = api.get(ADDRESS, query, headers={"Idempotency-Key": key})
    assert ids(answer) == [timeslot.pk]
    assert not StoredAnswer.objects.exists()


def test_a_provider_sees_its_own_only(api, clock, settings):
    """Staff see everybody's; the table of permissions has the rest (test_permissions.py)."""
    settings.AUTHENTICATION = "required"
    own, other = make_timeslot(), make_timeslot()
    callers.signed_in(api, provider=own.provider)
    assert ids(ask(api, own.provider)) == [own.pk]
    answer = api.get(ADDRESS, {"provider_id": other.provider_id})
    assert (answer.status_code, answer.json()["code"]) == (403, "not_permitted")
    callers.staff(api)
    assert ids(ask(api, other.provider)) == [other.pk]


@pytest.mark.parametrize(
    ("query", "field", "code"),
    [
        ({"provider_id": None}, "provider_id", "required"),
        *(
            ({"provider_id": value}, "provider_id", "invalid")
            for value in ("", "0", "-1", "1.5", "x", "1\x00", "\u0661", str(2**63), "9" * 5000)
        ),
        *(({"from": value}, "from", "invalid") for value in ("", "soon", "2026-12-03", "\x00")),
        *(({"to": value}, "to", "invalid") for value in ("", "2026-12-03", "10000-01-01T00:00Z")),
        ({"from": "0001-01-01T00:00+14:00"}, "from", "invalid"),
        ({"from": "2026-12-03T09:00Z", "to": "2026-12-03T09:00Z"}, "to", "end_before_start"),
        *(({"limit": value}, "limit", "invalid") for value in ("", "0", "5001", "1.5", "\x00")),
        *(({"cursor": value}, "cursor", "invalid") for value in ("", "x", "MQ==", "\x00", "W10=")),
        *(({"time_zone": value}, "time_zone", "unknown_time_zone") for value in ("Mars", "\x00")),
    ],
)
def test_it_refuses_a_query_that_cannot_be_read(api, db, query, field, code):
    query = {"provider_id": 1} | query
    query = {name: value for name, value in query.items() if value is not None}
    answer = api.get(ADDRESS, query)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid")
    assert [(one["field"], one["code"]) for one in answer.json()["errors"]] == [(field, code)]


@pytest.mark.parametrize("count", [0, 1, 60])
def test_it_costs_one_statement(api, clock, django_assert_num_queries, count):
    provider = make_provider()
    for nth in range(count):
        timeslot = make_timeslot(provider, starts_in=nth * QUARTER)
        if nth % 2:
            make_hold(timeslot)
    for query in ({}, {"limit": 7}, {"from_": "2026-12-01T09:00:00Z", "time_zone": "Asia/Tokyo"}):
        with django_assert_num_queries(1):
            ask(api, provider, **query)
    with django_assert_num_queries(1):
        api.get(ADDRESS, {"provider_id": provider.pk + 1})


@pytest.fixture
def crowd(clock, db):
    """100 providers with 200 timeslots each, every other of which is taken."""
    starts = [clock.now + nth * QUARTER for nth in range(-100, 100)]
    providers, made = make_crowd(100, starts)
    confirm_all(made[::2], clock.now)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    return providers


def test_it_reads_no_more_than_the_page(api, crowd, is_postgresql):
    """Of 20,000 timeslots and half as many reservations; as PostgreSQL counts, or SQLite plans."""
    for read, query in [
        (21, {"limit": 20}),
        (21, {"limit": 20, "from_": "2026-11-30T09:00:00Z"}),
        (200, {"limit": 5000}),
    ]:
        plan = planned(api, is_postgresql, crowd[50], **query)
        if is_postgresql:
            assert "scheduling_timeslot_one_at_a_start" in str(plan), plan
            assert rows_read(plan, "scheduling_timeslot") == read, plan
            assert rows_read(plan, "scheduling_reservation") <= read, plan
        else:
            searched = "SEARCH scheduling_timeslot USING INDEX sqlite_autoindex"
            assert searched in plan, plan
            assert "SCAN scheduling_" not in plan, plan


@pytest.mark.django_db(transaction=True)
def test_a_provider_with_many_more_reservations_than_others_is_listed_as_fast(
    api, clock, is_postgresql
):
    """PostgreSQL plans by the average: a path that reads all of a provider's looks short to it."""
    starts = [clock.now + nth * QUARTER for nth in range(-3000, 0)]
    [busy], their_own = make_crowd(1, starts)
    _, of_others = make_crowd(1999, starts[-3:])
    confirm_all(their_own + of_others, clock.now)
    with connection.cursor() as cursor:
        # Vacuumed, so that an index alone seems to be enough.
        cursor.execute("VACUUM ANALYZE" if is_postgresql else "ANALYZE")
    plan = planned(api, is_postgresql, busy, limit=200)
    if is_postgresql:
        assert rows_read(plan, "scheduling_reservation") <= 201, plan
    else:
        # Not by the provider alone, or by their timeslots' ids.
        assert "start_time=?" in plan or "timeslot_id=?" in plan, plan


def planned(api, is_postgresql, provider, **query):
    with plans(is_postgresql) as found:
        ask(api, provider, **query)
    [plan] = found
    return plan
