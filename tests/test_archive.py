"""manage.py archive: the past moves to the analytics database, and is never in neither."""

import itertools
import os
import random
import subprocess
import sys
from collections import Counter
from datetime import timedelta
from io import StringIO
from types import SimpleNamespace

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError, connections

from analytics import archive, tasks
from analytics.models import (
    ArchivedClient,
    ArchivedEvent,
    ArchivedProvider,
    ArchivedReservation,
    ArchivedTimeslot,
)
from scheduling import relay
from scheduling.models import (
    ArchivedHistory,
    EventReader,
    Notification,
    Reservation,
    ReservationEvent,
    Timeslot,
    WebhookDelivery,
)

from .concurrency import LONGEST_WAIT, at_once
from .database import free_port
from .factories import (
    QUARTER,
    make_hold,
    make_provider,
    make_timeslot,
    make_webhook,
)
from .server import ROOT
from .test_events import events

DATABASES = ["default", "analytics"]
pytestmark = pytest.mark.django_db(databases=DATABASES)
DAY = timedelta(days=1)
OLD = 180 * DAY
MOVES = [
    (Reservation, ArchivedReservation),
    (ReservationEvent, ArchivedEvent),
    (Timeslot, ArchivedTimeslot),
]


def make_past(status="confirmed", provider=None, client=None, ago=OLD + DAY, age=DAY):
    """A reservation whose timeslot began so long ago; made `age` before that."""
    timeslot = make_timeslot(provider, starts_in=-ago)
    return make_hold(timeslot, client, age=ago + age, status=status)


def run(*arguments):
    printed = StringIO()
    call_command("archive", "--older-than", "180d", *arguments, stdout=printed)
    return printed.getvalue()


def ids(kind):
    return set(kind._default_manager.values_list("pk", flat=True))


def everything():
    """The ids in each place."""
    return {kind: (ids(kind), ids(past)) for kind, past in MOVES}


def counts():
    return {kind: (len(here), len(there)) for kind, (here, there) in everything().items()}


@pytest.mark.parametrize("status", ["confirmed", "expired", "cancelled"])
def test_what_is_over_moves_with_its_events_and_names(clock, status):
    past = make_past("held")
    by_provider = {"changed_by": "provider", "reason": "ill" if status == "cancelled" else ""}
    Reservation.objects.update(status=status, version=2, **by_provider)
    [reservation], [timeslot] = Reservation.objects.values(), Timeslot.objects.values()
    of_history = list(ReservationEvent.objects.order_by("pk").values())
    assert run() == (
        "moved 1 reservations with 2 events, and 1 timeslots; 0 reservations are needed still\n"
    )
    assert counts() == {Reservation: (0, 1), ReservationEvent: (0, 2), Timeslot: (0, 1)}
    assert list(ArchivedReservation.objects.values()) == [reservation]
    assert list(ArchivedTimeslot.objects.values()) == [timeslot]
    assert list(ArchivedEvent.objects.order_by("pk").values()) == of_history
    for kind, person in ((ArchivedClient, past.client), (ArchivedProvider, past.provider)):
        archived = kind.objects.get(pk=person.pk)
        assert (archived.first_name, archived.last_name) == (person.first_name, person.last_name)


def test_a_timeslot_that_nobody_reserved_moves(clock):
    make_timeslot(starts_in=-OLD - DAY)
    run()
    assert counts()[Timeslot] == (0, 1)
    assert ArchivedProvider.objects.count() == 1


@pytest.mark.parametrize(
    ("ago", "moves"),
    [(timedelta(minutes=15, microseconds=1), True), (timedelta(minutes=15), False)],
)
def test_it_is_over_once_it_has_ended(clock, ago, moves):
    make_past(ago=OLD + ago)
    run()
    assert counts()[Reservation] == counts()[Timeslot] == ((0, 1) if moves else (1, 0))


@pytest.mark.parametrize("status", ["held", "confirmed", "cancelled"])
def test_what_is_to_come_is_never_touched(clock, status):
    make_hold(make_timeslot(starts_in=DAY), age=2 * OLD, status=status)
    run()
    assert counts() == {Reservation: (1, 0), ReservationEvent: (1, 0), Timeslot: (1, 0)}


