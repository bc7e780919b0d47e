"""ETag and 304 of GET /client/getProviderAvailability: the same list costs one cheap statement."""

import sqlite3
from contextlib import closing
from datetime import timedelta

import psycopg
import pytest

from scheduling import booking
from scheduling.models import Provider, Reservation

from .factories import make_client, make_hold, make_provider, make_timeslot

DAY = timedelta(hours=24)


def ask(api, provider, tag=None, **query):
    headers = {"HTTP_IF_NONE_MATCH": tag} if tag else {}
    query = {"provider_id": provider.pk, **query}
    return api.get("/client/getProviderAvailability", query, **headers)


@pytest.fixture
def timeslot(clock):
    return make_timeslot(starts_in=3 * DAY)


@pytest.fixture
def provider(timeslot):
    return timeslot.provider


def test_what_has_not_changed_is_a_304(api, provider, django_assert_num_queries):
    listed = ask(api, provider)
    assert listed["Cache-Control"] == "no-cache"
    with django_assert_num_queries(1):
        answer = ask(api, provider, listed["ETag"])
    assert (answer.status_code, answer.content) == (304, b"")
    assert (answer["ETag"], answer["Cache-Control"]) == (listed["ETag"], "no-cache")
    assert "Content-Type" not in answer


@pytest.mark.parametrize("tag", ["W/{}", '"other", {}', '{}, "1.2"'])
def test_the_tag_is_found_among_others_and_weakened(api, provider, tag):
    assert ask(api, provider, tag.format(ask(api, provider)["ETag"])).status_code == 304


@pytest.mark.parametrize(
    "tag",
    ['"1"', '"1.2.3.4.5.6"', '"-1.1.1.1.1.1"', '"' + ".".join(["9" * 18] * 6) + '"', "x", '"'],
)
def test_a_tag_that_is_none_of_its_own_is_answered_in_full(api, provider, tag):
    assert len(ask(api, provider, tag).json()["available timeslots"]) == 1


def reserve(timeslot):
    booking.reserve(client_id=make_client().pk, timeslot_id=timeslot.pk)


def publish(api, timeslot):
    start = (timeslot.start_time + DAY).isoformat()
    end = (timeslot.start_time + DAY + timedelta(hours=1)).isoformat()
    body = {"provider_id": timeslot.provider_id, "start_time": start, "end_time": end}
    assert api.post("/provider/availability", body).status_code == 201


def withdraw(api, timeslot):
    body = {"provider_id": timeslot.provider_id, "timeslot_ids": [timeslot.pk]}
    assert api.delete("/provider/availability", body).status_code == 200


def rename(api, timeslot):
    body = {"provider_id": timeslot.provider_id, "first_name": "Grace"}
    assert api.put("/provider/profile", body).status_code == 200


def around_the_service(api, timeslot):
    make_hold(timeslot)
    Reservation.objects.update(status="cancelled")


CHANGES = {
    "a reserve": lambda api, timeslot: reserve(timeslot),
    "a cancellation": lambda api, timeslot: cancelled(timeslot),
    "a publication": publish,
    "a withdrawal": withdraw,
    "a new name": rename,
    "a change around the service": around_the_service,
}


def cancelled(timeslot):
    reservation = Reservation.objects.filter(provider=timeslot.provider).get()
    booking.cancel(
        reservation_id=reservation.pk,
        by=Reservation.Party.CLIENT,
        party_id=None,
        reason="",
        versions=None,
    )


@pytest.mark.parametrize("what", CHANGES)
def test_every_change_makes_it_another(api, provider, timeslot, what):
    if what == "a cancellation":
        make_hold(make_timeslot(provider, starts_in=4 * DAY), status="confirmed")
    before = ask(api, provider)["ETag"]
    CHANGES[what](api, timeslot)
    answer = ask(api, provider, before)
    assert answer.status_code == 200
    assert answer["ETag"] != before
    assert ask(api, provider, answer["ETag"]).status_code == 304


@pytest.mark.parametrize("what", CHANGES)
def test_what_happens_to_others_leaves_it_alone(api, provider, what):
    other = make_timeslot(make_provider(), starts_in=3 * DAY)
    if what == "a cancellation":
        make_hold(other, status="confirmed")
    before = ask(api, provider)["ETag"]
    CHANGES[what](api, other)
    assert ask(api, provider, before).status_code == 304


def test_a_timeslot_that_comes_too_close_ends_it(api, clock, provider, timeslot):
    tag = ask(api, provider)["ETag"]
    clock.shift(days=2)
    assert ask(api, provider, tag).status_code == 304
    clock.shift(microseconds=1)
    answer = ask(api, provider, tag)
    assert (answer.status_code, answer.json()) == (200, {"available timeslots": []})


def test_a_hold_that_lapses_ends_it(api, clock, provider):
    hold = make_hold(make_timeslot(provider, starts_in=4 * DAY))
    tag = ask(api, provider)["ETag"]
    clock.shift(minutes=30)
    assert ask(api, provider, tag).status_code == 304
    clock.shift(microseconds=1)
    answer = ask(api, provider, tag)
    assert hold.timeslot_id in [one["timeslot_id"] for one in answer.json()["available timeslots"]]


def test_another_notice_period_ends_it(api, provider, settings):
    tag = ask(api, provider)["ETag"]
    settings.NOTICE = 2 * DAY
    assert ask(api, provider, tag).status_code == 200


@pytest.mark.django_db(transaction=True)
def test_a_change_that_commits_late_makes_it_another(api, database_url, is_postgresql):
    """PostgreSQL numbers transactions before they commit: this one has a lower number than one
    that the list was made from."""
    hold = make_hold(make_timeslot(starts_in=3 * DAY), status="cancelled")
    path = database_url.removeprefix("sqlite:///")
    with closing(psycopg.connect(path) if is_postgresql else sqlite3.connect(path)) as late:
        late.execute("UPDATE scheduling_reservation SET status = 'held'")
        if is_postgresql:  # SQLite has no second writer
            make_hold(make_timeslot(hold.provider, starts_in=4 * DAY))
        listed = ask(api, hold.provider)
        late.commit()
    assert len(listed.json()["available timeslots"]) == 1
    answer = ask(api, hold.provider, listed["ETag"])
    assert (answer.status_code, answer.json()) == (200, {"available timeslots": []})


def test_an_unknown_provider_is_not_found_whatever_the_tag(api, provider):
    tag = ask(api, provider)["ETag"]
    assert ask(api, Provider(pk=provider.pk + 1), tag).status_code == 404
