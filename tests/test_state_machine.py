"""The service over HTTP against a plain model of it, played step by step by hypothesis.

The model knows the contract and no database: timeslots and reservations in dictionaries, and the
clock. After every step the rows are compared with it.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

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

from scheduling.models import Client, Provider, Reservation, Timeslot

from .conftest import MONDAY, JSONClient
from .factories import QUARTER, make_client, make_provider

TICK = timedelta(microseconds=1)
TWO = st.integers(0, 1)
OFF = {"just before": -TICK, "at": timedelta(0), "just after": TICK}
STEPS = (
    *("publish", "list", "confirm", "sweep", "some minutes"),
    *("reserve", "take over", "deadline", "notice", "deadline") * 2,
)


@dataclass
class Slot:
    provider: int
    start_time: datetime


@dataclass
class Claim:
    slot: int
    client: int
    created_at: datetime
    status: str = "held"

    @property
    def deadline(self):
        return self.created_at + settings.HOLD


def wire(moment):
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


class Service(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        for model in (Reservation, Timeslot, Client, Provider):
            model.objects.all().delete()
        self.traveller = time_machine.travel(MONDAY, tick=False)
        self.clock = self.traveller.start()
        self.now = MONDAY
        self.api = JSONClient()
        self.providers = [make_provider("Ada"), make_provider("Grace")]
        self.clients = [make_client().pk, make_client().pk]
        self.slots = {}
        self.claims = {}

    def teardown(self):
        self.traveller.stop()

    # --- What the model knows --------------------------------------------------------------------

    @property
    def earliest_start(self):
        return self.now + settings.NOTICE

    def overdue(self):
        return {
            pk: claim
            for pk, claim in self.claims.items()
            if claim.status == "held" and claim.deadline < self.now
        }

    def is_free(self, slot):
        overdue = self.overdue()
        return not any(
            claim.slot == slot and claim.status in ("held", "confirmed") and pk not in overdue
            for pk, claim in self.claims.items()
        )

    def shape(self, pk):
        slot = self.slots[pk]
        [provider] = [one for one in self.providers if one.pk == slot.provider]
        return {
            "timeslot_id": pk,
            "provider_id": slot.provider,
            "first_name": provider.first_name,
            "last_name": provider.last_name,
            "start_time": wire(slot.start_time),
            "end_time": wire(slot.start_time + QUARTER),
            "is_available": True,
        }

    def reservation_shape(self, pk):
        claim = self.claims[pk]
        slot = self.slots[claim.slot]
        return {
            "reservation_id": pk,
            "timeslot_id": claim.slot,
            "provider_id": slot.provider,
            "client_id": claim.client,
            "start_time": wire(slot.start_time),
            "end_time": wire(slot.start_time + QUARTER),
            "created_at": wire(claim.created_at),
            "is_confirmed": claim.status == "confirmed",
        }

    # --- What happens, a step at a time ----------------------------------------------------------

    @initialize()
    def there_is_something_to_reserve(self):
        self.publish_quarters(0, 0, 8)

    # One rule and not one for each call: hypothesis leaves some rules out of every play, and the
    # plays that find something need all of them.
    @rule(
        step=st.sampled_from(STEPS),
        which=TWO,
        quarter=st.integers(-2, 8),
        nth=st.integers(0, 999),
        off=st.sampled_from([*OFF]),
    )
    def step(self, step, which, quarter, nth, off):
        claims = [*self.claims]
        overdue = [*self.overdue()]
        client = self.clients[which]
        if step == "publish":
            self.publish_quarters(which, quarter, nth % 4 + 1)
        elif step == "list":
            self.list_of(self.providers[which].pk)
        elif step == "reserve":
            self.reserve(client, [*self.slots][-1 - nth % min(8, len(self.slots))])
        elif step == "take over" and overdue:
            self.reserve(client, self.claims[overdue[nth % len(overdue)]].slot)
        elif step == "confirm" and claims:
            self.confirm(client, claims[nth % len(claims)])
        elif step == "sweep":
            self.sweep()
        elif step == "deadline":
            self.look_around_a_deadline(OFF[off], client, nth)
        elif step == "notice":
            self.look_around_a_notice(OFF[off], client, nth)
        elif step == "some minutes":
            self.move_to(self.now + timedelta(minutes=nth % 20 + 1))

    def publish_quarters(self, which, first, count):
        provider = self.providers[which].pk
        since = (self.now - MONDAY) // QUARTER
        edge = MONDAY + since * QUARTER + settings.NOTICE
        starts = [edge + (first + nth) * QUARTER for nth in range(count)]
        answer = self.api.post(
            "/provider/availability",
            {
                "provider_id": provider,
                "start_time": wire(starts[0]),
                "end_time": wire(starts[-1] + QUARTER),
            },
        )
        clashes = [
            (slot.start_time, pk)
            for pk, slot in self.slots.items()
            if slot.provider == provider and slot.start_time in starts
        ]
        if clashes:
            assert_refused(answer, 409, "timeslots_overlap")
            assert answer.json()["timeslot_id"] == min(clashes)[1]
            return
        published = answer.json()["available timeslots"]
        pks = [timeslot["timeslot_id"] for timeslot in published]
        assert not set(pks) & set(self.slots)
        self.slots |= {pk: Slot(provider, start) for pk, start in zip(pks, starts, strict=True)}
        assert answer.status_code == 201
        assert published == [self.shape(pk) for pk in pks]

    def list_of(self, provider):
        answer = self.api.get("/client/getProviderAvailability", {"provider_id": provider})
        bookable = sorted(
            (slot.start_time, pk)
            for pk, slot in self.slots.items()
            if slot.provider == provider
            and slot.start_time >= self.earliest_start
            and self.is_free(pk)
        )
        assert answer.status_code == 200
        assert answer.json() == {"available timeslots": [self.shape(pk) for _, pk in bookable]}

    def reserve(self, client, timeslot):
        answer = self.api.post("/client/reserve", {"client_id": client, "timeslot_id": timeslot})
        if self.slots[timeslot].start_time < self.earliest_start:
            assert_refused(answer, 409, "notice_too_short")
            return
        if not self.is_free(timeslot):
            assert_refused(answer, 409, "timeslot_taken")
            return
        for claim in self.overdue().values():
            if claim.slot == timeslot:
                claim.status = "expired"
        assert answer.status_code == 200, answer.content
        pk = answer.json()["Reservation scheduled"]["reservation_id"]
        assert pk not in self.claims
        self.claims[pk] = Claim(timeslot, client, self.now)
        assert answer.json() == {"Reservation scheduled": self.reservation_shape(pk)}

    def confirm(self, client, pk):
        claim = self.claims[pk]
        answer = self.api.put("/client/confirm", {"client_id": client, "reservation_id": pk})
        if claim.client != client:
            assert_refused(answer, 403, "not_your_reservation")
            return
        if claim.status == "confirmed":
            assert_refused(answer, 409, "already_confirmed")
            return
        if claim.status == "expired" or pk in self.overdue():
            assert_refused(answer, 410, "hold_expired")
            return
        claim.status = "confirmed"
        assert answer.status_code == 200
        assert answer.json() == {"Reservation is confirmed": self.reservation_shape(pk)}

    def sweep(self):
        answer = self.api.put("/provider/expiredReservations")
        overdue = sorted((claim.deadline, pk, claim) for pk, claim in self.overdue().items())
        for _, _, claim in overdue:
            claim.status = "expired"
        released = [
            self.shape(claim.slot)
            for _, _, claim in overdue
            if self.slots[claim.slot].start_time >= self.earliest_start
        ]
        assert answer.status_code == 200
        assert list(answer.json().values()) == [released]

    def look_around_a_deadline(self, off, client, nth):
        """Just before the next deadline, at it, or just after: is the hold still one?"""
        ahead = [
            (claim.deadline, pk, claim)
            for pk, claim in self.claims.items()
            if claim.status == "held" and claim.deadline + off > self.now
        ]
        if not ahead:
            return
        deadline, pk, claim = min(ahead)
        self.move_to(deadline + off)
        if nth % 4 == 0:
            self.confirm(claim.client, pk)
        elif nth % 4 == 1:
            self.reserve(client, claim.slot)
        elif nth % 4 == 2:
            self.sweep()
        else:
            self.list_of(self.slots[claim.slot].provider)

    def look_around_a_notice(self, off, client, nth):
        """Just before a timeslot's notice ends, as it does, or just after."""
        held = {claim.slot for claim in self.claims.values() if claim.status == "held"}
        ahead = [
            (slot.start_time - settings.NOTICE, pk)
            for pk, slot in self.slots.items()
            if slot.start_time - settings.NOTICE + off > self.now and (nth % 2 or pk in held)
        ]
        if not ahead:
            return
        end_of_notice, slot = min(ahead)
        self.move_to(end_of_notice + off)
        if nth % 3 == 0:
            self.reserve(client, slot)
        elif nth % 3 == 1:
            self.sweep()
        else:
            self.list_of(self.slots[slot].provider)

    def move_to(self, moment):
        self.now = moment
        self.clock.move_to(moment, tick=False)

    # --- What holds after every step -------------------------------------------------------------

    @invariant()
    def the_rows_are_those_of_the_model(self):
        rows = Reservation.objects.values_list("pk", "timeslot_id", "client_id", "status")
        assert set(rows) == {
            (pk, claim.slot, claim.client, claim.status) for pk, claim in self.claims.items()
        }
        assert set(Timeslot.objects.values_list("pk", flat=True)) == set(self.slots)


def assert_refused(answer, status, code):
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers["Content-Type"] == "application/problem+json"


@pytest.mark.long
@pytest.mark.django_db(transaction=True)
def test_the_service_does_what_the_model_says():
    run_state_machine_as_test(
        Service,
        settings=hypothesis_settings(
            max_examples=100,
            stateful_step_count=40,
            deadline=None,
            # The same plays every time: a failure in CI is a failure on every machine.
            derandomize=True,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )
