"""The lists of reservations, of a client and of a provider, and one reservation alone."""

from datetime import timedelta

import pytest
from django.core.management import call_command
from django.db import connection

from scheduling.models import Client, Reservation

from .factories import make_client, make_hold, make_provider, make_timeslot

DAY = timedelta(days=1)
TICK = timedelta(microseconds=1)
HALF_AN_HOUR = timedelta(minutes=30)
MAKERS = {"client": make_client, "provider": make_provider}

of_each_party = pytest.mark.parametrize("party", MAKERS)


def reservations(api, party, pk, **query):
    answer = api.get(f"/{party}/reservations", {f"{party}_id": pk, **query})
    assert answer.status_code == 200, answer.content
    return answer


def ids(answer):
    return [one["reservation_id"] for one in answer.json()["reservations"]]


@pytest.fixture
def several(clock, db):
    """One client's reservations at one provider, an hour apart, and somebody else's."""
    provider, client = make_provider("Grace", "Hopper"), make_client("Alan", "Turing")
    make_hold()
    ways = [
        ("held", timedelta(0)),
        ("confirmed", DAY),
        ("expired", DAY),
        ("cancelled", DAY),
        ("held", HALF_AN_HOUR),
        ("held", HALF_AN_HOUR + TICK),
    ]
    return [
        make_hold(
            make_timeslot(provider, starts_in=2 * DAY + nth * timedelta(hours=1)),
            client,
            age=age,
            status=status,
        )
        for nth, (status, age) in enumerate(ways)
    ]


@of_each_party
def test_it_shows_what_became_of_each(api, several, clock, party):
    pk = getattr(several[0], f"{party}_id")
    shown = reservations(api, party, pk).json()["reservations"]
    assert [one["reservation_id"] for one in shown] == [one.pk for one in several]
    assert [one["status"] for one in shown] == [
        *("held", "confirmed", "expired", "cancelled", "held", "expired"),
    ]
    assert [one["is_confirmed"] for one in shown] == [False, True] + [False] * 4
    first, cancelled = shown[0], shown[3]
    assert list(first.items()) == [
        ("reservation_id", several[0].pk),
        ("timeslot_id", several[0].timeslot_id),
        ("provider_id", several[0].provider_id),
        ("client_id", several[0].client_id),
        ("start_time", "2026-12-02T09:00:00Z"),
        ("end_time", "2026-12-02T09:15:00Z"),
        ("created_at", "2026-11-30T09:00:00Z"),
        ("is_confirmed", False),
        ("status", "held"),
        ("expires_at", "2026-11-30T09:30:00Z"),
        ("cancelled_at", None),
        ("cancelled_by", None),
        ("reason", None),
        ("provider", {"first_name": "Grace", "last_name": "Hopper"}),
        ("client", {"first_name": "Alan", "last_name": "Turing"}),
    ]
    assert cancelled["cancelled_at"] == cancelled["created_at"]
    assert cancelled["cancelled_by"] == "client"


@of_each_party
@pytest.mark.parametrize(
    ("status", "which"),
    [("held", [0, 4]), ("confirmed", [1]), ("expired", [2, 5]), ("cancelled", [3])],
)
def test_it_can_be_asked_for_one_status(api, several, party, status, which):
    """A lapsed hold is expired, whether or not a sweep has written it down."""
    pk = getattr(several[0], f"{party}_id")
    expected = [several[nth].pk for nth in which]
    assert ids(reservations(api, party, pk, status=status)) == expected
    call_command("expire_reservations")
    assert ids(reservations(api, party, pk, status=status)) == expected


@of_each_party
def test_it_can_be_asked_for_a_span_of_starts(api, several, party):
    pk = getattr(several[0], f"{party}_id")
    span = {"from": "2026-12-02T10:00:00Z", "to": "2026-12-02T12:00:00Z"}
    assert ids(reservations(api, party, pk, **span)) == [several[1].pk, several[2].pk]
    assert ids(reservations(api, party, pk, **span, status="expired")) == [several[2].pk]


@of_each_party
def test_its_pages_hold_each_once(api, several, party):
    """Two that start at the same moment are told apart by their ids."""
    client, provider = several[0].client, several[0].provider
    if party == "client":
        for _ in range(5):
            make_hold(make_timeslot(starts_in=2 * DAY), client, status="confirmed")
    else:
        for _ in range(5):
            make_hold(several[0].timeslot, make_client(), status="expired")
    pk = client.pk if party == "client" else provider.pk
    answer, found = reservations(api, party, pk, limit=2), []
    while True:
        assert len(ids(answer)) <= 2
        found += ids(answer)
        if "Link" not in answer:
            break
        link = answer["Link"].partition("<")[2].partition(">")[0]
        answer = api.get(link)
    assert len(found) == len(set(found)) == 11
    assert found == ids(reservations(api, party, pk))


