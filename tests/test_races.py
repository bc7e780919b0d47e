"""Callers who meet at one moment: real threads, real commits, and exactly one of them wins.

Each race has a control: with its guard off the same callers all win, so the race would notice.
"""

import contextlib
import importlib
import itertools
import threading
from collections import Counter
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
import requests
import time_machine
from django.conf import settings
from django.db import DatabaseError, IntegrityError, connection
from django.utils import timezone

from scheduling import availability, booking, errors, expiry
from scheduling.calendars import Window
from scheduling.models import Reservation, Timeslot

from .concurrency import LONGEST_WAIT, at_once, right_after, rows_of
from .conftest import JSONClient
from .factories import QUARTER, make_client, make_hold, make_provider, make_timeslot

pytestmark = pytest.mark.django_db(transaction=True)

TICK = timedelta(microseconds=1)


def reserve(client, timeslot):
    body = {"client_id": client.pk, "timeslot_id": timeslot.pk}
    return JSONClient().post("/client/reserve", body)


def confirm(hold):
    body = {"client_id": hold.client_id, "reservation_id": hold.pk}
    return JSONClient().put("/client/confirm", body)


def sweep():
    """The ids of the timeslots that one sweep over HTTP released."""
    answer = JSONClient().put("/provider/expiredReservations")
    assert answer.status_code == 200, answer.content
    [released] = answer.json().values()
    return [timeslot["timeslot_id"] for timeslot in released]


def publish(provider, start_time, end_time):
    body = {"provider_id": provider.pk, "start_time": start_time, "end_time": end_time}
    return JSONClient().post("/provider/availability", body)


def codes(answers):
    return Counter((answer.status_code, answer.json().get("code")) for answer in answers)


def live(timeslot):
    return Reservation.objects.filter(timeslot=timeslot, status__in=["held", "confirmed"])


@contextlib.contextmanager
def without_the_unique_index():
    [constraint] = (
        constraint
        for constraint in Reservation._meta.constraints
        if constraint.name == "scheduling_reservation_one_live_per_timeslot"
    )
    with connection.schema_editor() as editor:
        editor.remove_constraint(Reservation, constraint)
    try:
        yield
    finally:
        Reservation.objects.all().delete()
        with connection.schema_editor() as editor:
            editor.add_constraint(Reservation, constraint)


@contextlib.contextmanager
def without_the_overlap_constraint():
    migration = importlib.import_module("scheduling.migrations.0002_timeslots_never_overlap")
    with connection.schema_editor() as editor:
        migration.backward(None, editor)
    try:
        yield
    finally:
        Timeslot.objects.all().delete()
        with connection.schema_editor() as editor:
            migration.forward(None, editor)


# --- Reserve -------------------------------------------------------------------------------------


def test_one_of_twenty_clients_gets_the_timeslot():
    timeslot = make_timeslot()
    clients = [make_client() for _ in range(20)]
    answers = at_once(*(partial(reserve, client, timeslot) for client in clients))
    assert codes(answers) == {(200, None): 1, (409, "timeslot_taken"): 19}
    [winner] = [answer.json() for answer in answers if answer.status_code == 200]
    assert live(timeslot).get().pk == winner["Reservation scheduled"]["reservation_id"]
    assert Reservation.objects.count() == 1


def test_clients_of_different_timeslots_do_not_disturb_each_other():
    provider, client = make_provider(), make_client()
    timeslots = [
        make_timeslot(provider, starts_in=timedelta(days=2) + nth * QUARTER) for nth in range(20)
    ]
    answers = at_once(*(partial(reserve, client, one) for one in timeslots))
    assert codes(answers) == {(200, None): 20}
    assert Reservation.objects.count() == 20


def test_reserve_cannot_run_without_the_unique_index():
    timeslot, client = make_timeslot(), make_client()
    with without_the_unique_index():
        with pytest.raises(DatabaseError, match=r"ON CONFLICT"):
            booking.reserve(client_id=client.pk, timeslot_id=timeslot.pk)
        assert not Reservation.objects.exists()
    assert booking.reserve(client_id=client.pk, timeslot_id=timeslot.pk)


def look_then_insert(client, timeslot, everybody_has_looked):
    """The reserve that this service does not have."""
    is_taken = live(timeslot).exists()
    everybody_has_looked.wait()
    if not is_taken:
        make_hold(timeslot, client)
    return not is_taken


