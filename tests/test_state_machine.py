"""The service over HTTP against a plain model of it, played step by step by hypothesis.

The model (model.py) knows the contract; here is what is played. Each call asks the model first
whether it is refused. After every step the rows are compared with the model.
"""

import itertools
from datetime import timedelta

import pytest
import time_machine
from django.conf import settings
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from scheduling.models import Client, Provider, Reservation, StoredAnswer, Timeslot

from .conftest import MONDAY, JSONClient
from .factories import QUARTER, make_client, make_provider
from .model import STATUS_OF, Model, Slot, wire

TICK = timedelta(microseconds=1)
FIVE_MINUTES = timedelta(minutes=5)
TWO = st.integers(0, 1)
OFF = {"just before": -TICK, "at": timedelta(0), "just after": TICK}
# Whose id is sent, or that none is; and what that is where one must be.
OWN_OR_OTHER = {"own": "own", "nobody's": "own", "other": "other"}
STATUSES = [None, "held", "confirmed", "expired", "cancelled"]
STEPS = (
    *("reserve", "cancel", "confirm", "reschedule", "deadline", "notice") * 2,
    *("publish", "list", "find", "reservations", "get", "sweep"),
    *("withdraw window", "withdraw ids", "repeat", "reserve", "overdue", "overdue", "deadline"),
    *("last cancellation", "some minutes"),
)