def test_what_changed_since_stays_but_its_timeslot_need_not(clock):
    past = make_past()
    Reservation.objects.update(status="cancelled", changed_at=clock.now - DAY)
    run()
    assert counts() == {Reservation: (1, 0), ReservationEvent: (2, 0), Timeslot: (0, 1)}
    clock.shift(days=180)
    run()
    assert Reservation.objects.filter(pk=past.pk).count() == 0


def test_a_lapsed_hold_stays_until_it_is_written_down(clock):
    make_past("held")
    run()
    assert counts() == {Reservation: (1, 0), ReservationEvent: (1, 0), Timeslot: (1, 0)}


def test_twice_moves_nothing_more(clock):
    make_past()
    run()
    before = everything()
    assert run().startswith("moved 0 reservations with 0 events, and 0 timeslots;")
    assert everything() == before


def test_it_goes_in_batches_each_for_itself(clock, monkeypatch):
    monkeypatch.setattr(archive, "BATCH", 2)
    provider = make_provider()
    for nth in range(5):
        make_past(provider=provider if nth else None, ago=OLD + DAY + nth * DAY)
    stops = iter([False, True, True])
    moved = archive.archive(older_than=OLD, should_stop=lambda: next(stops))
    assert moved == {"reservations": 2, "events": 2, "timeslots": 0, "needed": 0}
    assert counts() == {Reservation: (3, 2), ReservationEvent: (3, 2), Timeslot: (5, 0)}
    run()
    assert counts() == {Reservation: (0, 5), ReservationEvent: (0, 5), Timeslot: (0, 5)}


# --- What is needed still ------------------------------------------------------------------------


def make_delivery(event, **fields):
    times = {"created_at": event.happened_at, "next_attempt_at": event.happened_at}
    return WebhookDelivery.objects.create(
        webhook=make_webhook(), event=event, reservation_id=event.reservation_id, **times, **fields
    )


def make_notification(event, **fields):
    times = dict.fromkeys(("created_at", "due_at", "next_attempt_at"), event.happened_at)
    return Notification.objects.create(
        **{"kind": "reserved", "party": "client", "event": event, **times, **fields},
        reservation_id=event.reservation_id,
    )


@pytest.mark.parametrize("make", [make_delivery, make_notification])
@pytest.mark.parametrize("is_finished", [True, False])
def test_what_was_or_will_be_sent_stays_until_that_is_purged(clock, make, is_finished):
    make_past()
    past = make_past()
    event = ReservationEvent.objects.get(reservation_id=past.pk)
    status = {make_delivery: "failed", make_notification: "sent"}[make]
    finished = {"status": status, "finished_at": clock.now - 29 * DAY} if is_finished else {}
    make(event, **finished)
    for name in ("webhooks", "notifications"):
        position = {"transaction_id": event.transaction_id, "event_id": event.pk}
        EventReader.objects.update_or_create(name=name, defaults=position)
    assert run() == (
        "moved 1 reservations with 1 events, and 1 timeslots; 1 reservations are needed still\n"
    )
    assert ids(Reservation) == {past.pk}
    call_command("purge", verbosity=0)
    run()
    assert ids(Reservation) == {past.pk}
    clock.shift(days=1)
    call_command("purge", verbosity=0)
    run()
    assert ids(Reservation) == (set() if is_finished else {past.pk})


def test_what_webhooks_have_not_been_told_stays(clock, anything_settled):
    past = make_past()
    webhook = make_webhook(age=clock.now - past.created_at)
    assert "1 reservations are needed still" in run()
    relay.follow("webhooks", lambda events: None)
    relay.follow("notifications", lambda events: None)
    assert "moved 1 reservations" in run()
    past = make_past()
    assert "1 reservations are needed still" in run()
    webhook.created_at = past.created_at + timedelta(microseconds=1)  # it is not told what was
    webhook.save()
    assert "moved 1 reservations" in run()


