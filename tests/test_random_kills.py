"""Thirty kills at random moments lose nothing; and what looks for that would find it."""

import random

import pytest

from . import kills
from .aftermath import (
    ADDRESSES,
    Asked,
    Event,
    Found,
    Letter,
    Message,
    Reservation,
    complaints,
)

CLIENT, PROVIDER = ADDRESSES["client", 1], ADDRESSES["provider", 1]


@pytest.mark.services
@pytest.mark.long
def test_kills_at_random_moments_lose_nothing(tmp_path):
    seed = random.randrange(10**6)
    run = kills.run(tmp_path, 30, seed=seed, patience=60, sweep=True)
    assert run.complaints == [], f"seed {seed}"
    assert sum(run.kills.values()) == 30
    assert len(run.found.events) >= len(run.found.acknowledged) > 30


# --- Whether it would be noticed -----------------------------------------------------------------


def found(**changes):
    """A hold that was confirmed, then moved to the other provider; and one that has lapsed."""
    whole = Found(
        acknowledged=[
            Asked("reserved", 1, 1, 10),
            Asked("confirmed", 1, 1, None),
            Asked("rescheduled", 1, 1, 20),
            Asked("reserved", 2, 1, 10),
        ],
        in_doubt=[],
        reservations={
            1: Reservation(1, 20, "confirmed", 3),
            2: Reservation(1, 10, "expired", 2),
        },
        events=[
            Event(1, "reserved", 1, 10, 1, 1, 1),
            Event(2, "confirmed", 1, 10, 1, 1, 2),
            Event(3, "moved_away", 1, 10, 1, 1, 3),
            Event(4, "rescheduled", 1, 20, 2, 1, 3),
            Event(5, "reserved", 2, 10, 1, 1, 1),
            Event(6, "expired", 2, 10, 1, 1, 2),
        ],
        left={"deliveries": 0},
        lapsed={(5, "client")},
        messages=[
            Message("msg_1", 1, 1, 1),
            Message("msg_2", 2, 1, 2),
            Message("msg_3", 3, 1, 3),
            Message("msg_4", 4, 1, 3),
            Message("msg_5", 5, 2, 1),
            Message("msg_6", 6, 2, 2),
        ],
        letters=[
            *(Letter(f"<{nth}>", CLIENT, 1, nth) for nth in (1, 2, 3)),
            *(Letter(f"<{3 + nth}>", PROVIDER, 1, nth) for nth in (1, 2, 3)),
            Letter("<7>", ADDRESSES["provider", 2], 1, 3),
            Letter("<8>", CLIENT, 2, 2),
            *(Letter(f"<{8 + nth}>", PROVIDER, 2, nth) for nth in (1, 2)),
        ],
    )
    return whole._replace(
        **{name: change(getattr(whole, name)) for name, change in changes.items()}
    )


def without(nth):
    return lambda all_: [*all_[:nth], *all_[nth + 1 :]]


def again(nth):
    return lambda all_: [*all_, all_[nth]]


def instead(nth, **values):
    return lambda all_: [*all_[:nth], all_[nth]._replace(**values), *all_[nth + 1 :]]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"messages": again(0), "letters": again(0)},
        {"letters": lambda all_: [Letter("<0>", CLIENT, 2, 1), *all_]},
        {"acknowledged": without(1), "in_doubt": lambda _: [Asked("confirmed", 1, 1, None)]},
        {"acknowledged": without(3), "in_doubt": lambda _: [Asked("reserved", None, 1, 10)]},
        {"in_doubt": lambda _: [Asked("reserved", None, 1, 10)]},
    ],
)
def test_it_does_not_complain_of_what_may_be(changes):
    assert complaints(found(**changes)) == []


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"acknowledged": again(1)}, "acknowledged, but lost"),
        ({"acknowledged": without(1)}, "nobody asked for it"),
        ({"acknowledged": without(3)}, "nobody asked for it"),
        ({"acknowledged": instead(2, timeslot_id=21)}, "acknowledged, but lost"),
        ({"events": without(1)}, "has the versions"),
        ({"events": again(1)}, "has the versions"),
        ({"events": again(5)}, "expired more than once"),
        ({"events": instead(3, kind="expired")}, "expired although it was confirmed"),
        ({"events": again(2)}, "moved away at"),
        ({"events": instead(1, kind="cancelled")}, "goes on after its end"),
        ({"reservations": lambda rows: {1: rows[1]}}, "no history, or no row"),
        (
            {"reservations": lambda rows: rows | {1: rows[1]._replace(timeslot_id=10)}},
            "its history ends with",
        ),
        (
            {"reservations": lambda rows: rows | {2: rows[2]._replace(status="held")}},
            "its history ends with",
        ),
        (
            {"reservations": lambda rows: rows | {2: Reservation(1, 20, "held", 2)}},
            "2 live reservations",
        ),
        ({"left": lambda _: {"deliveries": 1}}, "left over: 1 deliveries"),
        ({"messages": without(3)}, "webhook lost: (4,)"),
        ({"messages": lambda all_: [*all_, Message("msg_7", 1, 1, 1)]}, "under 2 ids"),
        ({"messages": instead(1, webhook_id="msg_1")}, "is about 2 things"),
        (
            {"messages": lambda all_: [all_[1], all_[0], *all_[2:]]},
            "came in the order [2, 1, 3, 3]",
        ),
        ({"messages": lambda all_: [*all_, Message("msg_7", 7, 1, 4)]}, "of what did not happen"),
        ({"letters": without(6)}, "letter lost"),
        ({"lapsed": lambda _: set()}, "letter lost"),
        ({"lapsed": lambda all_: {*all_, (1, "client")}, "letters": without(0)}, "letter lost"),
        ({"letters": lambda all_: [*all_, all_[0]._replace(message_id="<0>")]}, "under 2 ids"),
        ({"letters": lambda all_: [*all_[:6], all_[6], all_[7], all_[9], all_[8]]}, "in the order"),
    ],
)
def test_it_complains_of(changes, complaint):
    assert any(complaint in one for one in complaints(found(**changes)))
