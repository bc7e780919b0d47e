"""Changes of mind that meet: reserve, confirm, cancel, reschedule, withdraw and publish at once.

With real threads and real commits. A deadlock would be answered 503 and a violated constraint 500,
and no test here allows either. The controls take a guard away: on PostgreSQL the same callers then
both win or meet a fault; SQLite has one writer, who needs no guard against others.
"""

import contextlib
import importlib
from collections import Counter
from datetime import timedelta
from functools import partial

import pytest
import time_machine
from django.conf import settings
from django.db import connection
from django.db.models import QuerySet

from scheduling.models import Reservation, Timeslot

from .concurrency import LONGEST_WAIT, at_once, right_after, started_after
from .conftest import MONDAY, JSONClient
from .factories import QUARTER, make_client, make_hold, make_provider, make_timeslot

pytestmark = pytest.mark.django_db(transaction=True)


GRANTED = (200, None)
TAKEN = (409, "timeslot_taken")
RESERVED = (409, "timeslots_reserved")
GONE = (404, "timeslot_not_found")
CANCELLED = (409, "cancelled")
LAPSED = (410, "hold_expired")
FAULT = (500, "internal_error")

HOLDS = "INSERT INTO scheduling_reservation"
CONFIRMS = "UPDATE scheduling_reservation"
LOCKS_TIMESLOTS = 'SELECT "scheduling_timeslot"'
LOCKS_RESERVATIONS = 'SELECT "scheduling_reservation"'
LOOKS = 'SELECT %s AS "a" FROM "scheduling_reservation"'
CHANGES = 'UPDATE "scheduling_reservation"'
PUBLISHES = "WITH RECURSIVE"
REMOVES = 'DELETE FROM "scheduling_timeslot"'


def ask(method, path, body, headers):
    return getattr(JSONClient(raise_request_exception=False), method)(path, body, headers=headers)


def reserve(client, timeslot, headers=None):
    body = {"client_id": client.pk, "timeslot_id": timeslot.pk}
    return ask("post", "/client/reserve", body, headers)


def confirm(hold, headers=None):
    body = {"client_id": hold.client_id, "reservation_id": hold.pk}
    return ask("put", "/client/confirm", body, headers)


def cancel(hold, by="client", headers=None):
    return ask("put", f"/{by}/cancel", {"reservation_id": hold.pk}, headers)


def reschedule(hold, timeslot, headers=None):
    ids = {"client_id": hold.client_id, "reservation_id": hold.pk, "timeslot_id": timeslot.pk}
    return ask("put", "/client/reschedule", ids, headers)


def withdraw(*timeslots, and_cancel=False, headers=None):
    body = {
        "provider_id": timeslots[0].provider_id,
        "timeslot_ids": [timeslot.pk for timeslot in timeslots],
        "cancel_reservations": and_cancel,
    }
    return ask("delete", "/provider/availability", body, headers)


def on_a_window(method, provider):
    """Publish or withdraw one window of eight timeslots."""
    window = {"start_time": MONDAY, "end_time": MONDAY + 8 * QUARTER}
    return ask(method, "/provider/availability", {"provider_id": provider.pk, **window}, None)


def code(answer):
    return answer.status_code, answer.json().get("code")


def meet(first, statement, second):
    """Start `second` once `first` has run the statement that begins so; what each is answered."""
    with started_after(statement, second) as other:
        answer = first()
    return code(answer), code(other[0].result(LONGEST_WAIT)[0])


def key(*name):
    """A transaction that is open until the answer is stored, and so are the locks of its verb."""
    return {"Idempotency-Key": "-".join(map(str, name))}


def timeslots_of(provider, count):
    return [
        make_timeslot(provider, starts_in=timedelta(days=2) + nth * QUARTER) for nth in range(count)
    ]


def live():
    return Reservation.objects.filter(status__in=["held", "confirmed"])


def amiss():
    """Live reservations that are not on their timeslot, or not alone on it."""
    there = set(Timeslot.objects.values_list("pk", "provider_id", "start_time", "end_time"))
    claims = Counter(live().values_list("timeslot_id", "provider_id", "start_time", "end_time"))
    return [claim for claim, count in claims.items() if count > 1 or claim not in there]