def test_what_people_have_not_been_told_stays_as_long_as_that_is_news(clock, anything_settled):
    make_past(ago=DAY + QUARTER, age=2 * DAY - QUARTER)
    clock.shift(microseconds=1)
    assert archive.archive(older_than=DAY)["reservations"] == 1
    make_past(ago=DAY + QUARTER, age=DAY)
    clock.shift(microseconds=1)
    assert archive.archive(older_than=DAY)["needed"] == 1
    relay.follow("webhooks", lambda events: None)
    relay.follow("notifications", lambda events: None)
    assert archive.archive(older_than=DAY)["reservations"] == 1


# --- Who reads the history, and the lists --------------------------------------------------------


def test_who_is_behind_what_was_archived_is_told(api, clock, anything_settled):
    ours, other = make_past(), make_past()
    make_hold()
    at_first, at_second = (
        events(api, limit=1)["after"],
        events(api, provider_id=other.provider_id)["after"],
    )
    run()
    assert counts()[ReservationEvent] == (1, 2)

    def asked(after, **query):
        answer = api.get("/events", {"after": after, **query})
        return answer.status_code if answer.status_code != 410 else answer.json()["code"]

    assert asked(at_first) == "history_archived"
    assert asked(at_first, provider_id=other.provider_id) == "history_archived"
    assert asked(at_first, client_id=other.client_id) == "history_archived"
    both = {"provider_id": ours.provider_id, "client_id": other.client_id}
    assert asked(at_first, **both) == "history_archived"
    # They have had all there was of them.
    assert asked(at_first, provider_id=ours.provider_id) == 200
    assert asked(at_first, client_id=ours.client_id) == 200
    assert asked(at_second, provider_id=other.provider_id) == 200
    assert len(events(api, after=at_second)["events"]) == len(events(api)["events"]) == 1


def test_what_was_written_down_later_than_it_was_changed_stays(clock):
    """As when its client was forgotten: else all would be behind who have not read that yet."""
    make_past()
    ReservationEvent.objects.update(happened_at=clock.now - OLD)
    assert "1 reservations are needed still" in run()
    clock.shift(microseconds=1)
    assert "moved 1 reservations" in run()


def test_the_mark_is_at_the_last_event_in_whatever_order_they_leave(clock, monkeypatch):
    monkeypatch.setattr(archive, "BATCH", 1)
    providers = [make_provider(), make_provider()]
    make_past(provider=providers[1])
    last = make_past(provider=providers[0])  # which leaves first
    event = ReservationEvent.objects.get(reservation_id=last.pk)
    run()
    mark = ArchivedHistory.objects.get(pk="everybody")
    assert (mark.transaction_id, mark.event_id) == event.position


def test_after_a_restore_elsewhere_no_mark_keeps_readers_out(api, clock, is_postgresql):
    make_past()
    run()
    assert ArchivedHistory.objects.count() == 3
    relay.renumber()
    assert ArchivedHistory.objects.count() == 3
    ArchivedHistory.objects.update(transaction_id=10**12)
    relay.renumber()
    assert ArchivedHistory.objects.count() == (0 if is_postgresql else 3)


def test_no_tag_of_a_list_is_taken_for_an_older_one(api, clock, anything_settled):
    """It counts events: one that is archived and one that is new would cancel each other out."""
    provider = make_provider()
    timeslots = [make_timeslot(provider, starts_in=(400 + nth) * DAY) for nth in range(2)]

    def ask(**headers):
        url = "/client/getProviderAvailability"
        return api.get(url, {"provider_id": provider.pk}, headers=headers)

    make_past(provider=provider)
    tag = ask()["ETag"]
    make_hold(timeslots[0], status="confirmed")
    run()
    assert ask(**{"If-None-Match": tag}).status_code == 200
    assert ask(**{"If-None-Match": ask()["ETag"]}).status_code == 304


# --- Killed, and at once -------------------------------------------------------------------------


def test_what_was_read_too_long_ago_is_written_over_nothing(clock):
    past = make_past()
    stale = Reservation.objects.get(pk=past.pk)
    Reservation.objects.update(version=2)
    run()
    archive._copy([stale], [])
    assert ArchivedReservation.objects.get().version == 2