class Service(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        for model in (Reservation, Timeslot, Client, Provider, StoredAnswer):
            model.objects.all().delete()
        self.traveller = time_machine.travel(MONDAY, tick=False)
        self.clock = self.traveller.start()
        self.api = JSONClient()
        people = {
            "provider": [make_provider("Ada"), make_provider("Grace")],
            "client": [make_client("Alan"), make_client("Emmy")],
        }
        self.parties = {kind: [person.pk for person in two] for kind, two in people.items()}
        self.model = Model(
            MONDAY,
            names={
                (kind, one.pk): {"first_name": one.first_name, "last_name": one.last_name}
                for kind, two in people.items()
                for one in two
            },
        )
        self.keys = itertools.count(1)
        self.key = None
        self.answered = None

    def teardown(self):
        self.traveller.stop()

    # --- What happens, a step at a time ----------------------------------------------------------

    @initialize()
    def there_is_something_to_reserve(self):
        for which, client in enumerate(self.parties["client"]):
            self.publish(which, 0, count=8, length=QUARTER)
            self.reserve(client, self.model.bookable()[-1])

    # One rule and not one for each call: hypothesis leaves some rules out of every play, and the
    # plays that find something need all of them.
    @rule(
        step=st.sampled_from(STEPS),
        which=TWO,
        party=st.sampled_from(["client", "provider"]),
        whose=st.sampled_from(["own", *OWN_OR_OTHER]),
        quarter=st.integers(-2, 8),
        nth=st.integers(0, 999),
        off=st.sampled_from([*OFF]),
        seen=st.sampled_from([None, None, None, 0, -1]),
        has_key=st.booleans(),
    )
    def step(self, step, which, party, whose, quarter, nth, off, seen, has_key):
        self.key = f"key-{next(self.keys)}" if has_key else None
        client = self.parties["client"][which]
        claim = self.some_claim(nth)
        overdue = self.model.overdue()
        if step == "publish":
            length = QUARTER * (nth // 4 % 2 + 1)
            self.publish(which, quarter, nth % 4 + 1, length, skips=nth // 8 % 2 > 0)
        elif step == "list":
            self.list_of(self.parties["provider"][which])
        elif step == "find":
            self.find(which, nth)
        elif step == "reservations":
            self.reservations(party, self.parties[party][which], STATUSES[nth % 5])
        elif step == "withdraw window":
            self.withdraw_window(which, quarter, nth)
        elif step == "withdraw ids":
            two = {self.some_timeslot(nth), self.some_timeslot(nth // 4)}
            self.withdraw_ids(sorted(two), cancels=nth % 2 > 0)
        elif step == "reserve":
            self.reserve(client, self.some_timeslot(nth))
        elif step == "overdue" and overdue:
            timeslot = self.model.claims[overdue[nth // 3 % len(overdue)]].timeslot
            self.use(timeslot, client, nth)
        elif step == "sweep":
            self.sweep()
        elif step == "deadline":
            self.look_around_a_deadline(OFF[off], client, nth)
        elif step == "notice":
            self.look_around_a_notice(OFF[off], client, nth)
        elif step == "last cancellation":
            self.look_around_the_last_cancellation(OFF[off], nth)
        elif step == "some minutes":
            self.move_to(self.model.now + timedelta(minutes=nth % 20 + 1))
        elif step == "repeat" and self.answered:
            self.repeat(nth)
        elif step == "confirm":
            self.confirm(claim, self.party_id(claim, "client", OWN_OR_OTHER[whose]))
        elif step == "get":
            self.get(claim, party, whose)
        elif step == "cancel":
            self.cancel(claim, party, whose, seen, reason="Ill." if nth % 2 else "")
        elif step == "reschedule":
            self.reschedule(claim, whose, self.some_timeslot(nth // 8), seen)

    def some_timeslot(self, nth):
        """One to reserve as often as not; else too early, taken, or withdrawn."""
        bookable, slots = self.model.bookable(), [*self.model.slots]
        taken = [pk for pk in slots if self.model.live_on([pk])]
        some = (bookable, bookable, taken, slots, self.model.withdrawn)[nth % 5]
        some = some or slots or self.model.withdrawn
        return some[nth // 5 % len(some)]

    def some_claim(self, nth):
        """A live one as often as not; else one that was cancelled, or any of the newest."""
        live, newest = self.model.live_on(None), [*self.model.claims][-8:]
        cancelled = [pk for pk in newest if self.model.status(pk) == "cancelled"]
        some = (live, live, cancelled, newest)[nth % 4] or newest
        return some[nth // 4 % len(some)]

    def edge(self):
        """The quarter hour before the earliest start."""
        return MONDAY + (self.model.earliest_start - MONDAY) // QUARTER * QUARTER

    def publish(self, which, quarter, count, length, skips=False):
        """Of what overlaps, either all is refused or each is left out."""
        provider = self.parties["provider"][which]
        start_time = self.edge() + quarter * QUARTER
        end_time = start_time + count * length
        answer = self.change(
            *("post", "/provider/availability"),
            {
                "provider_id": provider,
                "start_time": wire(start_time),
                "end_time": wire(end_time),
                "slot_minutes": length // timedelta(minutes=1),
                "on_overlap": "skip" if skips else "reject",
            },
        )
        clashes = self.model.overlapping(provider, start_time, end_time)
        if self.is_refused(answer, "timeslots_overlap" if clashes and not skips else None):
            assert answer.json()["timeslot_id"] == clashes[0]
            return
        starts = [
            start
            for start in (start_time + nth * length for nth in range(count))
            if not self.model.overlapping(provider, start, start + length)
        ]
        pks = [timeslot["timeslot_id"] for timeslot in answer.json()["available timeslots"]]
        self.model.publish(
            {
                pk: Slot(provider, start, start + length)
                for pk, start in zip(pks, starts, strict=True)
            }
        )
        assert answer.status_code == 201
        self.shows(answer, {"available timeslots": self.timeslots(pks)})

    def withdraw_window(self, which, quarter, nth):
        """Its edges lie on those of timeslots, or within them."""
        provider = self.parties["provider"][which]
        start_time = self.edge() + quarter * QUARTER + nth % 3 * FIVE_MINUTES
        end_time = start_time + (nth // 3 % 8 + 1) * FIVE_MINUTES
        self.withdraw(
            provider,
            self.model.overlapping(provider, start_time, end_time),
            {"start_time": wire(start_time), "end_time": wire(end_time)},
            cancels=nth % 2 > 0,
        )

    def withdraw_ids(self, pks, cancels):
        """Of the provider of one of them, who may not have the others."""
        slots = [self.model.slots[pk] for pk in pks if pk in self.model.slots]
        provider = slots[0].provider if slots else self.parties["provider"][0]
        self.withdraw(provider, pks, {"timeslot_ids": pks}, cancels)

    def withdraw(self, provider, pks, given, cancels):
        refusal = self.model.why_not_withdrawn(provider, pks, cancels)
        live = self.model.live_on(pks)
        given |= {"provider_id": provider, "cancel_reservations": cancels, "reason": "Away."}
        answer = self.change("delete", "/provider/availability", given)
        if self.is_refused(answer, refusal):
            if refusal == "timeslots_reserved":
                assert answer.json()["reservation_ids"] == live
                timeslots = [self.model.claims[pk].timeslot for pk in live]
                assert answer.json()["timeslot_ids"] == timeslots
            return
        removed = [
            self.model.timeslot_shape(pk, is_available=False) for pk in self.model.by_start(pks)
        ]
        self.model.withdraw(pks, "Away.")
        cancelled = [self.model.shape(pk) for pk in live]
        self.shows(answer, {"removed timeslots": removed, "cancelled reservations": cancelled})

    def list_of(self, provider):
        bookable = self.model.bookable(provider)
        answer = self.api.get("/client/getProviderAvailability", {"provider_id": provider})
        self.shows(answer, {"available timeslots": self.timeslots(bookable)})
        answer = self.api.get("/provider/availability", {"provider_id": provider})
        timeslots = [
            self.model.timeslot_shape(pk, is_available=not self.model.live_on([pk]))
            for pk in self.model.of_provider(provider)
        ]
        self.shows(answer, {"timeslots": timeslots})

    def find(self, which, nth):
        """Of any or one length, with any or one provider."""
        length = [None, QUARTER, 2 * QUARTER][nth % 3]
        provider = self.parties["provider"][which] if nth % 2 else None
        query = {"slot_minutes": length // timedelta(minutes=1)} if length else {}
        query |= {"provider_ids": provider} if provider else {}
        answer = self.api.get("/client/findTimeslots", query)
        bookable = self.model.bookable(provider, length)
        self.shows(answer, {"available timeslots": self.timeslots(bookable)})

    def reservations(self, party, party_id, status):
        query = {f"{party}_id": party_id} | ({"status": status} if status else {})
        answer = self.api.get(f"/{party}/reservations", query)
        pks = self.model.reservations(party, party_id, status)
        self.shows(answer, {"reservations": [self.model.listed_shape(pk) for pk in pks]})

    def get(self, pk, party, whose):
        party_id = self.party_id(pk, party, whose)
        query = {"reservation_id": pk} | ({f"{party}_id": party_id} if party_id else {})
        answer = self.api.get(f"/{party}/reservation", query)
        is_theirs = self.model.is_of(pk, party, party_id)
        if not self.is_refused(answer, None if is_theirs else "reservation_not_found"):
            self.shows(answer, {"reservation": self.model.full_shape(pk)})
            assert answer["ETag"] == f'"{self.model.version(pk)}"'

    def reserve(self, client, timeslot):
        refusal = self.model.why_not_reserved(timeslot)
        ids = {"client_id": client, "timeslot_id": timeslot}
        answer = self.change("post", "/client/reserve", ids)
        if not self.is_refused(answer, refusal):
            pk = answer.json()["Reservation scheduled"]["reservation_id"]
            self.model.reserve(pk, client, timeslot)
            self.shows(answer, {"Reservation scheduled": self.model.shape(pk)})

    def confirm(self, pk, client):
        refusal = self.model.why_not_confirmed(pk, client)
        ids = {"client_id": client, "reservation_id": pk}
        answer = self.change("put", "/client/confirm", ids)
        if not self.is_refused(answer, refusal):
            self.model.confirm(pk)
            self.shows(answer, {"Reservation is confirmed": self.model.shape(pk)})

    def cancel(self, pk, party, whose="own", seen=None, reason=""):
        party_id, version = self.party_id(pk, party, whose), self.seen(pk, seen)
        refusal = self.model.why_not_cancelled(pk, party, party_id, version)
        given = {"reservation_id": pk, "reason": reason}
        given |= {f"{party}_id": party_id} if party_id else {}
        answer = self.change("put", f"/{party}/cancel", given, version)
        if not self.is_refused(answer, refusal):
            self.model.cancel(pk, party, reason)
            self.shows(answer, {"Reservation cancelled": self.model.shape(pk)})

    def reschedule(self, pk, whose, timeslot, seen=None):
        client = self.party_id(pk, "client", OWN_OR_OTHER[whose])
        version = self.seen(pk, seen)
        refusal = self.model.why_not_rescheduled(pk, client, timeslot, version)
        ids = {"client_id": client, "reservation_id": pk, "timeslot_id": timeslot}
        answer = self.change("put", "/client/reschedule", ids, version)
        if not self.is_refused(answer, refusal):
            self.model.reschedule(pk, timeslot)
            self.shows(answer, {"Reservation rescheduled": self.model.shape(pk)})

    def sweep(self):
        released = self.model.sweep()
        answer = self.change("put", "/provider/expiredReservations", {})
        title = "Expired reservations deleted and corresponding timeslots released"
        self.shows(answer, {title: self.timeslots(released)})

    def repeat(self, nth):
        """The last call that changed something under a key, or another one under that key."""
        (method, path, body, headers), first = self.answered
        if nth % 4 == 0:
            answer = self.send(method, path, body | {"reason": "Another."}, headers)
            assert (answer.status_code, answer.json()["code"]) == (422, "key_reused")
            return
        answer = self.send(method, path, body, headers)
        assert answer["Idempotent-Replayed"] == "true"
        assert (answer.status_code, answer.content) == (first.status_code, first.content)

    def look_around_a_deadline(self, off, client, nth):
        """Just before the next deadline, at it, or just after: is the hold still one?"""
        ahead = [
            (claim.deadline, pk, claim)
            for pk, claim in self.model.claims.items()
            if claim.status == "held" and claim.deadline + off > self.model.now
        ]
        if not ahead:
            return
        deadline, pk, claim = min(ahead)
        self.move_to(deadline + off)
        provider = claim.slot.provider
        self.reservations("client", claim.client, ("held", "expired")[nth % 2])
        if nth // 2 % 2:
            self.list_of(provider)
        else:
            self.find(self.parties["provider"].index(provider), nth // 4)
        change = [
            self.sweep,
            lambda: self.confirm(pk, claim.client),
            lambda: self.cancel(pk, ("client", "provider")[nth // 6 % 2]),
            lambda: self.reschedule(pk, "own", self.some_timeslot(nth // 6)),
            *[lambda: self.use(claim.timeslot, client, nth // 6)] * 2,
        ][nth % 6]
        change()

    def look_around_a_notice(self, off, client, nth):
        """Just before a timeslot's notice ends, as it does, or just after."""
        ahead = [
            (slot.start_time - settings.NOTICE, pk)
            for pk, slot in self.model.slots.items()
            if slot.start_time - settings.NOTICE + off > self.model.now
            and (nth % 2 or self.model.live_on([pk]))
        ]
        if not ahead:
            return
        end_of_notice, timeslot = min(ahead)
        self.move_to(end_of_notice + off)
        provider = self.model.slots[timeslot].provider
        look = [
            lambda: self.reserve(client, timeslot),
            self.sweep,
            lambda: self.list_of(provider),
            lambda: self.find(self.parties["provider"].index(provider), nth // 5),
            lambda: self.move_onto(timeslot, nth // 5),
        ][nth % 5]
        look()

    def look_around_the_last_cancellation(self, off, nth):
        """Just before the last moment at which a client can give it up, at it, or just after."""
        ahead = [
            (moment, pk)
            for pk in self.model.live_on(None)
            if (moment := self.model.latest_cancellation(pk) + off) > self.model.now
            and (self.model.status(pk) == "confirmed" or self.model.claims[pk].deadline >= moment)
        ]
        if not ahead:
            return
        moment, pk = min(ahead)
        self.move_to(moment)
        if nth % 3:
            self.cancel(pk, "client")
        else:
            self.reschedule(pk, "own", self.some_timeslot(nth // 3))
        # What a client may no longer give up, its provider may.
        if nth % 2 and self.model.is_live(pk):
            self.cancel(pk, "provider")

    def use(self, timeslot, client, nth):
        """Whatever a timeslot must be free for, or goes best with."""
        use = [
            lambda: self.reserve(client, timeslot),
            lambda: self.move_onto(timeslot, nth // 3),
            lambda: self.withdraw_ids([timeslot], cancels=nth // 3 % 2 > 0),
        ][nth % 3]
        use()

    def move_onto(self, timeslot, nth):
        """A live reservation of another timeslot."""
        others = [
            pk for pk in self.model.live_on(None) if self.model.claims[pk].timeslot != timeslot
        ]
        if others:
            self.reschedule(others[nth % len(others)], "own", timeslot)

    def move_to(self, moment):
        self.model.now = moment
        self.clock.move_to(moment, tick=False)

    # --- How it is said, and how it is answered --------------------------------------------------

    def change(self, method, path, body, version=None):
        headers = {"Idempotency-Key": self.key} if self.key else {}
        headers |= {"If-Match": f'"{version}"'} if version is not None else {}
        request = method, path, body, headers
        answer = self.send(*request)
        # A refusal stores nothing: the next call under its key is the first.
        if self.key and answer.status_code < 300:
            self.answered, self.key = (request, answer), None
        return answer

    def send(self, method, path, body, headers):
        return getattr(self.api, method)(path, body, headers=headers)

    def party_id(self, pk, party, whose):
        own = self.model.claims[pk].of(party)
        [other] = [one for one in self.parties[party] if one != own]
        return {"own": own, "other": other, "nobody's": None}[whose]

    def seen(self, pk, behind):
        """The version that the caller has seen, which may be one behind; None for none."""
        return None if behind is None else self.model.version(pk) + behind

    def timeslots(self, pks):
        return [self.model.timeslot_shape(pk) for pk in pks]

    def shows(self, answer, body):
        assert answer.status_code in (200, 201), answer.content
        assert answer.json() == body

    def is_refused(self, answer, code):
        if code is None:
            assert answer.status_code in (200, 201), answer.content
            return False
        assert answer.status_code == STATUS_OF[code], answer.content
        assert answer.json()["code"] == code
        assert answer.headers["Content-Type"] == "application/problem+json"
        return True

    # --- What holds after every step -------------------------------------------------------------

    @invariant()
    def the_rows_are_those_of_the_model(self):
        rows = {
            (
                *(one.pk, one.timeslot_id, one.provider_id, one.start_time, one.end_time),
                *(one.client_id, one.created_at, one.status, one.version),
                *(one.cancelled_at, one.cancelled_by or "", one.reason),
            )
            for one in Reservation.objects.all()
        }
        assert rows == {
            (
                *(pk, claim.timeslot, *vars(claim.slot).values(), claim.client),
                *(claim.created_at, claim.status, claim.version),
                *(claim.cancelled_at, claim.cancelled_by, claim.reason),
            )
            for pk, claim in self.model.claims.items()
        }
        timeslots = Timeslot.objects.values_list("pk", "provider_id", "start_time", "end_time")
        assert set(timeslots) == {
            (pk, *vars(slot).values()) for pk, slot in self.model.slots.items()
        }


@pytest.mark.long
@pytest.mark.django_db(transaction=True)
def test_the_service_does_what_the_model_says(settings):
    settings.CANCEL_NOTICE = settings.NOTICE - QUARTER
    run_state_machine_as_test(
        Service,
        settings=hypothesis_settings(
            max_examples=50,
            stateful_step_count=40,
            deadline=None,
            # The same plays every time: a failure in CI is a failure on every machine.
            derandomize=True,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )
