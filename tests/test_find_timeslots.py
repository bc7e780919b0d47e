"""GET /client/findTimeslots."""

import re
from datetime import timedelta

import pytest
from django.db import connection

from scheduling.models import Timeslot

from .factories import QUARTER, confirm_all, make_crowd, make_hold, make_provider, make_timeslot
from .plans import plans, rows_read

DAY = timedelta(days=1)
TICK = timedelta(microseconds=1)
HALF_AN_HOUR = timedelta(minutes=30)


def find(api, **query):
    answer = api.get("/client/findTimeslots", query)
    assert answer.status_code == 200, answer.content
    return answer


def ids(answer):
    return [timeslot["timeslot_id"] for timeslot in answer.json()["available timeslots"]]


@pytest.fixture
def offers(clock, db):
    """Of three providers, a timeslot each hour of an afternoon, by turns."""
    providers = [make_provider(name) for name in ("Ada", "Grace", "Marie")]
    return [
        make_timeslot(
            providers[nth % 3],
            starts_in=2 * DAY + nth * timedelta(hours=1),
            length=QUARTER * (1 + nth % 2),
        )
        for nth in range(6)
    ]


def test_it_finds_the_earliest_over_all_providers(api, offers):
    answer = find(api)
    assert ids(answer) == [one.pk for one in offers]
    assert list(answer.json()["available timeslots"][1].items()) == [
        ("timeslot_id", offers[1].pk),
        ("provider_id", offers[1].provider_id),
        ("first_name", "Grace"),
        ("last_name", "Lovelace"),
        ("start_time", "2026-12-02T10:00:00Z"),
        ("end_time", "2026-12-02T10:30:00Z"),
        ("is_available", True),
    ]


@pytest.mark.parametrize(
    ("query", "which"),
    [
        ({"from": "2026-12-02T11:00:00Z"}, [2, 3, 4, 5]),
        ({"to": "2026-12-02T11:00:00Z"}, [0, 1]),
        ({"slot_minutes": "15"}, [0, 2, 4]),
        ({"slot_minutes": "30"}, [1, 3, 5]),
        ({"slot_minutes": "45"}, []),
        ({"slot_minutes": "30", "from": "2026-12-02T11:00:00Z", "limit": "1"}, [3]),
        ({"limit": "2"}, [0, 1]),
    ],
)
def test_it_can_be_asked_for_a_span_and_a_length(api, offers, query, which):
    assert ids(find(api, **query)) == [offers[nth].pk for nth in which]


def test_it_can_be_asked_for_some_providers(api, offers):
    one, other = offers[0].provider_id, offers[2].provider_id
    assert ids(find(api, provider_ids=one)) == [offers[0].pk, offers[3].pk]
    assert ids(find(api, provider_ids=f"{one},{other},{2**62}")) == [
        offers[nth].pk for nth in (0, 2, 3, 5)
    ]
    assert ids(find(api, provider_ids=2**62)) == []
    assert len(ids(find(api, provider_ids=",".join([str(one)] * 100)))) == 2
    pages = find(api, provider_ids=f"{one},{other}", limit=3)
    assert ids(pages) == [offers[nth].pk for nth in (0, 2, 3)]
    rest = api.get(pages["Link"].partition("<")[2].partition(">")[0])
    assert ids(rest) == [offers[5].pk]


@pytest.mark.parametrize(("short", "is_found"), [(timedelta(0), True), (TICK, False)])
def test_it_lists_what_starts_the_notice_period_ahead(api, clock, short, is_found):
    timeslot = make_timeslot(starts_in=DAY - short)
    assert ids(find(api)) == [timeslot.pk] * is_found
    assert ids(find(api, **{"from": "2026-01-01T00:00:00Z"})) == [timeslot.pk] * is_found


@pytest.mark.parametrize(
    ("status", "age", "is_free"),
    [
        ("held", timedelta(0), False),
        ("held", HALF_AN_HOUR, False),
        ("held", HALF_AN_HOUR + TICK, True),
        ("confirmed", DAY, False),
        ("cancelled", timedelta(0), True),
        ("expired", DAY, True),
    ],
)
def test_it_leaves_out_what_is_taken(api, offers, status, age, is_free):
    make_hold(offers[0], status=status, age=age)
    assert (offers[0].pk in ids(find(api))) is is_free
    assert len(ids(find(api))) == 5 + is_free


def test_its_pages_hold_each_once(api, offers):
    """Those that start at the same moment are told apart by their ids."""
    for _ in range(5):
        make_timeslot(starts_in=2 * DAY + timedelta(hours=1))
    whole, found, query = ids(find(api)), [], {"limit": 3}
    answer = find(api, **query)
    while "Link" in answer:
        found += ids(answer)
        answer = api.get(answer["Link"].partition("<")[2].partition(">")[0])
    assert found + ids(answer) == whole
    assert len(whole) == 11