@pytest.fixture(autouse=True)
def _nothing_is_amiss(transactional_db):
    yield
    assert amiss() == []


# --- Reserve, reschedule and withdraw the same timeslot ------------------------------------------


def a_reserve(timeslot, headers=None):
    return partial(reserve, make_client(), timeslot, headers)


def a_move(timeslot, headers=None):
    return partial(reschedule, make_hold(), timeslot, headers)


def a_withdrawal(timeslot, headers=None):
    return partial(withdraw, timeslot, headers=headers)


def loses(verb, to):
    if to is a_withdrawal:
        return GONE
    return RESERVED if verb is a_withdrawal else TAKEN


def make_contested(is_overdue):
    timeslot = make_timeslot()
    if is_overdue:
        make_hold(timeslot, age=settings.HOLD + timedelta(minutes=1))
    return timeslot


def won_by(winner, timeslot):
    """What the rows say when it had its effect, and nobody else."""
    is_there = Timeslot.objects.filter(pk=timeslot.pk).exists()
    is_reserved = live().filter(timeslot=timeslot).exists()
    return (is_there, is_reserved) == ((False, False) if winner is a_withdrawal else (True, True))


@pytest.mark.parametrize("is_overdue", [False, True], ids=["free", "overdue"])
@pytest.mark.parametrize("second", [a_reserve, a_move, a_withdrawal])
@pytest.mark.parametrize(
    ("first", "statement"),
    [
        (a_reserve, HOLDS),
        (a_move, LOCKS_TIMESLOTS),
        (a_move, LOOKS),
        (a_move, CHANGES),
        (a_withdrawal, LOCKS_TIMESLOTS),
        (a_withdrawal, LOCKS_RESERVATIONS),
        (a_withdrawal, REMOVES),
    ],
)
def test_who_comes_first_to_a_timeslot_has_it(first, statement, second, is_overdue):
    timeslot, headers = make_contested(is_overdue), key("first")
    if is_overdue and first is a_reserve:
        # To take a hold over begins with writing it down, in a transaction of its own.
        statement, headers = CHANGES, None
    answers = meet(first(timeslot, headers), statement, second(timeslot))
    assert answers == (GRANTED, loses(second, to=first))
    assert won_by(first, timeslot)