def insert_without_a_guard(client, timeslot, _):
    """The statement of reserve, less its ON CONFLICT clause."""
    now = connection.ops.adapt_datetimefield_value(timezone.now())
    later = connection.ops.adapt_datetimefield_value(timezone.now() + settings.HOLD)
    sql = """
        INSERT INTO scheduling_reservation (
            provider_id, timeslot_id, client_id, start_time, end_time,
            status, created_at, expires_at, changed_at)
        SELECT timeslot.provider_id, timeslot.id, client.id,
               timeslot.start_time, timeslot.end_time, 'held', %s, %s, %s
          FROM scheduling_timeslot timeslot, scheduling_client client
         WHERE timeslot.id = %s AND client.id = %s
        RETURNING id
        """
    with connection.cursor() as cursor:
        cursor.execute(sql, [now, later, now, timeslot.pk, client.pk])
        return len(cursor.fetchall()) == 1


@pytest.mark.parametrize("unguarded", [look_then_insert, insert_without_a_guard])
def test_control_without_the_unique_index_every_client_gets_the_timeslot(unguarded):
    timeslot = make_timeslot()
    clients = [make_client() for _ in range(20)]
    everybody_has_looked = threading.Barrier(20, timeout=LONGEST_WAIT)
    with without_the_unique_index():
        won = at_once(
            *(partial(unguarded, client, timeslot, everybody_has_looked) for client in clients)
        )
        assert (sum(won), live(timeslot).count()) == (20, 20)


def test_the_unique_index_stops_even_a_naive_reserve():
    timeslot = make_timeslot()
    clients = [make_client() for _ in range(20)]
    everybody_has_looked = threading.Barrier(20, timeout=LONGEST_WAIT)

    def attempt(client):
        try:
            return look_then_insert(client, timeslot, everybody_has_looked)
        except IntegrityError:
            return False

    won = at_once(*(partial(attempt, client) for client in clients))
    assert (sum(won), live(timeslot).count()) == (1, 1)


# --- Publish -------------------------------------------------------------------------------------


def test_one_of_ten_overlapping_publishes_is_stored_whole(clock):
    provider = make_provider()
    # Every two of them overlap: they start 15 minutes apart and last 10 hours.
    windows = [
        (start_time, start_time + timedelta(hours=10))
        for start_time in (clock.now + timedelta(days=2) + nth * QUARTER for nth in range(10))
    ]
    answers = at_once(*(partial(publish, provider, *window) for window in windows))
    assert codes(answers) == {(201, None): 1, (409, "timeslots_overlap"): 9}
    [start_time] = [
        window[0]
        for window, answer in zip(windows, answers, strict=True)
        if answer.status_code == 201
    ]
    assert list(Timeslot.objects.order_by("start_time").values_list("start_time", "end_time")) == [
        (start_time + nth * QUARTER, start_time + (nth + 1) * QUARTER) for nth in range(40)
    ]
    first_clashes = {a.json()["timeslot_id"] for a in answers if a.status_code == 409}
    assert first_clashes <= set(Timeslot.objects.values_list("pk", flat=True))


def test_publishes_that_do_not_overlap_are_all_stored(clock):
    providers = [make_provider(), make_provider()]
    windows = [
        (provider, clock.now + timedelta(days=day), clock.now + timedelta(days=day, hours=8))
        for provider in providers
        for day in range(2, 7)
    ]
    answers = at_once(*(partial(publish, *window) for window in windows))
    assert codes(answers) == {(201, None): 10}
    assert Timeslot.objects.count() == 10 * 32


def publish_at_odd_minutes(provider, start_time):
    """No two begin at one moment, so that the overlap constraint alone is between them."""
    window = Window(start_time, start_time + timedelta(hours=2), timedelta(minutes=15))
    try:
        return len(availability.publish(provider_id=provider.pk, windows=[window]))
    except errors.TimeslotsOverlap:
        return 0


@pytest.mark.parametrize(
    ("guard", "stored"),
    [(contextlib.nullcontext, 8), (without_the_overlap_constraint, 10 * 8)],
    ids=["guarded", "control"],
)
def test_without_the_overlap_constraint_every_publish_is_stored(clock, guard, stored):
    provider = make_provider()
    starts = [clock.now + timedelta(days=2, minutes=nth) for nth in range(10)]
    with guard():
        counts = at_once(*(partial(publish_at_odd_minutes, provider, start) for start in starts))
        assert (sum(counts), Timeslot.objects.count()) == (stored, stored)


# --- Sweep ---------------------------------------------------------------------------------------


def make_overdue_holds(count):
    """Overdue holds of one client, each on a timeslot of its own; the timeslots' ids."""
    provider, client = make_provider(), make_client()
    now = timezone.now()
    starts = [now + timedelta(days=2) + nth * QUARTER for nth in range(count)]
    timeslots = Timeslot.objects.bulk_create(
        Timeslot(provider=provider, start_time=start, end_time=start + QUARTER) for start in starts
    )
    Reservation.objects.bulk_create(
        Reservation(
            provider=provider,
            timeslot=timeslot,
            client=client,
            start_time=timeslot.start_time,
            end_time=timeslot.end_time,
            status=Reservation.Status.HELD,
            created_at=now - settings.HOLD - timedelta(minutes=1),
            expires_at=now - timedelta(minutes=1),
            changed_at=now - settings.HOLD - timedelta(minutes=1),
        )
        for timeslot in timeslots
    )
    return [timeslot.pk for timeslot in timeslots]


