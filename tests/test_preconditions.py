"""ETag, If-Match and If-None-Match: nobody overwrites a change that they have not seen."""

import contextlib
import http.client
from collections import Counter
from datetime import timedelta
from functools import partial

import pytest

from scheduling import expiry
from scheduling.models import Client, Provider

from .concurrency import LONGEST_WAIT, at_once, started_after
from .conftest import JSONClient
from .factories import make_client, make_hold, make_provider, make_timeslot

pytestmark = pytest.mark.once

OVERDUE = timedelta(minutes=30, microseconds=1)
PEOPLE = {"provider": (Provider, make_provider), "client": (Client, make_client)}


# --- What has a tag, and what can be changed under one -------------------------------------------


class Profile:
    def __init__(self, kind):
        self.kind = kind
        self.make = PEOPLE[kind][1]

    def path(self, person):
        return f"/{self.kind}/profile?{self.kind}_id={person.pk}"

    def change(self, api, person, first_name="Augusta", **headers):
        body = {f"{self.kind}_id": person.pk, "first_name": first_name}
        return api.put(f"/{self.kind}/profile", body, headers=headers)


class ReservationOf:
    make = staticmethod(make_hold)

    def __init__(self, kind, verb):
        self.kind = kind
        self.verb = verb

    def path(self, hold):
        return f"/{self.kind}/reservation?reservation_id={hold.pk}"

    def change(self, api, hold, **headers):
        body = {"reservation_id": hold.pk, "client_id": hold.client_id}
        if self.verb == "reschedule":
            body["timeslot_id"] = make_timeslot().pk
        return api.put(f"/{self.kind}/{self.verb}", body, headers=headers)


THINGS = {
    "provider's profile": Profile("provider"),
    "client's profile": Profile("client"),
    "provider's cancellation": ReservationOf("provider", "cancel"),
    "client's cancellation": ReservationOf("client", "cancel"),
    "reschedule": ReservationOf("client", "reschedule"),
}
every_thing = pytest.mark.parametrize("thing", THINGS.values(), ids=THINGS)


def tag_of(api, thing, row):
    answer = api.get(thing.path(row))
    assert answer.status_code == 200
    return answer["ETag"]


def stored(row):
    return type(row).objects.filter(pk=row.pk).values().get()


# --- The tag -------------------------------------------------------------------------------------


@every_thing
def test_the_tag_changes_with_a_change_and_with_nothing_else(api, clock, thing):
    row, other = thing.make(), thing.make()
    before = tag_of(api, thing, row)
    assert before.startswith('"')
    clock.shift(minutes=1)
    assert thing.change(api, other).status_code == 200
    assert tag_of(api, thing, row) == before
    assert api.head(thing.path(row))["ETag"] == before
    assert thing.change(api, row).status_code == 200
    assert tag_of(api, thing, row) != before


@pytest.mark.parametrize("kind", PEOPLE)
def test_a_changed_profile_answers_with_its_new_tag(api, db, kind):
    profile = Profile(kind)
    person = profile.make()
    answer = profile.change(api, person)
    assert answer["ETag"] == tag_of(api, profile, person)
    assert answer.json() == api.get(profile.path(person)).json()
    assert profile.change(api, person, **{"If-Match": answer["ETag"]}).status_code == 200


def confirm(api, hold):
    body = {"client_id": hold.client_id, "reservation_id": hold.pk}
    assert api.put("/client/confirm", body).status_code == 200


def cancel(kind, api, hold):
    assert api.put(f"/{kind}/cancel", {"reservation_id": hold.pk}).status_code == 200


def reschedule(api, hold):
    body = {"client_id": hold.client_id, "reservation_id": hold.pk}
    body["timeslot_id"] = make_timeslot().pk
    assert api.put("/client/reschedule", body).status_code == 200


def withdraw(api, hold):
    body = {"provider_id": hold.provider_id, "timeslot_ids": [hold.timeslot_id]}
    body["cancel_reservations"] = True
    assert api.delete("/provider/availability", body).status_code == 200


@pytest.mark.parametrize("kind", PEOPLE)
@pytest.mark.parametrize(
    "change",
    [confirm, partial(cancel, "client"), partial(cancel, "provider"), reschedule, withdraw],
)
def test_every_change_of_a_reservation_changes_its_tag(api, clock, kind, change):
    hold = make_hold()
    reservation = ReservationOf(kind, "cancel")
    before = tag_of(api, reservation, hold)
    change(api, hold)
    after = tag_of(api, reservation, hold)
    assert after != before
    clock.shift(minutes=30)
    assert tag_of(api, reservation, hold) == after


