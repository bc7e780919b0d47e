"""What kills at random moments have left behind, compared with what was promised and acknowledged.

Nothing here runs the service: what it is given is what callers were answered, what the database
holds, and what a webhook and a mail server got.
"""

import json
import re
from collections import Counter, defaultdict
from typing import NamedTuple

import psycopg

PEOPLE = (1, 2)  # of the fixture: clients and providers
ADDRESSES = {
    (party, pk): f"{party}{pk}@example.org" for party in ("client", "provider") for pk in PEOPLE
}


class Asked(NamedTuple):
    """What was acknowledged, or what nobody knows the end of."""

    kind: str  # of the event that it leaves
    reservation_id: int | None
    client_id: int
    timeslot_id: int | None


class Event(NamedTuple):
    id: int
    kind: str
    reservation_id: int
    timeslot_id: int
    provider_id: int
    client_id: int
    version: int


class Reservation(NamedTuple):
    client_id: int
    timeslot_id: int
    status: str
    version: int


class Message(NamedTuple):
    webhook_id: str
    event_id: int
    reservation_id: int
    version: int


class Letter(NamedTuple):
    message_id: str
    address: str
    reservation_id: int
    version: int


class Found(NamedTuple):
    acknowledged: list[Asked]
    in_doubt: list[Asked]
    reservations: dict[int, Reservation]
    events: list[Event]
    left: dict[str, int]  # what is not done yet, how often
    lapsed: set[tuple[int, str]]  # events that a party was rightly not told of any more
    messages: list[Message]
    letters: list[Letter]


LEFT = {
    "holds": "SELECT count(*) FROM scheduling_reservation WHERE status = 'held'",
    "deliveries": "SELECT count(*) FROM scheduling_webhookdelivery WHERE status <> 'delivered'",
    "notifications": """
        SELECT count(*) FROM scheduling_notification WHERE status NOT IN ('sent', 'dropped')""",
    "events not passed on": """
        SELECT count(*) FROM scheduling_reservationevent event
          JOIN (VALUES ('webhooks'), ('notifications')) expected (name) ON TRUE
          LEFT JOIN scheduling_eventreader reader USING (name)
         WHERE (event.transaction_id, event.id)
               > (coalesce(reader.transaction_id, 0), coalesce(reader.event_id, 0))""",
}


def left(database_url):
    with psycopg.connect(database_url) as database:
        return {name: database.execute(sql).fetchone()[0] for name, sql in LEFT.items()}


def look(service, load):
    with psycopg.connect(service.database.url) as database:
        rows = database.execute(
            "SELECT id, client_id, timeslot_id, status, version FROM scheduling_reservation"
        )
        reservations = {pk: Reservation(*values) for pk, *values in rows}
        events = [
            Event(*row)
            for row in database.execute(
                """SELECT id, kind, reservation_id, timeslot_id, provider_id, client_id, version
                     FROM scheduling_reservationevent ORDER BY transaction_id, id"""
            )
        ]
        # Whose hold has lapsed is not told any more that it is held, but that it has lapsed.
        lapsed = database.execute(
            """SELECT event_id, party FROM scheduling_notification
                WHERE status = 'dropped' AND kind IN ('reserved', 'rescheduled')"""
        )
        lapsed = set(lapsed.fetchall())
    return Found(
        acknowledged=load.acknowledged,
        in_doubt=load.in_doubt,
        reservations=reservations,
        events=events,
        left=left(service.database.url),
        lapsed=lapsed,
        messages=[_message(received) for received in service.receiver.received],
        letters=[_letter(message) for message in service.mailbox.messages],
    )


def _message(received):
    event = json.loads(received.body)["data"]
    return Message(
        received.headers["webhook-id"],
        event["event_id"],
        event["reservation_id"],
        event["version"],
    )


def _letter(message):
    [invite] = [part for part in message.walk() if part.get_content_type() == "text/calendar"]
    entry = invite.get_content()
    return Letter(
        message["Message-ID"],
        message["To"],
        int(re.search(r"UID:reservation-(\d+)", entry)[1]),
        int(re.search(r"SEQUENCE:(\d+)", entry)[1]),
    )


# --- Whether that is right -----------------------------------------------------------------------


def complaints(found):
    """Everything that is not as promised; nothing, if all is."""
    return [*complaints_but_of_letters(found), *_of_letters(found)]


def complaints_but_of_letters(found):
    return [
        *_of_answers(found),
        *_of_histories(found),
        *_of_telling(
            "webhook",
            [
                ((one.event_id,), one.webhook_id, one.reservation_id, one.version)
                for one in found.messages
            ],
            {(event.id,) for event in found.events},
            may_be_missing=set(),
        ),
        *(f"left over: {count} {name}" for name, count in found.left.items() if count),
    ]