def test_sweeps_at_once_return_each_released_timeslot_once(clock, monkeypatch):
    monkeypatch.setattr(expiry, "BATCH", 7)
    timeslots = make_overdue_holds(200)
    swept = at_once(*[sweep] * 8)
    assert sorted(pk for released in swept for pk in released) == sorted(timeslots)
    assert not Reservation.objects.exclude(status="expired").exists()
    assert sweep() == []


def test_control_sweeps_that_read_then_write_return_timeslots_twice(clock):
    timeslots = make_overdue_holds(20)
    everybody_has_looked = threading.Barrier(4, timeout=LONGEST_WAIT)

    def read_then_write():
        overdue = list(Reservation.objects.overdue(timezone.now()))
        everybody_has_looked.wait()
        Reservation.objects.filter(pk__in=[one.pk for one in overdue]).update(status="expired")
        return [reservation.timeslot_id for reservation in overdue]

    swept = at_once(*[read_then_write] * 4)
    returned = Counter(pk for released in swept for pk in released)
    assert returned == dict.fromkeys(timeslots, 4)


# --- Confirm against sweep -----------------------------------------------------------------------


def test_a_confirm_in_time_and_a_sweep_just_after_have_one_effect():
    client, provider = make_client(), make_provider()
    for nth in range(30):
        timeslot = make_timeslot(provider, starts_in=timedelta(days=2) + nth * QUARTER)
        hold = make_hold(timeslot, client)
        confirmed, *swept = at_once(
            partial(
                Reservation.objects.confirm,
                reservation_id=hold.pk,
                client_id=client.pk,
                now=hold.expires_at,
            ),
            *[partial(Reservation.objects.expire_oldest, limit=9, now=hold.expires_at + TICK)] * 3,
        )
        effects = [one.pk for one in [confirmed, *itertools.chain(*swept)] if one]
        assert effects == [hold.pk]
        hold.refresh_from_db()
        assert hold.status == ("confirmed" if confirmed else "expired")
        Reservation.objects.all().delete()


def test_holds_whose_deadline_passes_under_load_are_confirmed_or_released_never_both():
    timeslots = make_overdue_holds(60)
    holds = list(Reservation.objects.order_by("pk"))
    first_deadline = timezone.now()
    for nth, hold in enumerate(holds):
        hold.expires_at = first_deadline + nth * timedelta(milliseconds=5)
    Reservation.objects.bulk_update(holds, ["expires_at"])
    done = threading.Event()

    def confirm_each():
        # The last first: the deadlines come towards it, and they meet on the way.
        try:
            return {hold.pk: confirm(hold).status_code for hold in reversed(holds)}
        finally:
            done.set()

    def sweep_on():
        released = []
        while not done.is_set():
            released += sweep()
        return released

    with time_machine.travel(first_deadline, tick=True):
        statuses, *swept = at_once(confirm_each, sweep_on, sweep_on)
    with time_machine.travel(first_deadline + timedelta(minutes=1), tick=False):
        swept.append(sweep())
    assert set(statuses.values()) <= {200, 410}
    confirmed = {hold.timeslot_id for hold in holds if statuses[hold.pk] == 200}
    assert sorted(pk for released in swept for pk in released) == sorted(set(timeslots) - confirmed)
    assert Reservation.objects.filter(status="confirmed").count() == len(confirmed)


def test_control_a_confirm_that_reads_then_writes_firms_up_a_released_timeslot(clock):
    hold = make_hold()
    has_looked, has_swept = (threading.Barrier(2, timeout=LONGEST_WAIT) for _ in range(2))

    def read_then_write():
        found = Reservation.objects.get(pk=hold.pk, status="held", expires_at__gte=hold.expires_at)
        has_looked.wait()
        has_swept.wait()
        found.status = "confirmed"
        found.save()

    def sweep_in_between():
        has_looked.wait()
        swept = Reservation.objects.expire_oldest(limit=10, now=hold.expires_at + TICK)
        has_swept.wait()
        return swept

    _, swept = at_once(read_then_write, sweep_in_between)
    hold.refresh_from_db()
    assert ([one.pk for one in swept], hold.status) == ([hold.pk], "confirmed")


# --- Taking over a hold that lapsed --------------------------------------------------------------


def test_one_of_ten_clients_takes_a_lapsed_hold_over(clock):
    hold = make_hold(age=settings.HOLD + TICK)
    clients = [make_client() for _ in range(10)]
    answers = at_once(*(partial(reserve, client, hold.timeslot) for client in clients))
    assert codes(answers) == {(200, None): 1, (409, "timeslot_taken"): 9}
    assert Counter(Reservation.objects.values_list("status", flat=True)) == {
        "expired": 1,
        "held": 1,
    }
    assert sweep() == []


