"""MAX_HOLDS_PER_CLIENT: how many timeslots one client keeps from the others at a time."""

import contextlib
import re
import threading
from collections import Counter
from datetime import timedelta
from functools import partial

import pytest
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from scheduling import booking
from scheduling.models import Reservation

from .concurrency import LONGEST_WAIT, at_once, started_after
from .conftest import JSONClient
from .factories import QUARTER, make_client, make_hold, make_provider, make_timeslot

DAY = timedelta(hours=24)
HOLD = timedelta(minutes=30)
MOMENT = timedelta(microseconds=1)

pytestmark = pytest.mark.django_db
at_the_same_time = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def limit_of_two(settings):
    settings.MAX_HOLDS_PER_CLIENT = 2


def reserve(client, timeslot):
    body = {"client_id": client.pk, "timeslot_id": timeslot.pk}
    return JSONClient().post("/client/reserve", body)


def code(answer):
    return answer.status_code, answer.json().get("code")


GRANTED = (200, None)
TOO_MANY = (409, "too_many_holds")
TAKEN = (409, "timeslot_taken")


def timeslots_of(provider, count):
    return [
        make_timeslot(provider, starts_in=timedelta(days=2) + nth * QUARTER) for nth in range(count)
    ]


@pytest.fixture
def client(db):
    return make_client()


@pytest.fixture
def client_at_the_limit(client):
    for _ in range(2):
        make_hold(client=client)
    return client


# --- What counts ---------------------------------------------------------------------------------


def test_it_refuses_one_hold_more_and_says_what_to_do(clock, client):
    timeslots = [make_timeslot() for _ in range(3)]
    answers = [reserve(client, timeslot) for timeslot in timeslots]
    assert [code(answer) for answer in answers] == [GRANTED, GRANTED, TOO_MANY]
    assert answers[2].json() == {
        "type": "/problems#too_many_holds",
        "title": "Conflict",
        "status": 409,
        "detail": (
            "A client's unconfirmed reservations are limited to 2 at a time. "
            "Confirm one or let it lapse."
        ),
        "code": "too_many_holds",
        "max_holds": 2,
    }
    assert set(Reservation.objects.values_list("timeslot", "status")) == {
        (timeslots[0].pk, "held"),
        (timeslots[1].pk, "held"),
    }


@pytest.mark.parametrize(("limit", "count_of_counts"), [(0, 0), (3, 1)])
def test_it_costs_one_statement_and_0_counts_nothing(
    clock, settings, client_at_the_limit, django_assert_num_queries, limit, count_of_counts
):
    settings.MAX_HOLDS_PER_CLIENT = limit
    timeslot = make_timeslot()
    with django_assert_num_queries(1) as statements:
        assert code(reserve(client_at_the_limit, timeslot)) == GRANTED
    [statement] = statements.captured_queries
    assert (
        statement["sql"].count("scheduling_live_holds") + statement["sql"].count("COUNT")
        == count_of_counts
    )


@pytest.mark.parametrize("status", Reservation.Status)
def test_only_what_is_held_counts(clock, client, status):
    for _ in range(2):
        make_hold(client=client, status=status)
    granted = TOO_MANY if status == "held" else GRANTED
    assert code(reserve(client, make_timeslot())) == granted


@pytest.mark.parametrize(
    ("age", "granted"), [(HOLD - MOMENT, TOO_MANY), (HOLD, TOO_MANY), (HOLD + MOMENT, GRANTED)]
)
def test_a_hold_counts_until_its_deadline_whether_or_not_a_sweep_has_run(
    clock, client, age, granted
):
    holds = [make_hold(client=client, age=age), make_hold(client=client)]
    assert code(reserve(client, make_timeslot())) == granted
    assert set(Reservation.objects.filter(status="held")) >= set(holds)


def test_a_confirmed_hold_makes_room(api, clock, client_at_the_limit):
    hold, timeslot = Reservation.objects.first(), make_timeslot()
    assert code(reserve(client_at_the_limit, timeslot)) == TOO_MANY
    ids = {"client_id": client_at_the_limit.pk, "reservation_id": hold.pk}
    assert api.put("/client/confirm", ids).status_code == 200
    assert code(reserve(client_at_the_limit, timeslot)) == GRANTED