def _of_letters(found):
    expired = {event.reservation_id for event in found.events if event.kind == "expired"}
    return _of_telling(
        "letter",
        [
            (
                (one.address, one.reservation_id, one.version),
                one.message_id,
                (one.address, one.reservation_id),
                one.version,
            )
            for one in found.letters
        ],
        {_as_told(event, party) for event in found.events for party in _told(event)},
        may_be_missing={
            _as_told(event, party)
            for event in found.events
            for party in _told(event)
            if (event.id, party) in found.lapsed and event.reservation_id in expired
        },
    )


def duplicates(identities):
    """How many came again."""
    return len(identities) - len(set(identities))


def _told(event):
    return ["provider"] if event.kind == "moved_away" else ["client", "provider"]


def _as_told(event, party):
    """As a letter shows what it is about. A provider that is left has another address."""
    pk = event.client_id if party == "client" else event.provider_id
    return ADDRESSES[party, pk], event.reservation_id, event.version


def _of_answers(found):
    """Each acknowledged change is in the history once; nothing else is, but what may be."""
    there = effects(found)
    acknowledged = Counter(tuple(one) for one in found.acknowledged)
    for effect, times in acknowledged.items():
        if there[effect] < times:
            yield f"acknowledged, but lost: {effect}"
    surplus = there - acknowledged
    # Whoever was not answered does not know the id of what is reserved now.
    in_doubt = Counter(tuple(one) for one in found.in_doubt)
    asked = Counter()
    for (kind, reservation, client, timeslot), times in surplus.items():
        asked[kind, None if kind == "reserved" else reservation, client, timeslot] += times
    for effect, times in (asked - in_doubt).items():
        yield f"nobody asked for it, or not so often ({times}): {effect}"


def effects(found):
    """What is in the history, as callers asked for it."""
    return Counter(
        (event.kind, event.reservation_id, event.client_id, _moved_to(event))
        for event in found.events
        if event.kind not in ("expired", "moved_away")
    )


def _moved_to(event):
    return event.timeslot_id if event.kind in ("reserved", "rescheduled") else None


def _of_histories(found):
    histories = defaultdict(list)
    for event in found.events:
        histories[event.reservation_id].append(event)
    if histories.keys() != found.reservations.keys():
        yield f"no history, or no row: {histories.keys() ^ found.reservations.keys()}"
    ends = {"expired", "cancelled"}
    for pk, history in histories.items():
        last = max(history, key=lambda event: (event.version, event.id))
        versions = sorted(event.version for event in history if event.kind != "moved_away")
        if versions != list(range(1, len(versions) + 1)):
            yield f"reservation {pk} has the versions {versions} in its history"
        moved = Counter(event.version for event in history if event.kind == "moved_away")
        rescheduled = {event.version for event in history if event.kind == "rescheduled"}
        if moved and (max(moved.values()) > 1 or not moved.keys() <= rescheduled):
            yield f"reservation {pk} moved away at {moved}, was rescheduled at {rescheduled}"
        if any(event.kind in ends for event in history if event.version < last.version):
            yield f"reservation {pk} goes on after its end: {[one.kind for one in history]}"
        if sum(event.kind == "expired" for event in history) > 1:
            yield f"reservation {pk} expired more than once"
        if {"confirmed", "expired"} <= {event.kind for event in history}:
            yield f"reservation {pk} expired although it was confirmed"
        row = found.reservations.get(pk)
        is_live = last.kind not in ends
        if row is not None and (
            row != Reservation(last.client_id, last.timeslot_id, row.status, last.version)
            or (row.status in ("held", "confirmed")) != is_live
            or (not is_live and row.status != last.kind)
        ):
            yield f"reservation {pk} is {row}, its history ends with {last}"
    live = Counter(
        row.timeslot_id
        for row in found.reservations.values()
        if row.status in ("held", "confirmed")
    )
    for timeslot, count in live.items():
        if count > 1:
            yield f"timeslot {timeslot} has {count} live reservations"


def _of_telling(what, told, expected, may_be_missing):
    """`told`: of what, under which id, in which order of its own, and its place in that."""
    ids, first_arrivals = defaultdict(set), defaultdict(dict)
    for about, identity, order, version in told:
        ids[about].add(identity)
        first_arrivals[order].setdefault(about, version)
    for about in sorted(expected - ids.keys() - may_be_missing):
        yield f"{what} lost: {about}"
    for about in sorted(ids.keys() - expected):
        yield f"{what} of what did not happen: {about}"
    for about, several in ids.items():
        if len(several) > 1:
            yield f"{what} about {about} under {len(several)} ids"
    about_by_id = Counter(identity for several in ids.values() for identity in several)
    for identity, count in about_by_id.items():
        if count > 1:
            yield f"{what} {identity} is about {count} things"
    for order, arrivals in first_arrivals.items():
        versions = list(arrivals.values())
        if versions != sorted(versions):
            yield f"{what}s of {order} came in the order {versions}"