def sweep(api, hold):
    assert len(expiry.expire_overdue()) == 1


def take_over(api, hold):
    body = {"client_id": make_client().pk, "timeslot_id": hold.timeslot_id}
    assert api.post("/client/reserve", body).status_code == 200


def move_onto(api, hold):
    moved = make_hold()
    body = {"client_id": moved.client_id, "reservation_id": moved.pk}
    body["timeslot_id"] = hold.timeslot_id
    assert api.put("/client/reschedule", body).status_code == 200


@pytest.mark.parametrize("kind", PEOPLE)
@pytest.mark.parametrize("write_down", [sweep, take_over, move_onto, withdraw])
def test_an_overdue_hold_has_the_tag_that_it_will_keep(api, clock, kind, write_down):
    hold = make_hold()
    path = ReservationOf(kind, "cancel").path(hold)
    held = api.get(path)
    clock.shift(minutes=30)
    assert api.get(path)["ETag"] == held["ETag"]
    clock.shift(microseconds=1)
    overdue = api.get(path)
    assert overdue["ETag"] != held["ETag"]
    assert overdue.json()["reservation"]["status"] == "expired"
    assert stored(hold)["status"] == "held"
    write_down(api, hold)
    assert stored(hold)["status"] == "expired"
    swept = api.get(path)
    assert (swept["ETag"], swept.content) == (overdue["ETag"], overdue.content)
    assert api.get(path, headers={"If-None-Match": overdue["ETag"]}).status_code == 304


# --- If-Match ------------------------------------------------------------------------------------


@every_thing
@pytest.mark.parametrize(
    "matching", ["{now}", "*", " * ", '"7", {now}', '{now} , "7"', '"x",{now}', "W/{old}, {now}"]
)
def test_who_has_seen_the_last_change_may_make_the_next(api, clock, thing, matching):
    row = thing.make()
    type(row).objects.update(version=2)
    given = matching.format(now=tag_of(api, thing, row), old='"1"')
    assert thing.change(api, row, **{"If-Match": given}).status_code == 200
    assert stored(row)["version"] == 3


# The thing is at "2" by now, and "1" has been seen.
NOT_MATCHING = [
    '"1"',
    '"3"',
    '"1", "3"',
    'W/"2"',
    'w/"2"',
    '"1", W/"2"',
    '"02"',
    '"+2"',
    '" 2"',
    '"2 "',
    '"\u0662"',
    '"2.0"',
    '"2\'"',
    "2",
    "'2'",
    '"',
    '"2',
    '2"',
    '""',
    "",
    " ",
    ",",
    "**",
    '"*"',
    '"99999999999999999999999"',
    "nonsense",
    "\x00",
]


@every_thing
@pytest.mark.parametrize("stale", NOT_MATCHING)
def test_who_has_not_seen_it_changes_nothing(api, clock, thing, stale):
    row = thing.make()
    type(row).objects.update(version=2)
    before = stored(row)
    answer = thing.change(api, row, **{"If-Match": stale})
    assert (answer.status_code, answer.json()["code"]) == (412, "changed_meanwhile")
    assert answer["Content-Type"] == "application/problem+json"
    assert stored(row) == before


@every_thing
def test_of_what_is_not_there_nothing_matches(api, clock, thing):
    row = thing.make()
    row.pk += 1
    for given in ("*", '"1"'):
        assert thing.change(api, row, **{"If-Match": given}).status_code == 404


@pytest.mark.parametrize("verb", ["cancel", "reschedule"])
def test_an_overdue_hold_that_was_seen_as_held_has_changed(api, clock, verb):
    reservation = ReservationOf("client", verb)
    hold = make_hold()
    seen = tag_of(api, reservation, hold)
    clock.shift(seconds=OVERDUE.total_seconds())
    answer = reservation.change(api, hold, **{"If-Match": seen})
    assert (answer.status_code, answer.json()["code"]) == (412, "changed_meanwhile")
    seen = tag_of(api, reservation, hold)
    answer = reservation.change(api, hold, **{"If-Match": seen})
    assert (answer.status_code, answer.json()["code"]) == (410, "hold_expired")


def test_a_key_does_not_help_who_is_too_late(api, clock):
    reservation = ReservationOf("client", "cancel")
    hold = make_hold()
    seen = tag_of(api, reservation, hold)
    confirm(api, hold)
    headers = {"If-Match": seen, "Idempotency-Key": "a-key"}
    assert reservation.change(api, hold, **headers).status_code == 412
    headers["If-Match"] = tag_of(api, reservation, hold)
    first = reservation.change(api, hold, **headers)
    assert first.status_code == 200
    # What has been done is answered again, though its tag has gone with it.
    assert reservation.change(api, hold, **headers).content == first.content