@of_each_party
@pytest.mark.parametrize(
    ("query", "field", "code"),
    [
        ({"status": "lapsed"}, "status", "invalid"),
        ({"status": ""}, "status", "invalid"),
        ({"from": "soon"}, "from", "invalid"),
        ({"from": "2026-12-02T10:00Z", "to": "2026-12-02T10:00Z"}, "to", "end_before_start"),
        ({"limit": "5001"}, "limit", "invalid"),
        ({"time_zone": "Mars"}, "time_zone", "unknown_time_zone"),
        ({"cursor": "x"}, "cursor", "invalid"),
        ({"cursor": "W10="}, "cursor", "invalid"),
        ({"cursor": "WyIyMDI2LTEyLTAyVDEwOjAwWiIsMF0="}, "cursor", "invalid"),
        ({"cursor": "eyIyMDI2IjoxfQ=="}, "cursor", "invalid"),
        ({"cursor": "MQ=="}, "cursor", "invalid"),
    ],
)
def test_it_refuses_what_it_cannot_understand(api, db, party, query, field, code):
    answer = api.get(f"/{party}/reservations", {f"{party}_id": 1, **query})
    assert answer.status_code == 400
    assert [(one["field"], one["code"]) for one in answer.json()["errors"]] == [(field, code)]


@of_each_party
def test_nobody_there_is_told_from_nothing_there(api, db, party):
    person = MAKERS[party]()
    assert ids(reservations(api, party, person.pk)) == []
    answer = api.get(f"/{party}/reservations", {f"{party}_id": person.pk + 1})
    assert (answer.status_code, answer.json()["code"]) == (404, f"{party}_not_found")


@of_each_party
def test_it_costs_one_statement_however_many_there_are(
    api, several, party, django_assert_num_queries
):
    pk = getattr(several[0], f"{party}_id")
    for query in ({}, {"limit": 1}, {"status": "expired"}, {"from": "2026-12-02T10:00:00Z"}):
        with django_assert_num_queries(1):
            reservations(api, party, pk, **query)


@of_each_party
def test_it_is_found_by_its_index(party, clock, db, is_postgresql):
    """Whatever others have: of a thousand people's reservations one person's are read."""
    hold = make_hold(status="expired")
    row = {field.attname: getattr(hold, field.attname) for field in Reservation._meta.fields}
    clients = Client.objects.bulk_create(Client(first_name="A", last_name="B") for _ in range(99))
    Reservation.objects.bulk_create(
        Reservation(**row | {"id": None, "client_id": client.pk})
        for client in clients
        for _ in range(20)
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    asked = Reservation.objects.of(Reservation.Party(party), 2**40)
    plan = asked.from_key((clock.now, 5))[:20].explain()
    assert f"scheduling_of_{party}" in plan, plan


@of_each_party
def test_one_reservation_as_it_stands(api, several, party):
    for which, status in ((0, "held"), (3, "cancelled"), (5, "expired")):
        answer = api.get(f"/{party}/reservation", {"reservation_id": several[which].pk})
        assert answer.status_code == 200
        shown = answer.json()["reservation"]
        listed = reservations(api, party, getattr(several[0], f"{party}_id")).json()
        [same] = [
            one for one in listed["reservations"] if one["reservation_id"] == several[which].pk
        ]
        assert list(shown.items()) == list(same.items())[:-2]
        assert shown["status"] == status


@of_each_party
def test_one_reservation_of_somebody_else(api, several, party, django_assert_num_queries):
    other = MAKERS[party]()
    query = {"reservation_id": several[0].pk, f"{party}_id": other.pk}
    with django_assert_num_queries(1):
        answer = api.get(f"/{party}/reservation", query)
    assert (answer.status_code, answer.json()["code"]) == (404, "reservation_not_found")
    assert api.get(f"/{party}/reservation", {"reservation_id": 2**62}).content == answer.content
    query[f"{party}_id"] = getattr(several[0], f"{party}_id")
    assert api.get(f"/{party}/reservation", query).status_code == 200


@of_each_party
@pytest.mark.parametrize(
    ("zone", "start_time"),
    [
        ("America/New_York", "2026-12-02T04:00:00-05:00"),
        ("Asia/Kolkata", "2026-12-02T14:30:00+05:30"),
        ("UTC", "2026-12-02T09:00:00Z"),
    ],
)
def test_times_are_written_with_the_offset_of_a_zone(api, several, party, zone, start_time):
    pk = getattr(several[0], f"{party}_id")
    plain = reservations(api, party, pk).json()["reservations"][0]
    shown = reservations(api, party, pk, time_zone=zone).json()["reservations"][0]
    assert list(shown) == list(plain)
    assert shown["start_time"] == start_time
    assert all(
        (shown[name], plain[name]) == (None, None) or shown[name][-6:] == start_time[-6:]
        for name in ("end_time", "created_at", "expires_at", "cancelled_at")
        if zone != "UTC"
    )
    assert shown["status"] == plain["status"]