def test_a_lapsed_hold_is_taken_over_although_sweeps_write_it_down_meanwhile(clock):
    provider, clients = make_provider(), [make_client() for _ in range(6)]
    for nth in range(20):
        timeslot = make_timeslot(provider, starts_in=timedelta(days=2) + nth * QUARTER)
        make_hold(timeslot, clients[0], age=settings.HOLD + TICK)
        *answers, first, second = at_once(
            *(partial(reserve, client, timeslot) for client in clients),
            sweep,
            sweep,
        )
        assert codes(answers) == {(200, None): 1, (409, "timeslot_taken"): 5}
        assert live(timeslot).count() == 1
        assert len(first + second) <= 1


def test_a_sweep_between_reserves_two_looks_does_not_cost_the_client_a_free_timeslot(clock):
    hold, client = make_hold(age=settings.HOLD + TICK), make_client()
    with right_after("INSERT INTO scheduling_reservation", sweep):
        answer = reserve(client, hold.timeslot)
    assert (answer.status_code, live(hold.timeslot).count()) == (200, 1)


def test_a_confirm_at_the_deadline_wins_over_a_takeover_that_has_already_looked(clock):
    hold, client = make_hold(age=settings.HOLD), make_client()

    def confirm_in_time():
        clock.shift(microseconds=-1)
        confirmed.append(confirm(hold).status_code)

    confirmed = []
    clock.shift(microseconds=1)
    with right_after("INSERT INTO scheduling_reservation", confirm_in_time):
        answer = reserve(client, hold.timeslot)
    assert (confirmed, answer.status_code, answer.json()["code"]) == ([200], 409, "timeslot_taken")
    assert live(hold.timeslot).get().status == "confirmed"


def test_a_takeover_and_a_confirm_of_the_old_hold_never_both_win():
    client, provider = make_client(), make_provider()
    for nth in range(30):
        timeslot = make_timeslot(provider, starts_in=timedelta(days=2) + nth * QUARTER)
        hold = make_hold(timeslot, client)
        # The clock runs on over the deadline while the callers are under way.
        with time_machine.travel(hold.expires_at - timedelta(milliseconds=nth % 6), tick=True):
            confirmed, *reserves = at_once(
                partial(confirm, hold),
                *[partial(reserve, client, timeslot)] * 3,
            )
        assert confirmed.status_code in (200, 410)
        assert {answer.status_code for answer in reserves} <= {200, 409}
        winners = [one for one in [confirmed, *reserves] if one.status_code == 200]
        assert len(winners) <= 1
        assert live(timeslot).exclude(pk=hold.pk, status="held").count() == len(winners)


# --- Over HTTP, against the server as it is run --------------------------------------------------


@pytest.mark.long
def test_twenty_clients_over_http_book_nothing_twice_and_meet_no_lock(server, empty_database_url):
    start_time = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) + timedelta(days=2)
    window = {
        "provider_id": 1,
        "start_time": start_time.isoformat(),
        "end_time": (start_time + timedelta(hours=15)).isoformat(),
    }
    published = requests.post(f"{server.base_url}/provider/availability", json=window, timeout=30)
    timeslots = [one["timeslot_id"] for one in published.json()["available timeslots"]]
    contested, own = timeslots[:20], timeslots[20:]
    assert len(own) == 40

    def play(nth):
        answers = []
        with requests.Session() as session:
            for timeslot in [*contested, *own[2 * nth : 2 * nth + 2]]:
                reserved = session.post(
                    f"{server.base_url}/client/reserve",
                    json={"client_id": nth % 2 + 1, "timeslot_id": timeslot},
                    timeout=30,
                )
                answers.append((timeslot, reserved.status_code))
                if reserved.status_code != 200:
                    continue
                reservation = reserved.json()["Reservation scheduled"]["reservation_id"]
                confirmed = session.put(
                    f"{server.base_url}/client/confirm",
                    json={"client_id": nth % 2 + 1, "reservation_id": reservation},
                    timeout=30,
                )
                assert confirmed.status_code == 200
        return answers

    answers = [
        one for some in at_once(*(lambda nth=n: play(nth) for n in range(20))) for one in some
    ]
    assert {status for _, status in answers} == {200, 409}
    assert sorted(one for one, status in answers if status == 200) == sorted(timeslots)
    stored = rows_of(empty_database_url, "SELECT timeslot_id, status FROM scheduling_reservation")
    assert sorted(stored) == [(timeslot, "confirmed") for timeslot in sorted(timeslots)]
    log = server.log.read_text()
    assert "locked" not in log
    assert "Traceback" not in log
