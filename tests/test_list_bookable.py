"""GET /client/getProviderAvailability."""

from datetime import timedelta

import pytest
import requests.utils

from scheduling.models import Reservation, Timeslot

from .factories import QUARTER, make_hold, make_provider, make_timeslot

DAY = timedelta(hours=24)
HOLD = timedelta(minutes=30)
MOMENT = timedelta(microseconds=1)


def ask(api, provider, **query):
    query = {name.rstrip("_"): value for name, value in query.items()}
    return api.get("/client/getProviderAvailability", {"provider_id": provider.pk, **query})


def listed(api, provider, **query):
    answer = ask(api, provider, **query)
    assert answer.status_code == 200, answer.content
    return [timeslot["timeslot_id"] for timeslot in answer.json()["available timeslots"]]


def walk(api, provider, **query):
    """The ids on each page, following the Link headers as any HTTP client would."""
    answer = ask(api, provider, **query)
    pages = []
    while True:
        assert answer.status_code == 200, answer.content
        assert list(answer.json()) == ["available timeslots"]
        pages.append([row["timeslot_id"] for row in answer.json()["available timeslots"]])
        if "Link" not in answer:
            return pages
        [link] = requests.utils.parse_header_links(answer["Link"])
        assert link["rel"] == "next"
        answer = api.get(link["url"])


def test_it_lists_bookable_timeslots(api, clock):
    provider = make_provider()
    timeslot = make_timeslot(provider)
    make_timeslot()  # another provider's
    answer = ask(api, provider)
    assert (answer.status_code, list(answer.json())) == (200, ["available timeslots"])
    assert [list(row.items()) for row in answer.json()["available timeslots"]] == [
        [
            ("timeslot_id", timeslot.pk),
            ("provider_id", provider.pk),
            ("first_name", "Ada"),
            ("last_name", "Lovelace"),
            ("start_time", "2026-12-02T09:00:00Z"),
            ("end_time", "2026-12-02T09:15:00Z"),
            ("is_available", True),
        ]
    ]


def test_it_lists_the_oldest_first(api, clock):
    provider = make_provider()
    days = [4, 2, 400, 3]
    by_day = {day: make_timeslot(provider, starts_in=day * DAY).pk for day in days}
    assert listed(api, provider) == [by_day[day] for day in sorted(days)]


@pytest.mark.parametrize(
    ("starts_in", "is_listed"),
    [(DAY + MOMENT, True), (DAY, True), (DAY - MOMENT, False), (DAY * 0, False), (-DAY, False)],
)
def test_it_begins_at_exactly_24_hours(api, clock, starts_in, is_listed):
    timeslot = make_timeslot(starts_in=starts_in)
    assert listed(api, timeslot.provider) == ([timeslot.pk] if is_listed else [])


def test_the_grace_does_not_lengthen_the_list(api, clock, settings):
    settings.NOTICE_GRACE = timedelta(minutes=5)
    timeslot = make_timeslot(starts_in=DAY - MOMENT)
    assert listed(api, timeslot.provider) == []


@pytest.mark.parametrize(
    ("status", "is_listed"),
    [("held", False), ("confirmed", False), ("expired", True), ("cancelled", True)],
)
def test_it_leaves_out_what_is_taken(api, clock, status, is_listed):
    reservation = make_hold(status=status)
    neighbour = make_timeslot(reservation.provider, starts_in=timedelta(days=3))
    assert listed(api, reservation.provider) == (
        [reservation.timeslot_id, neighbour.pk] if is_listed else [neighbour.pk]
    )


@pytest.mark.parametrize(
    ("age", "is_listed"), [(HOLD - MOMENT, False), (HOLD, False), (HOLD + MOMENT, True)]
)
def test_a_lapsed_hold_is_listed_although_nothing_swept(api, clock, age, is_listed):
    hold = make_hold(age=age)
    assert listed(api, hold.provider) == ([hold.timeslot_id] if is_listed else [])
    hold.refresh_from_db()
    assert hold.status == "held"


def test_a_confirmed_reservation_stays_taken_for_ever(api, clock):
    confirmed = make_hold(status="confirmed", age=300 * DAY)
    assert listed(api, confirmed.provider) == []


def test_a_timeslot_with_a_history_is_listed_once(api, clock):
    timeslot = make_timeslot()
    for _ in range(3):
        make_hold(timeslot, status=Reservation.Status.EXPIRED)
    assert listed(api, timeslot.provider) == [timeslot.pk]


def test_a_provider_without_timeslots_has_an_empty_list(api, clock):
    assert ask(api, make_provider()).json() == {"available timeslots": []}


def test_it_refuses_an_unknown_provider(api, clock):
    answer = api.get("/client/getProviderAvailability", {"provider_id": 2**63 - 1})
    assert (answer.status_code, answer.json()["code"]) == (404, "provider_not_found")


@pytest.mark.parametrize("count", [0, 1, 60])
def test_it_costs_one_statement(api, clock, django_assert_num_queries, count):
    provider = make_provider()
    for nth in range(count):
        timeslot = make_timeslot(provider, starts_in=2 * DAY + nth * QUARTER)
        if nth % 2:
            make_hold(timeslot)
    with django_assert_num_queries(1):
        assert len(listed(api, provider)) == (count + 1) // 2