def test_other_clients_are_not_concerned(clock, client_at_the_limit):
    timeslot = make_timeslot()
    assert code(reserve(client_at_the_limit, timeslot)) == TOO_MANY
    assert code(reserve(make_client(), timeslot)) == GRANTED


# --- Taking over a hold that lapsed --------------------------------------------------------------


def test_clients_take_over_what_they_let_lapse_themselves(clock, client):
    lapsed = [make_hold(client=client, age=HOLD + MOMENT) for _ in range(2)]
    assert [code(reserve(client, hold.timeslot)) for hold in lapsed] == [GRANTED, GRANTED]
    assert code(reserve(client, make_timeslot())) == TOO_MANY


def test_a_refused_takeover_expires_nothing(clock, client_at_the_limit):
    lapsed = make_hold(age=HOLD + MOMENT)
    assert code(reserve(client_at_the_limit, lapsed.timeslot)) == TOO_MANY
    lapsed.refresh_from_db()
    assert lapsed.status == "held"
    assert code(reserve(make_client(), lapsed.timeslot)) == GRANTED


# --- Which reason is given -----------------------------------------------------------------------


def test_every_other_reason_comes_first(clock, client_at_the_limit):
    unknown = make_timeslot()
    unknown.pk = 2**63 - 1
    assert code(reserve(client_at_the_limit, unknown)) == (404, "timeslot_not_found")
    too_soon = make_timeslot(starts_in=DAY - MOMENT)
    assert code(reserve(client_at_the_limit, too_soon)) == (409, "notice_too_short")
    for taken in (make_hold(), make_hold(client=client_at_the_limit, status="confirmed")):
        assert code(reserve(client_at_the_limit, taken.timeslot)) == TAKEN
    own = Reservation.objects.filter(client=client_at_the_limit, status="held").first()
    assert code(reserve(client_at_the_limit, own.timeslot)) == TAKEN


def test_who_reserves_comes_before_how_many_they_hold(clock):
    nobody = make_client()
    nobody.pk = 2**63 - 1
    assert code(reserve(nobody, make_timeslot())) == (404, "client_not_found")


# --- How it is counted ---------------------------------------------------------------------------


def the_count(is_postgresql, client):
    """The count of a client's live holds as reserve makes it, and its parameters."""
    timeslot, statements = make_timeslot(), []

    def note(execute, sql, params, many, context):
        statements.append((sql, params))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(note):
        assert code(reserve(client, timeslot)) == GRANTED
    [(sql, params)] = statements
    if not is_postgresql:
        return sql, params
    with connection.cursor() as cursor:
        cursor.execute("SELECT prosrc FROM pg_proc WHERE proname = 'scheduling_live_holds'")
        [[body]] = cursor.fetchall()
    count = re.search(r"RETURN \((.*)\);", body, re.DOTALL)[1]
    return re.sub("of_client|moment", "%s", count), [client.pk, timezone.now()]


def test_it_is_counted_by_client_whatever_the_statistics_say(clock, is_postgresql):
    client = make_client()
    hold = make_hold(client=client, status="expired")
    row = {field.attname: getattr(hold, field.attname) for field in Reservation._meta.fields}
    Reservation.objects.bulk_create(Reservation(**row | {"id": None}) for _ in range(5000))
    timeslots = timeslots_of(make_provider(), 1000)
    with connection.cursor() as cursor:
        # It sees no hold, and there are many soon after.
        cursor.execute("ANALYZE")
    others = make_client()
    Reservation.objects.bulk_create(
        Reservation(
            **row
            | {"id": None, "status": "held", "timeslot_id": one.pk, "client_id": others.pk}
            | {"provider_id": one.provider_id}
            | {"start_time": one.start_time, "end_time": one.end_time}
        )
        for one in timeslots
    )
    sql, params = the_count(is_postgresql, client)
    with connection.cursor() as cursor:
        cursor.execute(("EXPLAIN " if is_postgresql else "EXPLAIN QUERY PLAN ") + sql, params)
        plan = str(cursor.fetchall())
    assert "scheduling_held_by_client" in plan


# --- At the same time ----------------------------------------------------------------------------


@at_the_same_time
def test_each_client_gets_as_many_as_are_allowed_however_many_they_ask_for_at_once():
    clients, timeslots = [make_client(), make_client()], timeslots_of(make_provider(), 20)
    for _ in range(3):
        answers = at_once(
            *(partial(reserve, clients[nth % 2], one) for nth, one in enumerate(timeslots))
        )
        for which in (0, 1):
            given = Counter(code(answer) for answer in answers[which::2])
            assert given == {GRANTED: 2, TOO_MANY: 8}
        assert Reservation.objects.count() == 4
        Reservation.objects.all().delete()