@pytest.mark.parametrize("is_overdue", [False, True], ids=["free", "overdue"])
@pytest.mark.parametrize(
    "crowd",
    [
        [a_reserve, a_withdrawal],
        [a_reserve, a_move],
        [a_move, a_move],
        [a_reserve, a_move, a_withdrawal],
    ],
    ids=["reserve-withdraw", "reserve-move", "move-move", "all"],
)
def test_of_a_crowd_at_one_timeslot_exactly_one_wins(crowd, is_overdue):
    for nth in range(4):
        timeslot, verbs = make_contested(is_overdue), crowd * (12 // len(crowd))
        answers = [
            code(answer)
            for answer in at_once(
                *(verb(timeslot, key(nth, i) if i < 6 else None) for i, verb in enumerate(verbs))
            )
        ]
        winner = verbs[answers.index(GRANTED)]
        verbs.remove(winner)
        assert Counter(answers) == Counter([GRANTED, *(loses(one, to=winner) for one in verbs)])
        assert won_by(winner, timeslot)
        assert amiss() == []


@contextlib.contextmanager
def without_the_triggers():
    migration = importlib.import_module("scheduling.migrations.0006_timeslots_can_be_withdrawn")
    with connection.schema_editor() as editor:
        migration.backward(None, editor)
    try:
        yield
    finally:
        Reservation.objects.all().delete()
        with connection.schema_editor() as editor:
            migration.forward(None, editor)


@pytest.mark.parametrize(
    ("first", "statement", "second"),
    [(a_reserve, HOLDS, a_withdrawal), (a_withdrawal, REMOVES, a_reserve)],
)
def test_control_without_the_triggers_a_timeslot_goes_from_under_its_reservation(
    is_postgresql, first, statement, second
):
    timeslot = make_timeslot()
    with without_the_triggers():
        answers = meet(first(timeslot, key("first")), statement, second(timeslot))
        if is_postgresql:
            assert answers == (GRANTED, GRANTED)
            assert [claim[0] for claim in amiss()] == [timeslot.pk]
        else:
            assert answers == (GRANTED, loses(second, to=first))
            assert amiss() == []


@pytest.mark.parametrize("second", [a_reserve, a_move])
@pytest.mark.parametrize(
    ("first", "statement", "unguarded"),
    # The one runs into the unique index, the other cancels what it has not seen.
    [(a_move, LOOKS, FAULT), (a_withdrawal, LOCKS_RESERVATIONS, GRANTED)],
)
def test_control_without_the_locks_the_second_is_granted_it_too(
    monkeypatch, is_postgresql, first, statement, unguarded, second
):
    timeslot = make_timeslot()
    monkeypatch.setattr(QuerySet, "select_for_update", lambda rows, **_: rows.all())
    answers = meet(first(timeslot), statement, second(timeslot))
    if is_postgresql:
        assert answers == (unguarded, GRANTED)
    else:
        assert answers == (GRANTED, loses(second, to=first))


@pytest.mark.parametrize(
    ("statement", "step", "expected"),
    [
        (HOLDS, lambda lapsed: withdraw(lapsed.timeslot), GONE),
        (LOCKS_TIMESLOTS, lambda lapsed: withdraw(lapsed.timeslot), GONE),
        (HOLDS, lambda lapsed: reserve(make_client(), lapsed.timeslot), TAKEN),
        (LOCKS_TIMESLOTS, lambda lapsed: reserve(make_client(), lapsed.timeslot), TAKEN),
        (LOCKS_TIMESLOTS, lambda lapsed: reschedule(make_hold(), lapsed.timeslot), TAKEN),
    ],
)
def test_who_was_faster_than_a_takeover_between_its_looks_has_the_timeslot(
    statement, step, expected
):
    timeslot = make_contested(is_overdue=True)
    answers = []
    with right_after(statement, lambda: answers.append(step(Reservation.objects.get()))):
        answers.append(reserve(make_client(), timeslot))
    assert [code(answer) for answer in answers] == [GRANTED, expected]


def test_a_takeover_finds_the_timeslot_free_whose_hold_moved_away_in_the_last_moment(clock):
    hold, elsewhere = make_hold(age=settings.HOLD), make_timeslot()

    def move_in_time():
        clock.shift(microseconds=-1)
        answers.append(reschedule(hold, elsewhere))

    answers = []
    clock.shift(microseconds=1)
    with right_after(HOLDS, move_in_time):
        answers.append(reserve(make_client(), hold.timeslot))
    assert [code(answer) for answer in answers] == [GRANTED, GRANTED]
    assert set(live().values_list("timeslot", flat=True)) == {hold.timeslot_id, elsewhere.pk}


# --- Reschedule against reschedule ---------------------------------------------------------------


@pytest.mark.parametrize("statement", [LOCKS_TIMESLOTS, LOCKS_RESERVATIONS, LOOKS])
def test_two_clients_who_want_each_others_timeslot_keep_their_own(statement):
    one, other = make_hold(), make_hold()
    there, back = (
        partial(reschedule, one, other.timeslot),
        partial(reschedule, other, one.timeslot),
    )
    assert meet(there, statement, back) == (TAKEN, TAKEN)
    assert set(live().values_list("pk", "timeslot")) == {
        (one.pk, one.timeslot_id),
        (other.pk, other.timeslot_id),
    }


def test_in_a_ring_of_clients_who_want_the_next_ones_timeslot_all_keep_their_own():
    holds = [make_hold() for _ in range(8)]
    wishes = [
        partial(reschedule, hold, after.timeslot)
        for hold, after in zip(holds, [*holds[1:], holds[0]], strict=True)
    ]
    before = set(live().values_list("pk", "timeslot"))
    for _ in range(8):
        assert Counter(map(code, at_once(*wishes))) == {TAKEN: 8}
    assert set(live().values_list("pk", "timeslot")) == before


def test_a_ring_of_holds_that_lapse_on_the_way_never_locks_up():
    for nth in range(12):
        holds = [make_hold() for _ in range(8)]
        wishes = [
            partial(reschedule, hold, after.timeslot)
            for hold, after in zip(holds, [*holds[1:], holds[0]], strict=True)
        ]
        # The clock runs on over the deadlines while the callers are under way.
        lapse = holds[-1].expires_at - timedelta(milliseconds=4 * nth)
        with time_machine.travel(lapse, tick=True):
            answers = at_once(*wishes, *[partial(confirm, hold) for hold in holds])
        assert {code(answer) for answer in answers} <= {GRANTED, TAKEN, LAPSED}
        assert amiss() == []


@pytest.mark.parametrize(
    ("if_match", "loser"),
    [("*", GRANTED), ('"1"', (412, "changed_meanwhile"))],
    ids=["either", "as seen"],
)
def test_a_reservation_moved_twice_at_once_ends_on_one_timeslot(if_match, loser):
    for _ in range(10):
        provider = make_provider()
        old, *wanted = timeslots_of(provider, 3)
        hold = make_hold(old)
        answers = at_once(
            *(partial(reschedule, hold, one, headers={"If-Match": if_match}) for one in wanted)
        )
        assert Counter(map(code, answers)) == Counter([GRANTED, loser])
        hold.refresh_from_db()
        moved_to = [
            answer.json()["Reservation rescheduled"]["timeslot_id"]
            for answer in answers
            if answer.status_code == 200
        ]
        assert hold.timeslot_id in moved_to
        assert set(moved_to) <= {one.pk for one in wanted}
        assert hold.version == 1 + len(moved_to)
        free = [one for one in (old, *wanted) if one.pk != hold.timeslot_id]
        assert [code(reserve(make_client(), one)) for one in free] == [GRANTED, GRANTED]


def test_a_reservation_moved_twice_at_once_to_one_timeslot_is_moved_once():
    hold, timeslot = make_hold(), make_timeslot()
    move = partial(reschedule, hold, timeslot)
    assert meet(move, LOCKS_TIMESLOTS, move) == (GRANTED, TAKEN)
    hold.refresh_from_db()
    assert (hold.timeslot_id, hold.version) == (timeslot.pk, 2)


@pytest.mark.parametrize(
    ("statement", "confirmed_first"), [(LOCKS_RESERVATIONS, True), (LOOKS, False)]
)
def test_a_confirm_at_the_deadline_and_a_move_onto_its_timeslot_never_both_win(
    clock, is_postgresql, statement, confirmed_first
):
    hold = make_hold(age=settings.HOLD)
    mover = make_hold()

    def confirm_in_time():
        clock.shift(microseconds=-1)
        return confirm(hold)

    clock.shift(microseconds=1)
    answers = meet(partial(reschedule, mover, hold.timeslot), statement, confirm_in_time)
    hold.refresh_from_db()
    if is_postgresql and confirmed_first:
        assert (*answers, hold.status) == (TAKEN, GRANTED, "confirmed")
    else:
        assert (*answers, hold.status) == (GRANTED, LAPSED, "expired")


# --- Cancel --------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["client", "provider"])
def test_a_confirm_that_comes_after_the_cancellation_is_refused(by):
    hold = make_hold()
    answers = meet(partial(cancel, hold, by), LOCKS_RESERVATIONS, partial(confirm, hold))
    assert answers == (GRANTED, CANCELLED)
    hold.refresh_from_db()
    assert (hold.status, hold.cancelled_by, hold.version) == ("cancelled", by, 2)


@pytest.mark.parametrize("by", ["client", "provider"])
def test_a_cancellation_that_comes_after_the_confirm_cancels_what_is_confirmed(by):
    hold = make_hold()
    answers = meet(partial(confirm, hold, key("first")), CONFIRMS, partial(cancel, hold, by))
    assert answers == (GRANTED, GRANTED)
    hold.refresh_from_db()
    assert (hold.status, hold.cancelled_by, hold.version) == ("cancelled", by, 3)


def test_a_confirm_and_a_cancellation_at_once_end_cancelled():
    for _ in range(20):
        hold = make_hold()
        cancelled, *confirms = at_once(partial(cancel, hold), *[partial(confirm, hold)] * 3)
        answers = Counter(map(code, confirms))
        was_confirmed = answers[GRANTED]
        assert was_confirmed <= 1
        assert set(answers) <= {GRANTED, CANCELLED, (409, "already_confirmed")}
        hold.refresh_from_db()
        assert (code(cancelled), hold.status) == (GRANTED, "cancelled")
        assert hold.version == 2 + was_confirmed


@pytest.mark.parametrize(("first", "second"), [("client", "provider"), ("provider", "client")])
def test_a_reservation_is_cancelled_by_who_comes_first(first, second):
    hold = make_hold()
    answers = meet(partial(cancel, hold, first), LOCKS_RESERVATIONS, partial(cancel, hold, second))
    assert answers == (GRANTED, CANCELLED)
    hold.refresh_from_db()
    assert (hold.cancelled_by, hold.version) == (first, 2)


def test_control_without_the_lock_both_are_told_that_they_cancelled(monkeypatch, is_postgresql):
    hold = make_hold()
    monkeypatch.setattr(QuerySet, "select_for_update", lambda rows, **_: rows.all())
    answers = meet(partial(cancel, hold), LOCKS_RESERVATIONS, partial(cancel, hold, "provider"))
    assert answers == (GRANTED, GRANTED if is_postgresql else CANCELLED)


def test_one_of_many_cancellations_is_granted():
    parties = ["client", "provider"] * 4
    for _ in range(10):
        hold = make_hold()
        answers = [code(one) for one in at_once(*(partial(cancel, hold, by) for by in parties))]
        assert Counter(answers) == {GRANTED: 1, CANCELLED: 7}
        hold.refresh_from_db()
        assert (hold.cancelled_by, hold.version) == (parties[answers.index(GRANTED)], 2)


# --- Withdraw against what becomes of the reservations -------------------------------------------


@pytest.mark.parametrize(
    ("statement", "expected"), [(LOCKS_TIMESLOTS, GRANTED), (LOCKS_RESERVATIONS, CANCELLED)]
)
def test_a_confirm_that_meets_a_withdrawal_is_cancelled_or_refused(
    is_postgresql, statement, expected
):
    hold = make_hold()
    removal = partial(withdraw, hold.timeslot, and_cancel=True)
    answers = meet(removal, statement, partial(confirm, hold))
    assert answers == (GRANTED, expected if is_postgresql else CANCELLED)
    hold.refresh_from_db()
    assert (hold.status, hold.cancelled_by) == ("cancelled", "provider")


@pytest.mark.parametrize("and_cancel", [False, True], ids=["", "and cancel"])
@pytest.mark.parametrize("statement", [LOCKS_RESERVATIONS, CHANGES])
def test_a_withdrawal_waits_for_who_is_moving_away(statement, and_cancel):
    hold, elsewhere = make_hold(), make_timeslot()
    removal = partial(withdraw, hold.timeslot, and_cancel=and_cancel)
    assert meet(partial(reschedule, hold, elsewhere), statement, removal) == (GRANTED, GRANTED)
    assert live().get().timeslot == elsewhere
    assert list(Timeslot.objects.all()) == [elsewhere]


@pytest.mark.parametrize("and_cancel", [False, True], ids=["", "and cancel"])
def test_who_moves_away_too_late_finds_it_cancelled_or_the_timeslot_kept(and_cancel):
    hold, elsewhere = make_hold(), make_timeslot()
    removal = partial(withdraw, hold.timeslot, and_cancel=and_cancel)
    answers = meet(removal, LOCKS_RESERVATIONS, partial(reschedule, hold, elsewhere))
    assert answers == ((GRANTED, CANCELLED) if and_cancel else (RESERVED, GRANTED))
    hold.refresh_from_db()
    assert hold.status == ("cancelled" if and_cancel else "held")


def test_a_move_within_what_is_withdrawn_holds_nothing_while_it_waits():
    timeslot, other = timeslots_of(make_provider(), 2)
    hold = make_hold(timeslot)
    removal = partial(withdraw, timeslot, other, and_cancel=True)
    answers = meet(removal, LOCKS_TIMESLOTS, partial(reschedule, hold, other))
    assert answers == (GRANTED, CANCELLED)


@pytest.mark.parametrize("and_cancel", [False, True], ids=["", "and cancel"])
def test_withdrawals_among_all_that_clients_do_leave_nothing_half_done(and_cancel):
    client = make_client()
    for _ in range(8):
        provider, other = make_provider(), make_provider()
        inside, outside = timeslots_of(provider, 8), timeslots_of(other, 6)
        here = [make_hold(one, client) for one in inside[:4]]
        lapsed = make_hold(inside[4], client, age=settings.HOLD + timedelta(minutes=1))
        there = [make_hold(one, client) for one in outside[:2]]
        removed, removed_again, *answers = at_once(
            partial(withdraw, *inside, and_cancel=and_cancel),
            partial(withdraw, *reversed(inside), and_cancel=and_cancel),
            partial(reschedule, here[0], outside[2]),
            partial(reschedule, here[1], outside[3]),
            partial(reschedule, here[2], inside[5]),
            partial(reschedule, here[3], inside[4]),
            partial(reschedule, there[0], inside[6]),
            partial(reschedule, there[1], inside[0]),
            partial(reserve, client, lapsed.timeslot),
            partial(reserve, client, inside[7]),
            partial(confirm, here[0]),
            partial(confirm, here[3]),
            partial(cancel, here[1], "provider"),
            partial(cancel, there[0]),
        )
        assert {code(one) for one in answers} <= {GRANTED, TAKEN, GONE, CANCELLED}
        removals = Counter(map(code, (removed, removed_again)))
        left = set(Timeslot.objects.filter(provider=provider))
        if and_cancel:
            assert (removals, left) == ({GRANTED: 1, GONE: 1}, set())
        else:
            assert set(removals) <= {GRANTED, GONE, RESERVED}
            assert left == (set() if removals[GRANTED] else set(inside))
        assert amiss() == []


# --- Withdraw against publish --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "statement", "second", "expected", "left"),
    [
        ("delete", REMOVES, "post", [GRANTED, (201, None)], 8),
        ("post", PUBLISHES, "delete", [(201, None), GRANTED], 0),
    ],
)
def test_a_window_is_published_and_withdrawn_in_turn(first, statement, second, expected, left):
    provider = make_provider()
    if first == "delete":
        assert on_a_window("post", provider).status_code == 201
    one, other = (partial(on_a_window, method, provider) for method in (first, second))
    assert [*meet(one, statement, other)] == expected
    assert Timeslot.objects.count() == left