@pytest.mark.parametrize("change", [{"version": 2}, {"status": "cancelled"}])
@pytest.mark.django_db(databases=DATABASES, transaction=True)
def test_what_changes_amid_a_batch_stays(clock, change):
    past = make_past()

    def others():
        Reservation.objects.filter(pk=past.pk).update(**change)

    copy = archive._copy

    def copied(*args):
        found = copy(*args)
        at_once(others)
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(archive, "_copy", copied)
        run()
    assert ids(Reservation) == {past.pk}
    run()
    assert ids(Reservation) == set()
    assert set(change.items()) <= set(ArchivedReservation.objects.values()[0].items())


@pytest.fixture
def database_urls(database_url, is_postgresql):
    """Of both databases, whose rows other processes can see."""
    past = connections["analytics"].settings_dict["NAME"]
    address = database_url.rpartition("/")[0]
    return {
        "DATABASE_URL": database_url,
        "ANALYTICS_DATABASE_URL": f"{address}/{past}" if is_postgresql else f"sqlite:///{past}",
    }


@pytest.mark.django_db(databases=DATABASES, transaction=True)
def test_killed_at_any_point_each_row_is_in_one_place_or_in_both(database_urls):
    kept = {make_past("held").pk, make_hold().pk}
    in_both = Counter()
    with Mortal(database_urls) as mortal:

        def kill(how, total):
            fate = mortal.dies(how)
            assert fate in ("killed", "done"), how
            for kind, (here, there) in everything().items():
                assert here | there == total[kind], how
                in_both[kind] += bool(here & there)
            return fate

        total = make_much_past()
        # After each statement of one batch and more; then of one whose reservations have left.
        for kind, past in MOVES[0], MOVES[2]:
            ways = itertools.count(1)
            while len(ids(past)) < len(archive.FINISHED):
                kill(next(ways), total)
            assert next(ways) > 10, kind
            assert in_both[kind] > 2
        total = make_much_past()
        for _ in range(5):
            kill(random.uniform(0.005, 0.1), total)
        assert kill(10**6, total) == "done"
    assert ids(Reservation) == kept
    assert not any(here & there for here, there in everything().values())


def make_much_past():
    """A reservation of each kind, two of them of one provider; all that there is after that."""
    provider = make_provider()
    for nth, status in enumerate(archive.FINISHED):
        make_past(status, provider if nth else None, ago=OLD + (nth + 1) * DAY)
    return {kind: here | there for kind, (here, there) in everything().items()}