# --- If-None-Match -------------------------------------------------------------------------------

SEEN = ["{tag}", "W/{tag}", "*", '"7", {tag}', 'W/"7",W/{tag}', '{tag}, "7"']
NOT_SEEN = ['"7"', 'W/"7"', "1", '"01"', '"1', "", "nonsense", '"*"', '"1 "']


@every_thing
@pytest.mark.parametrize("method", ["get", "head"])
@pytest.mark.parametrize("seen", SEEN)
def test_who_has_it_already_is_told_so(api, clock, thing, method, seen):
    row = thing.make()
    tag = tag_of(api, thing, row)
    answer = getattr(api, method)(thing.path(row), headers={"If-None-Match": seen.format(tag=tag)})
    assert (answer.status_code, answer["ETag"], answer.content) == (304, tag, b"")
    assert not {"Content-Type", "Content-Length"} & set(answer.headers)


@every_thing
@pytest.mark.parametrize("seen", NOT_SEEN)
def test_who_has_something_else_gets_it(api, clock, thing, seen):
    row = thing.make()
    plain = api.get(thing.path(row))
    answer = api.get(thing.path(row), headers={"If-None-Match": seen})
    assert (answer.status_code, answer["ETag"]) == (200, plain["ETag"])
    assert answer.content == plain.content


@every_thing
def test_who_had_it_gets_what_has_changed(api, clock, thing):
    row = thing.make()
    seen = tag_of(api, thing, row)
    assert thing.change(api, row).status_code == 200
    assert api.get(thing.path(row), headers={"If-None-Match": seen}).status_code == 200


@pytest.mark.parametrize("kind", PEOPLE)
@pytest.mark.parametrize("seen", ['"1"', '"2"', "*"])
def test_to_change_is_not_to_read(api, db, kind, seen):
    profile = Profile(kind)
    person = profile.make()
    assert profile.change(api, person, **{"If-None-Match": seen}).status_code == 200
    assert stored(person)["first_name"] == "Augusta"


def test_over_a_socket_a_304_has_no_body_and_no_length(server):
    """A length of 0 would say that what the caller has is empty (RFC 9110, 8.6)."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)

    def ask(method, **headers):
        connection.request(method, "/client/profile?client_id=1", headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.getheader("Content-Length"), answer.read(), answer

    with contextlib.closing(connection):
        status, length, body, answer = ask("GET")
        tag = answer.getheader("ETag")
        assert (status, length) == (200, str(len(body)))
        for method in ("GET", "HEAD", "GET"):  # on one connection, which stays in step
            status, length, nothing, answer = ask(method, **{"If-None-Match": tag})
            assert (status, length, nothing) == (304, None, b"")
            assert answer.getheader("ETag") == tag
            assert answer.getheader("X-Request-ID")
        assert ask("HEAD")[:3] == (200, str(len(body)), b"")
        assert ask("GET")[:3] == (200, str(len(body)), body)


# --- At the same time ----------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
@every_thing
def test_of_two_who_have_seen_the_same_one_writes(thing):
    for _ in range(3):
        row = thing.make()
        change = partial(thing.change, JSONClient(), row, **{"If-Match": '"1"'})
        answers = at_once(change, change)
        codes = Counter((one.status_code, one.json().get("code")) for one in answers)
        assert codes == {(200, None): 1, (412, "changed_meanwhile"): 1}
        assert stored(row)["version"] == 2


@pytest.mark.django_db(transaction=True)
@every_thing
def test_control_without_if_match_both_write_or_the_second_is_refused_otherwise(thing):
    row = thing.make()
    change = partial(thing.change, JSONClient(), row)
    statuses = Counter(one.status_code for one in at_once(change, change))
    last = {"cancel": 409}.get(getattr(thing, "verb", None), 200)
    assert statuses == Counter([200, last])


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("kind", PEOPLE)
def test_who_has_changed_a_profile_is_shown_their_own_change(kind):
    """Else they would take the next one's tag for their own, and overwrite what they never saw."""
    profile = Profile(kind)
    person = profile.make()

    def change(first_name):
        return profile.change(JSONClient(), person, first_name)

    with started_after("UPDATE", partial(change, "Grace")) as started:
        first = change("Augusta")
    [second] = started[0].result(LONGEST_WAIT)
    assert [one.json()["first_name"] for one in (first, second)] == ["Augusta", "Grace"]
    assert [one["ETag"] for one in (first, second)] == ['"2"', '"3"']