def test_a_window_published_and_withdrawn_at_once_is_there_whole_or_not_at_all():
    for _ in range(10):
        provider = make_provider()
        there = 0
        for _ in range(2):
            methods = ["post", "delete"] * 3
            answers = at_once(*(partial(on_a_window, method, provider) for method in methods))
            assert {code(one) for one in answers} <= {
                (201, None),
                (409, "timeslots_overlap"),
                GRANTED,
            }
            moved = [one.json() for one in answers if one.status_code < 300]
            there += sum(len(one.get("available timeslots", ())) for one in moved)
            there -= sum(len(one.get("removed timeslots", ())) for one in moved)
            assert there in (0, 8)
            assert Timeslot.objects.filter(provider=provider).count() == there


# --- With a limit of holds: the client's row is locked as well -----------------------------------


def test_clients_at_their_limit_among_moves_and_withdrawals_never_lock_up(settings):
    settings.MAX_HOLDS_PER_CLIENT = 3
    for nth in range(8):
        provider, clients = make_provider(), [make_client(), make_client()]
        timeslots = timeslots_of(provider, 8)
        holds = [make_hold(one, clients[which % 2]) for which, one in enumerate(timeslots[:2])]
        make_hold(timeslots[2], clients[0], age=settings.HOLD + timedelta(minutes=1))
        steps = [
            *(partial(reserve, client, one) for one in timeslots[2:6] for client in clients),
            partial(reschedule, holds[0], timeslots[3]),
            partial(reschedule, holds[1], timeslots[2]),
            partial(reschedule, holds[0], timeslots[6]),
            partial(withdraw, *timeslots[2:4], and_cancel=True),
            partial(withdraw, *reversed(timeslots[3:6])),
            partial(withdraw, timeslots[7], timeslots[0], and_cancel=True),
        ]
        answers = at_once(
            *(
                partial(step, headers=key(nth, i) if (nth + i) % 2 else None)
                for i, step in enumerate(steps)
            )
        )
        assert {code(one) for one in answers} <= {
            GRANTED,
            TAKEN,
            GONE,
            RESERVED,
            CANCELLED,
            (409, "too_many_holds"),
        }
        for client in clients:
            assert live().filter(client=client).count() <= 3
        assert amiss() == []