class Mortal:
    """tests/mortal_archive.py, as a process."""

    def __init__(self, database_urls):
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.mortal_archive"],
            cwd=ROOT,
            env=os.environ | database_urls,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def dies(self, how):
        self.process.stdin.write(f"{how}\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait(LONGEST_WAIT)
        self.process.stdout.close()


@pytest.mark.django_db(databases=DATABASES, transaction=True)
def test_several_at_once_move_everything_once(monkeypatch):
    monkeypatch.setattr(archive, "BATCH", 2)
    total = make_much_past()
    moved = at_once(*[lambda: archive.archive(older_than=OLD)] * 3)
    assert everything() == {kind: (set(), pks) for kind, pks in total.items()}
    for kind, name in ((Reservation, "reservations"), (Timeslot, "timeslots")):
        assert sum(one[name] for one in moved) == len(total[kind])


@pytest.mark.django_db(databases=DATABASES, transaction=True)
def test_callers_do_not_notice(api, monkeypatch):
    monkeypatch.setattr(archive, "BATCH", 1)
    provider = make_provider()
    make_much_past()
    past = [make_past(provider=provider, ago=OLD + nth * DAY) for nth in range(1, 10)]
    timeslots = [make_timeslot(provider, starts_in=nth * DAY) for nth in range(2, 14)]
    client = past[0].client

    def book(mine):
        for timeslot in mine:
            asked = {"client_id": client.pk, "timeslot_id": timeslot.pk}
            held = api.post("/client/reserve", asked).json()["Reservation scheduled"]
            asked = {"client_id": client.pk, "reservation_id": held["reservation_id"]}
            assert api.put("/client/confirm", asked).status_code == 200

    at_once(
        lambda: archive.archive(older_than=OLD),
        lambda: book(timeslots[::2]),
        lambda: book(timeslots[1::2]),
    )
    live = Reservation.objects.filter(status="confirmed").values_list("timeslot_id", flat=True)
    assert set(live) == ids(Timeslot) == {timeslot.pk for timeslot in timeslots}
    assert ArchivedReservation.objects.count() == len(archive.FINISHED) + len(past)


# --- The command ---------------------------------------------------------------------------------


def manage(*arguments, **environment):
    return subprocess.Popen(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.django_db(databases=DATABASES, transaction=True)
def test_of_two_first_runs_one_makes_the_tables(database_url, tmp_path):
    make_past()
    place = {"DATABASE_URL": database_url, "ANALYTICS_DATABASE_URL": f"sqlite:///{tmp_path}/a"}
    runs = [manage("archive", "--older-than=180d", **place) for _ in range(2)]
    said = [run.communicate(timeout=LONGEST_WAIT) for run in runs]
    assert [run.returncode for run in runs] == [0, 0], said
    assert sorted("moved 1 reservations" in printed for printed, _ in said) == [False, True]


@pytest.mark.django_db(databases=DATABASES, transaction=True)
def test_while_the_analytics_database_is_away_nothing_moves(database_url, is_postgresql, tmp_path):
    make_past()
    away = (
        f"postgresql://postgres@127.0.0.1:{free_port()}/postgres"
        if is_postgresql
        else f"sqlite:///{tmp_path}/missing/a"
    )
    run = manage(
        "archive", "--older-than=1d", DATABASE_URL=database_url, ANALYTICS_DATABASE_URL=away
    )
    printed, complaint = run.communicate(timeout=LONGEST_WAIT)
    assert (run.returncode, printed) == (1, "")
    assert "The analytics database cannot be used" in complaint
    assert "Traceback" not in complaint
    assert Reservation.objects.count() == Timeslot.objects.count() == 1


def test_when_it_goes_away_amid_a_batch_nothing_is_lost(clock, monkeypatch):
    make_past()

    def away(*_, **__):
        raise OperationalError("gone")

    monkeypatch.setattr(ArchivedReservation, "objects", SimpleNamespace(filter=away))
    with pytest.raises(CommandError, match="The analytics database cannot be used: gone"):
        run()
    assert Reservation.objects.count() == 1


@pytest.mark.parametrize("days", ["180", "0d", "-1d", "1.5d", "d", "", "36501d", "\u0661d", "1d "])
def test_it_refuses_an_age_that_is_none(days):
    with pytest.raises(CommandError, match="must be a number of days such as 180d"):
        call_command("archive", f"--older-than={days}")


def test_without_an_age_it_takes_the_setting(clock, settings):
    make_past(ago=30 * DAY + QUARTER)
    with pytest.raises(CommandError, match="ARCHIVE_AFTER_DAYS"):
        call_command("archive")
    settings.ARCHIVE_AFTER = 30 * DAY
    call_command("archive", stdout=StringIO())
    assert counts()[Reservation] == (1, 0)
    clock.shift(microseconds=1)
    tasks.archive()
    assert counts()[Reservation] == (0, 1)


def test_after_a_restore_elsewhere_readers_go_on_though_all_they_read_is_archived(
    clock, is_postgresql, anything_settled
):
    make_past()
    relay.follow("webhooks", lambda events: None)
    run()
    assert not ReservationEvent.objects.exists()
    if is_postgresql:
        EventReader.objects.update(transaction_id=10**12)
    make_hold()
    relay.renumber()
    assert relay.has_news("webhooks")


def test_a_batch_of_which_all_is_needed_is_not_copied(clock, monkeypatch):
    make_past()
    make_notification(ReservationEvent.objects.last())
    monkeypatch.setattr(archive, "_copy", None)
    assert "1 reservations are needed still" in run()
