"""What is true of the service, in dictionaries: no database, no HTTP, only the contract.

For each call there is `why_not_...`, the code of the refusal or None, and the effect.
"""

from dataclasses import dataclass
from datetime import datetime

from django.conf import settings

STATUS_OF = {
    "not_your_reservation": 403,
    "timeslot_not_found": 404,
    "reservation_not_found": 404,
    "timeslots_overlap": 409,
    "timeslots_reserved": 409,
    "timeslot_taken": 409,
    "notice_too_short": 409,
    "already_confirmed": 409,
    "cancelled": 409,
    "too_late_to_cancel": 409,
    "hold_expired": 410,
    "changed_meanwhile": 412,
}


@dataclass(frozen=True)
class Slot:
    provider: int
    start_time: datetime
    end_time: datetime


@dataclass
class Claim:
    timeslot: int
    slot: Slot  # as it was: a timeslot that is withdrawn leaves the history alone
    client: int
    created_at: datetime
    status: str = "held"
    version: int = 1
    cancelled_at: datetime | None = None
    cancelled_by: str = ""
    reason: str = ""

    @property
    def deadline(self):
        return self.created_at + settings.HOLD

    def of(self, party):
        return self.client if party == "client" else self.slot.provider


def wire(moment):
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


class Model:
    def __init__(self, now, names):
        self.now = now
        self.names = names  # of a party and its id
        self.slots = {}
        self.withdrawn = []
        self.claims = {}

    # --- Time --------------------------------------------------------------------------------

    @property
    def earliest_start(self):
        return self.now + settings.NOTICE

    def is_overdue(self, pk):
        claim = self.claims[pk]
        return claim.status == "held" and claim.deadline < self.now

    def status(self, pk):
        """As callers see it, be it written down or not; and so is the version."""
        return "expired" if self.is_overdue(pk) else self.claims[pk].status

    def version(self, pk):
        return self.claims[pk].version + self.is_overdue(pk)

    def is_live(self, pk):
        return self.status(pk) in ("held", "confirmed")

    def overdue(self, timeslots=None):
        return sorted(
            (pk for pk in self.on(timeslots) if self.is_overdue(pk)),
            key=lambda pk: (self.claims[pk].deadline, pk),
        )

    def on(self, timeslots):
        """The claims on these timeslots, or all."""
        return [
            pk
            for pk, claim in self.claims.items()
            if timeslots is None or claim.timeslot in timeslots
        ]

    def live_on(self, timeslots):
        return sorted(pk for pk in self.on(timeslots) if self.is_live(pk))

    def expire(self, pks):
        for pk in pks:
            self.claims[pk].status = "expired"
            self.claims[pk].version += 1

    # --- What a provider offers --------------------------------------------------------------

    def overlapping(self, provider, start_time, end_time):
        return self.by_start(
            pk
            for pk, slot in self.slots.items()
            if slot.provider == provider
            and slot.start_time < end_time
            and slot.end_time > start_time
        )

    def by_start(self, timeslots):
        return sorted(timeslots, key=lambda pk: (self.slots[pk].start_time, pk))

    def of_provider(self, provider):
        return self.by_start(pk for pk, slot in self.slots.items() if slot.provider == provider)

    def publish(self, slots):
        assert not set(slots) & {*self.slots, *self.withdrawn}
        self.slots |= slots

    def bookable(self, provider=None, length=None):
        return self.by_start(
            pk
            for pk, slot in self.slots.items()
            if provider in (None, slot.provider)
            and length in (None, slot.end_time - slot.start_time)
            and slot.start_time >= self.earliest_start
            and not self.live_on([pk])
        )

    def why_not_withdrawn(self, provider, timeslots, cancels):
        if any(pk not in self.slots or self.slots[pk].provider != provider for pk in timeslots):
            return "timeslot_not_found"
        if self.live_on(timeslots) and not cancels:
            return "timeslots_reserved"
        return None

    def withdraw(self, timeslots, reason):
        self.expire(self.overdue(timeslots))
        for pk in self.live_on(timeslots):
            self.cancel(pk, "provider", reason)
        for pk in timeslots:
            del self.slots[pk]
            self.withdrawn.append(pk)

    def sweep(self):
        """The timeslots that are bookable again by it."""
        overdue = self.overdue()
        self.expire(overdue)
        timeslots = [self.claims[pk].timeslot for pk in overdue]
        return [pk for pk in timeslots if self.slots[pk].start_time >= self.earliest_start]

    # --- What a client does ------------------------------------------------------------------

    def why_not_reserved(self, timeslot):
        if timeslot not in self.slots:
            return "timeslot_not_found"
        if self.slots[timeslot].start_time < self.earliest_start:
            return "notice_too_short"
        return "timeslot_taken" if self.live_on([timeslot]) else None

    def reserve(self, pk, client, timeslot):
        assert pk not in self.claims
        self.expire(self.overdue([timeslot]))
        self.claims[pk] = Claim(timeslot, self.slots[timeslot], client, self.now)

    def why_not_live(self, pk):
        return {"cancelled": "cancelled", "expired": "hold_expired"}.get(self.status(pk))

    def why_not_confirmed(self, pk, client):
        if self.claims[pk].client != client:
            return "not_your_reservation"
        if self.status(pk) == "confirmed":
            return "already_confirmed"
        return self.why_not_live(pk)

    def confirm(self, pk):
        self.claims[pk].status = "confirmed"
        self.claims[pk].version += 1

    def is_of(self, pk, party, party_id):
        return party_id in (None, self.claims[pk].of(party))

    def why_not_cancelled(self, pk, party, party_id, version):
        if not self.is_of(pk, party, party_id):
            return "reservation_not_found"
        if version not in (None, self.version(pk)):
            return "changed_meanwhile"
        is_too_late = party == "client" and self.now > self.latest_cancellation(pk)
        return self.why_not_live(pk) or ("too_late_to_cancel" if is_too_late else None)

    def latest_cancellation(self, pk):
        return self.claims[pk].slot.start_time - settings.CANCEL_NOTICE

    def cancel(self, pk, party, reason):
        claim = self.claims[pk]
        claim.status, claim.version = "cancelled", claim.version + 1
        claim.cancelled_at, claim.cancelled_by, claim.reason = self.now, party, reason

    def why_not_rescheduled(self, pk, client, timeslot, version):
        # To the timeslot that it has: taken, by itself.
        return self.why_not_cancelled(pk, "client", client, version) or (
            "timeslot_taken"
            if timeslot == self.claims[pk].timeslot
            else self.why_not_reserved(timeslot)
        )

    def reschedule(self, pk, timeslot):
        self.expire(self.overdue([timeslot]))
        claim = self.claims[pk]
        claim.timeslot, claim.slot = timeslot, self.slots[timeslot]
        claim.version += 1

    def reservations(self, party, party_id, status):
        return sorted(
            (
                pk
                for pk, claim in self.claims.items()
                if claim.of(party) == party_id and status in (None, self.status(pk))
            ),
            key=lambda pk: (self.claims[pk].slot.start_time, pk),
        )

    # --- What is shown of it -----------------------------------------------------------------

    def timeslot_shape(self, pk, is_available=True):
        slot = self.slots[pk]
        return {
            "timeslot_id": pk,
            "provider_id": slot.provider,
            **self.names["provider", slot.provider],
            "start_time": wire(slot.start_time),
            "end_time": wire(slot.end_time),
            "is_available": is_available,
        }

    def shape(self, pk):
        claim = self.claims[pk]
        return {
            "reservation_id": pk,
            "timeslot_id": claim.timeslot,
            "provider_id": claim.slot.provider,
            "client_id": claim.client,
            "start_time": wire(claim.slot.start_time),
            "end_time": wire(claim.slot.end_time),
            "created_at": wire(claim.created_at),
            "is_confirmed": claim.status == "confirmed",
        }

    def full_shape(self, pk):
        claim = self.claims[pk]
        return {
            **self.shape(pk),
            "status": self.status(pk),
            "expires_at": wire(claim.deadline),
            "cancelled_at": wire(claim.cancelled_at) if claim.cancelled_at else None,
            "cancelled_by": claim.cancelled_by or None,
            "reason": claim.reason or None,
        }

    def listed_shape(self, pk):
        claim = self.claims[pk]
        parties = {party: self.names[party, claim.of(party)] for party in ("provider", "client")}
        return self.full_shape(pk) | parties