@at_the_same_time
def test_control_counting_before_inserting_gives_a_client_all_of_them():
    client, timeslots = make_client(), timeslots_of(make_provider(), 10)
    everybody_has_counted = threading.Barrier(10, timeout=LONGEST_WAIT)

    def count_then_insert(timeslot):
        has_room = Reservation.objects.filter(client=client, status="held").count() < 2
        everybody_has_counted.wait()
        if has_room:
            make_hold(timeslot, client)
        return has_room

    won = at_once(*(partial(count_then_insert, timeslot) for timeslot in timeslots))
    assert (sum(won), Reservation.objects.count()) == (10, 10)


@at_the_same_time
def test_each_client_takes_over_as_many_lapsed_holds_as_are_allowed():
    clients, provider = [make_client(), make_client()], make_provider()
    lapsed = [make_hold(one, clients[0], age=2 * HOLD) for one in timeslots_of(provider, 12)]
    answers = at_once(
        *(partial(reserve, clients[nth % 2], hold.timeslot) for nth, hold in enumerate(lapsed))
    )
    for which in (0, 1):
        assert Counter(map(code, answers[which::2])) == {GRANTED: 2, TOO_MANY: 4}
    assert Counter(Reservation.objects.values_list("status", flat=True)) == {
        "expired": 4,
        "held": 8 + 4,
    }


@contextlib.contextmanager
def without_the_lock():
    """SQLite has none to leave out: there, nobody writes while another does."""
    if connection.vendor != "postgresql":
        yield
        return
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_get_functiondef('scheduling_live_holds'::regproc)")
        [guarded] = cursor.fetchone()
        unguarded = "\n".join(one for one in guarded.splitlines() if "FOR NO KEY" not in one)
        assert unguarded != guarded
        cursor.execute(unguarded)
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute(guarded)


@at_the_same_time
@pytest.mark.parametrize("guard", [contextlib.nullcontext, without_the_lock])
def test_a_reserve_waits_for_the_clients_other_one_and_counts_it(settings, is_postgresql, guard):
    settings.MAX_HOLDS_PER_CLIENT = 1
    client, (first, second) = make_client(), timeslots_of(make_provider(), 2)
    with (
        guard(),
        started_after("INSERT", partial(reserve, client, second)) as other,
        transaction.atomic(),
    ):
        assert booking.reserve(client_id=client.pk, timeslot_id=first.pk)
    [answer] = other[0].result(LONGEST_WAIT)
    is_the_control = is_postgresql and guard is without_the_lock
    assert code(answer) == (GRANTED if is_the_control else TOO_MANY)
    assert Reservation.objects.count() == (2 if is_the_control else 1)


@at_the_same_time
def test_postgresql_does_not_count_by_a_function_that_sees_no_more_than_its_statement(
    is_postgresql,
):
    client, timeslot = make_client(), make_timeslot()
    if not is_postgresql:
        assert booking.reserve(client_id=client.pk, timeslot_id=timeslot.pk)
        return
    change = "ALTER FUNCTION scheduling_live_holds "
    with connection.cursor() as cursor:
        cursor.execute(change + "STABLE")
    try:
        with pytest.raises(DatabaseError, match="non-volatile function"):
            booking.reserve(client_id=client.pk, timeslot_id=timeslot.pk)
    finally:
        with connection.cursor() as cursor:
            cursor.execute(change + "VOLATILE")
    assert booking.reserve(client_id=client.pk, timeslot_id=timeslot.pk)


@at_the_same_time
def test_a_takeover_and_another_reserve_of_the_client_do_not_wait_for_each_other(clock):
    client, lapsed = make_client(), make_hold(age=HOLD + MOMENT)
    with started_after("UPDATE", partial(reserve, client, lapsed.timeslot)) as other:
        answer = reserve(client, lapsed.timeslot)
    answers = [answer, *other[0].result(LONGEST_WAIT)]
    assert Counter(map(code, answers)) == {GRANTED: 1, TAKEN: 1}
    lapsed.refresh_from_db()
    assert lapsed.status == "expired"