@pytest.mark.parametrize(
    ("query", "field", "code"),
    [
        ({"slot_minutes": "4"}, "slot_minutes", "invalid"),
        ({"slot_minutes": "481"}, "slot_minutes", "invalid"),
        ({"slot_minutes": "15.0"}, "slot_minutes", "invalid"),
        ({"slot_minutes": "\u0661\u0665"}, "slot_minutes", "invalid"),
        ({"provider_ids": ""}, "provider_ids", "invalid"),
        ({"provider_ids": "1,,2"}, "provider_ids", "invalid"),
        ({"provider_ids": "1, x"}, "provider_ids", "invalid"),
        ({"provider_ids": ",".join(["1"] * 101)}, "provider_ids", "invalid"),
        ({"from": "now"}, "from", "invalid"),
        ({"from": "2026-12-02T10:00Z", "to": "2026-12-02T09:00Z"}, "to", "end_before_start"),
        ({"time_zone": "Mars"}, "time_zone", "unknown_time_zone"),
        ({"cursor": "MQ=="}, "cursor", "invalid"),
    ],
)
def test_it_refuses_what_it_cannot_understand(api, db, query, field, code):
    answer = api.get("/client/findTimeslots", query)
    assert answer.status_code == 400
    assert [(one["field"], one["code"]) for one in answer.json()["errors"]] == [(field, code)]


def test_it_costs_one_statement_whatever_is_asked(api, offers, django_assert_num_queries):
    for query in ({}, {"slot_minutes": 15}, {"provider_ids": "1,2,3"}, {"limit": 1}):
        with django_assert_num_queries(1):
            find(api, **query)


@pytest.fixture
def crowd(clock, db):
    """100 providers with 200 timeslots each: every other is taken, and all of the first two's."""
    starts = [clock.now + 2 * DAY + nth * QUARTER for nth in range(200)]
    providers, timeslots = make_crowd(100, starts)
    confirm_all((*timeslots[:400], *timeslots[400::2]), clock.now)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    return providers


def test_it_reads_no_more_of_the_tables_than_what_is_asked_for(crowd, clock, is_postgresql):
    """Among 20,000 timeslots, whatever others offer; as PostgreSQL counts, or SQLite plans."""
    by_start, by_length = "scheduling_timeslot_by_start", "scheduling_timeslot_by_length"
    of_one = "scheduling_timeslot_one_at_a_start" if is_postgresql else "sqlite_autoindex"
    half_an_hour = 2 * QUARTER
    make_timeslot(crowd[-1], starts_in=9 * DAY, length=half_an_hour)
    booked_out, one_is_not = crowd[:2], crowd[:3]
    for index, most, asked in [
        (by_start, 150, {}),
        (by_start, 150, {"limit": 5, "goes_on_at": (clock.now + 3 * DAY, 1)}),
        (by_length, 1, {"slot": half_an_hour}),
        (by_length, 1, {"slot": half_an_hour, "goes_on_at": (clock.now + 3 * DAY, 1)}),
        (of_one, 400, {"providers": booked_out}),
        (of_one, 400, {"providers": booked_out, "limit": 1}),
        (of_one, 400, {"providers": booked_out, "slot": QUARTER}),
        (of_one, 450, {"providers": one_is_not}),
        (of_one, 150, {"providers": one_is_not, "goes_on_at": (clock.now + 4 * DAY, 1)}),
    ]:
        plan = _plan(clock, is_postgresql, **asked)
        assert index in str(plan), plan
        if is_postgresql:
            assert rows_read(plan, "scheduling_timeslot") <= most, plan
            # At most the one that is on it.
            assert rows_read(plan, "scheduling_reservation") <= most, plan
        else:
            assert re.search(r"SEARCH reservation .*(start_time|timeslot_id)=\?", plan), plan
            others = {by_start, by_length, "SCAN timeslot", "SCAN reservation"} - {index}
            assert not [other for other in others if other in plan], plan


def _plan(clock, is_postgresql, *, providers=None, slot=None, goes_on_at=None, limit=20):
    with plans(is_postgresql) as found:
        Timeslot.objects.find(
            start_from=clock.now + DAY,
            start_before=clock.now + 900 * DAY,
            slot=slot,
            provider_ids=[provider.pk for provider in providers] if providers else None,
            goes_on_at=goes_on_at,
            limit=limit,
            now=clock.now,
        )
    return found[0]


def test_times_are_written_with_the_offset_of_a_zone(api, offers):
    [first, *_] = find(api, time_zone="Australia/Adelaide").json()["available timeslots"]
    assert first["start_time"] == "2026-12-02T19:30:00+10:30"
    assert find(api, time_zone="UTC").json() == find(api).json()