@pytest.mark.parametrize(
    ("query", "kept"),
    [
        ({}, [2, 3, 4]),
        ({"from_": "2026-12-03T09:00:00Z"}, [3, 4]),
        ({"from_": "2026-12-03T10:00:00+01:00"}, [3, 4]),
        ({"from_": "2026-12-03T09:00:00"}, [3, 4]),
        ({"from_": "2026-12-03T09:00:00.000001Z"}, [4]),
        ({"from_": "2026-12-03T08:59:59.999999Z"}, [3, 4]),
        ({"to": "2026-12-03T09:00:00Z"}, [2]),
        ({"to": "2026-12-03T09:00:00.000001Z"}, [2, 3]),
        ({"from_": "2026-12-03T09:00:00Z", "to": "2026-12-04T09:00:00Z"}, [3]),
        ({"from_": "2020-01-01T00:00:00Z", "to": "2026-12-01T08:00:00Z"}, []),
        ({"from_": "2020-01-01T00:00:00Z"}, [2, 3, 4]),
        ({"from_": "2099-01-01T00:00:00Z"}, []),
        ({"limit": "2"}, [2, 3]),
        ({"limit": "1", "from_": "2026-12-03T09:00:00Z"}, [3]),
    ],
)
def test_from_counts_and_to_does_not(api, clock, query, kept):
    provider = make_provider()
    by_day = {day: make_timeslot(provider, starts_in=day * DAY).pk for day in (0, 2, 3, 4)}
    assert listed(api, provider, **query) == [by_day[day] for day in kept]


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 5, 6, 5000])
def test_the_links_walk_the_whole_list_exactly_once(api, clock, limit):
    provider = make_provider()
    pks = [make_timeslot(provider, starts_in=2 * DAY + nth * QUARTER).pk for nth in range(6)]
    make_hold(Timeslot.objects.get(pk=pks.pop(3)))
    pages = walk(api, provider, limit=limit)
    assert [pk for page in pages for pk in page] == pks
    assert all(len(page) == limit for page in pages[:-1])
    assert 1 <= len(pages[-1]) <= limit


def test_the_links_keep_what_was_asked_for(api, clock):
    provider = make_provider()
    pks = [make_timeslot(provider, starts_in=2 * DAY + nth * QUARTER).pk for nth in range(6)]
    pages = walk(
        api, provider, limit=2, from_="2026-12-02T10:15:00+01:00", to="2026-12-02T10:15:00Z"
    )
    assert pages == [pks[1:3], pks[3:5]]


def test_a_page_goes_on_although_timeslots_were_taken_meanwhile(api, clock):
    provider = make_provider()
    timeslots = [make_timeslot(provider, starts_in=2 * DAY + nth * QUARTER) for nth in range(4)]
    answer = ask(api, provider, limit=2)
    [link] = requests.utils.parse_header_links(answer["Link"])
    make_hold(timeslots[2])
    rows = api.get(link["url"]).json()["available timeslots"]
    assert [row["timeslot_id"] for row in rows] == [timeslots[3].pk]


def test_it_gives_1000_unless_told_and_at_most_5000(api, clock):
    provider = make_provider()
    window = {"start_time": "2026-12-02T00:00:00Z", "end_time": "2026-12-12T10:15:00Z"}
    made = api.post("/provider/availability", {"provider_id": provider.pk, **window}).json()
    pks = [row["timeslot_id"] for row in made["available timeslots"]]
    assert len(pks) == 1001
    assert walk(api, provider) == [pks[:1000], pks[1000:]]
    assert walk(api, provider, limit=1001) == [pks]


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        *(("limit", value, "invalid") for value in ("0", "5001", "-1", "1.5", "many", "", "1e3")),
        *(("limit", value, "invalid") for value in ("9" * 40, "\u0663", " 5")),
        *(("cursor", value, "invalid") for value in ("x", "", "MjAyNg==", "\x00", "\u00e9", "===")),
        ("cursor", "MDAwMS0wMS0wMVQwMDowMDowMCsxNDowMA==", "invalid"),  # 0001-01-01 at +14:00
        *(
            ("from", value, "invalid")
            for value in ("2026-12-03", "soon", "", "2026-12-03T09:00:00 01:00")
        ),
        *(("to", value, "invalid") for value in ("2026-12-03", "soon", "", "\x00")),
        ("to", "2026-12-03T09:00:00Z", "end_before_start"),
        ("to", "2026-12-03T08:00:00Z", "end_before_start"),
    ],
)
def test_it_refuses_a_query_that_cannot_be_read(api, clock, name, value, code):
    query = {"from": "2026-12-03T09:00:00Z"} if code == "end_before_start" else {}
    query |= {"provider_id": make_provider().pk, name: value}
    answer = api.get("/client/getProviderAvailability", query)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid")
    assert [(error["field"], error["code"]) for error in answer.json()["errors"]] == [(name, code)]
