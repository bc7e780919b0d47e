"""The admin's front page: an operator who is woken up sees at once what is wrong."""

import re
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest
import yaml
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test.utils import CaptureQueriesContext

from scheduling import metrics, operations
from scheduling.models import (
    Notification,
    Reservation,
    Timeslot,
    WebhookAttempt,
    WebhookDelivery,
)
from scheduling.replica import replica

from .factories import make_client, make_hold, make_provider, make_timeslot, make_webhook
from .server import ROOT

HOLD = timedelta(minutes=30)
MOMENT = timedelta(microseconds=1)
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
SINCE_MIDNIGHT = timedelta(hours=9)  # at the clock's moment


def look(client):
    answer = client.get("/admin/")
    assert answer.status_code == 200
    return answer.content.decode()


def cells(html):
    """Of each row of a table, the words in its cells."""
    rows = re.findall(r"<tr>(.*?)</tr>", html, re.DOTALL)
    cell = re.compile(r"<t[dh][^>]*>(.*?)</t[dh]>", re.DOTALL)
    return [
        [" ".join(re.sub("<.*?>", " ", one).split()) for one in cell.findall(row)] for row in rows
    ]


def section(page, name):
    return re.search(rf'<section class="module {name}".*?</section>', page, re.DOTALL)[0]


def signs(client):
    """What is said of each thing that is looked at: whether it is well, and the finding."""
    found = cells(section(look(client), "signs"))[1:]
    return {name: (state, finding) for name, state, finding in found}


def counts(client):
    found = re.findall(r"<dt>(\w+)</dt><dd>(\d+)</dd>", look(client))
    return {name: int(count) for name, count in found}


def lapsing(client):
    return cells(section(look(client), "lapsing"))[1:]


def days(client):
    return cells(section(look(client), "utilisation"))[1:]


def test_an_empty_service_is_well(admin_client):
    page = look(admin_client)
    assert "All is well" in page
    assert {state for state, _ in signs(admin_client).values()} == {"ok"}
    assert set(counts(admin_client).values()) == {0}
    assert lapsing(admin_client) == []
    assert {tuple(hours) for _, *hours in days(admin_client)} == {("0", "0", "0")}
    # Django's own page is still there, below.
    assert "/admin/scheduling/reservation/" in page
    assert "Recent actions" in page


# --- Today ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("age", "count"), [(SINCE_MIDNIGHT, 1), (SINCE_MIDNIGHT + MOMENT, 0)])
@pytest.mark.parametrize(
    ("status", "name"),
    [
        ("held", "reserved"),
        ("confirmed", "confirmed"),
        ("cancelled", "cancelled"),
        ("expired", "expired"),
    ],
)
def test_a_day_begins_at_midnight_in_utc(admin_client, clock, status, name, age, count):
    make_hold(status=status, age=age)
    assert counts(admin_client) == {
        **{"reserved": 0, "confirmed": 0, "cancelled": 0, "expired": 0, "appointments": 0},
        name: count,
    }
    assert "Today, 30 November, in UTC" in look(admin_client)


@pytest.mark.parametrize(
    ("starts_in", "count"),
    [
        (-SINCE_MIDNIGHT, 1),
        (-SINCE_MIDNIGHT - SECOND, 0),
        (DAY - SINCE_MIDNIGHT - SECOND, 1),
        (DAY - SINCE_MIDNIGHT, 0),
    ],
)
def test_appointments_are_of_the_day_on_which_they_start(admin_client, clock, starts_in, count):
    make_hold(make_timeslot(starts_in=starts_in), status="confirmed")
    make_hold(make_timeslot(starts_in=starts_in))
    assert counts(admin_client)["appointments"] == count


def test_of_a_day_with_too_much_it_says_since_when_it_counts(admin_client, clock, monkeypatch):
    monkeypatch.setattr(operations, "MOST_EVENTS", 3)
    for hours in (10, 3, 2, 1):
        make_hold(age=hours * HOUR)
    assert counts(admin_client)["reserved"] == 3
    assert "from 06:00 on" in look(admin_client)


def test_a_day_of_just_so_much_is_counted_as_a_whole(admin_client, clock, monkeypatch):
    monkeypatch.setattr(operations, "MOST_EVENTS", 3)
    for hours in (11, 10, 1):
        make_hold(age=hours * HOUR)
    assert counts(admin_client)["reserved"] == 1
    assert "than is counted" not in look(admin_client)


# --- Holds about to lapse ------------------------------------------------------------------------


def test_holds_about_to_lapse_are_listed_soonest_first(admin_client, clock):
    alan = make_client("Alan", "Turing")
    ages = [21 * MINUTE, HOLD, 25 * MINUTE + timedelta(seconds=5), 20 * MINUTE]
    holds = [make_hold(client=alan, age=age) for age in ages]
    make_hold(age=20 * MINUTE - MOMENT)  # has more than ten minutes
    make_hold(age=HOLD + MOMENT)  # has lapsed
    make_hold(age=25 * MINUTE, status="confirmed")
    left = [(left, int(pk)) for left, pk, *_ in lapsing(admin_client)]
    nth = [hold.pk for hold in holds]
    assert left == [("0 s", nth[1]), ("4 min", nth[2]), ("9 min", nth[0]), ("10 min", nth[3])]
    assert lapsing(admin_client)[0][2:] == ["Alan Turing", "Ada Lovelace", "Wed 2 Dec, 09:00"]
    assert f'<a href="/admin/scheduling/reservation/{nth[1]}/change/">' in look(admin_client)


def test_of_many_holds_ten_are_listed(admin_client, clock):
    more = "More lapse than are listed here."
    for nth in range(12):
        make_hold(age=HOLD - nth * timedelta(seconds=1))
        assert (more in look(admin_client)) is (nth >= 10)
    assert [left for left, *_ in lapsing(admin_client)] == [f"{nth} s" for nth in range(10)]


# --- Health --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("late", "state"), [(2 * MINUTE, "ok"), (2 * MINUTE + MOMENT, "look")])
def test_a_sweep_that_is_late_is_seen(admin_client, clock, late, state):
    make_hold()
    make_hold(age=HOLD + late)
    found, finding = signs(admin_client)["Sweep of holds"]
    assert found == state
    assert finding.startswith(
        "1 live holds; 1 lapsed that nobody has written down, the first 2 min"
    )
    page = look(admin_client)
    assert ("ReservationsSweepLate" in page) == (state == "look")
    assert ("All is well" in page) == (state == "ok")
    assert (">Sweep of holds</a>: 1 live holds" in page) == (state == "look")


@pytest.mark.usefixtures("anything_settled")
@pytest.mark.parametrize(("age", "state"), [(MINUTE, "ok"), (MINUTE + MOMENT, "look")])
@pytest.mark.parametrize("reader", ["webhooks", "notifications"])
def test_events_that_nobody_passes_on_are_seen(admin_client, clock, settings, reader, age, state):
    def sign():
        return signs(admin_client)[f"Events for {reader}"]

    assert sign() == ("ok", "all passed on; nobody is to be told")
    make_hold(age=age)
    assert sign() == ("ok", "the oldest has been waiting for 60 s; nobody is to be told")
    make_webhook()
    settings.EMAIL_URL = "smtp://mail.example"
    found, finding = sign()
    assert found == state
    assert finding.startswith("the oldest has been waiting for 60 s")
    assert "told" not in finding


def make_attempts(*statuses, age=timedelta(0)):
    now = datetime.now(UTC)
    delivery = WebhookDelivery.objects.create(
        webhook=make_webhook(), created_at=now, next_attempt_at=now
    )
    for status in statuses:
        WebhookAttempt.objects.create(
            delivery=delivery, attempted_at=now - age, milliseconds=1, status=status
        )
    return delivery


@pytest.mark.parametrize(
    ("statuses", "age", "state"),
    [
        ([200, None], timedelta(0), "ok"),
        ([299, 199], timedelta(0), "ok"),
        ([200, None, 500], timedelta(0), "look"),
        ([200, 300, 404], 15 * MINUTE, "look"),
        ([200, None, 500], 15 * MINUTE + MOMENT, "ok"),
    ],
)
def test_webhooks_of_which_most_fail_are_seen(admin_client, clock, statuses, age, state):
    make_attempts(*statuses, age=age)
    found, finding = signs(admin_client)["Webhooks"]
    assert (found, finding.split(";")[0]) == (state, "1 pending")


@pytest.mark.parametrize(("age", "count"), [(HOUR, 1), (HOUR + MOMENT, 0)])
def test_deliveries_given_up_are_counted_for_an_hour(admin_client, clock, age, count):
    make_attempts()
    for status in ("failed", "delivered"):
        delivery = make_attempts()
        delivery.status, delivery.finished_at = status, clock.now - age
        delivery.save()
    assert f"1 pending; given up within the hour: {count};" in signs(admin_client)["Webhooks"][1]


def make_notification(reservation=None, age=timedelta(0), **fields):
    now = datetime.now(UTC)
    reservation = reservation or make_hold()
    values = {
        "kind": "webhook_disabled",
        "webhook": make_webhook(),
        "reservation_id": reservation.pk,
        "created_at": now - age,
        "due_at": now - age,
        "next_attempt_at": now - age,
    }
    return Notification.objects.create(**values | fields)


@pytest.mark.parametrize(("age", "state"), [(5 * MINUTE, "ok"), (5 * MINUTE + MOMENT, "look")])
def test_messages_that_nobody_sends_are_seen(admin_client, clock, age, state):
    """Those too that wait for a mail server that was away."""
    make_notification(age=age, next_attempt_at=clock.now + MINUTE)
    found, finding = signs(admin_client)["Messages to people"]
    assert (found, finding.split(";")[0]) == (state, "1 waiting")
    assert "has been waiting for 5 min" in finding


def test_messages_that_have_their_reason_to_wait_are_well(admin_client, clock):
    hold = make_hold()
    make_notification(hold, age=HOUR, attempts_made=1, next_attempt_at=clock.now + HOUR)
    make_notification(hold, age=HOUR)  # waits for the one before
    make_notification(age=-HOUR)  # is not due
    state, finding = signs(admin_client)["Messages to people"]
    assert (state, finding) == ("ok", "0 waiting; given up within the hour: 0")


@pytest.mark.parametrize(("age", "state"), [(HOUR, "look"), (HOUR + MOMENT, "ok")])
def test_messages_given_up_are_seen_for_an_hour(admin_client, clock, age, state):
    make_notification(status="failed", finished_at=clock.now - age)
    make_notification(status="sent", finished_at=clock.now)
    assert signs(admin_client)["Messages to people"][0] == state


def test_what_is_not_set_up_is_not_looked_at(admin_client):
    assert set(signs(admin_client)) == {
        *("Sweep of holds", "Events for webhooks", "Events for notifications"),
        *("Webhooks", "Messages to people"),
    }


@pytest.fixture
def gauge():
    """Set one of this process's, until the test ends."""
    changed = []

    def gauge(one, value):
        changed.append(one)
        one.set(value)

    yield gauge
    for one in changed:
        one.set(0)


@pytest.mark.parametrize(
    ("waiting", "failing", "state"), [(1000, 0, "ok"), (1001, 0, "look"), (0, 1, "look")]
)
def test_a_broker_that_is_away_is_seen(admin_client, settings, gauge, waiting, failing, state):
    settings.BROKER_URL = "amqp://nowhere"
    gauge(metrics.DEADLINES_WAITING, waiting)
    gauge(metrics.DEADLINES_FAILING, failing)
    assert signs(admin_client)["Deadlines for the broker"][0] == state


@pytest.mark.parametrize(("failing", "state"), [(0, "ok"), (2, "look")])
def test_a_redis_that_is_away_is_seen(admin_client, settings, gauge, failing, state):
    settings.REDIS_URL = "redis://nowhere"
    gauge(metrics.REDIS_FAILING, failing)
    assert signs(admin_client)["Redis"][0] == state


@pytest.mark.parametrize(("why", "state"), [("", "ok"), ("behind", "look")])
def test_a_replica_that_is_not_used_is_seen(admin_client, settings, monkeypatch, why, state):
    settings.HAS_REPLICA = True
    monkeypatch.setattr(replica, "not_used_because", why)
    found, finding = signs(admin_client)["Replica"]
    assert found == state
    assert why in finding


@pytest.mark.once
def test_it_draws_the_lines_where_the_alerts_do():
    rules = yaml.safe_load((ROOT / "deploy/alerts.yml").read_text())["groups"][0]["rules"]
    lines = {rule["alert"]: rule["expr"].strip() for rule in rules}
    for alert, line in {
        "ReservationsSweepLate": f"> {operations.LATE_SWEEP.total_seconds():g}",
        "ReservationsEventsUnread": f"> {operations.UNREAD_EVENT.total_seconds():g}",
        "ReservationsBrokerAway": "> 0",
        "ReservationsDeadlinesPileUp": f"> {operations.DEADLINES_WAITING}",
        "ReservationsWebhooksFail": f"> {operations.SHARE_OF_ATTEMPTS}",
        "ReservationsMessagesFail": "> 0",
    }.items():
        assert lines[alert].endswith(line)
    named = set(re.findall(r"Reservations\w+", (ROOT / "scheduling/operations.py").read_text()))
    explained = (ROOT / "docs/operations.md").read_text()
    assert named <= set(lines)
    assert all(f"| `{alert}` |" in explained for alert in named)


# --- The next days -------------------------------------------------------------------------------


def test_hours_are_those_published_held_and_confirmed(admin_client, clock):
    ada, tomorrow = make_provider(), DAY
    slots = [
        make_timeslot(ada, starts_in=tomorrow + nth * HOUR, length=HOUR if nth else HOUR / 2)
        for nth in range(5)
    ]
    make_hold(slots[0])
    make_hold(slots[1], status="confirmed")
    make_hold(slots[2], status="confirmed")
    make_hold(slots[3], age=HOLD + MOMENT)  # has lapsed: free, swept or not
    make_hold(slots[4], status="cancelled")
    make_hold(slots[4], status="expired")
    found = days(admin_client)
    assert len(found) == 14
    assert found[0] == ["Mon 30 Nov", "0", "0", "0"]
    assert found[1] == ["Tue 1 Dec", "4.50", "0.50", "2"]
    assert found[13] == ["Sun 13 Dec", "0", "0", "0"]
    page = look(admin_client)
    assert "Tue 1 Dec: 4.5 h published, 0.5 h held, 2 h confirmed" in page
    bars = re.findall(
        r'<rect class="(\w+)" x="([\d.]+)" y="([\d.]+)"[^>]* height="([\d.]+)"/>', page
    )
    assert {use for use, *_ in bars} == {"published", "held", "confirmed"}
    assert all(0 < float(y) < float(y) + float(height) < 220 for *_, y, height in bars)


@pytest.mark.parametrize(
    ("starts_in", "nth"),
    [
        (-SINCE_MIDNIGHT - SECOND, None),
        (-SINCE_MIDNIGHT, 0),
        (DAY - SINCE_MIDNIGHT - SECOND, 0),
        (DAY - SINCE_MIDNIGHT, 1),
        (14 * DAY - SINCE_MIDNIGHT - SECOND, 13),
        (14 * DAY - SINCE_MIDNIGHT, None),
    ],
)
def test_a_timeslot_is_of_the_day_on_which_it_starts(admin_client, clock, starts_in, nth):
    make_timeslot(starts_in=starts_in, length=HOUR)
    published = [float(hours) for _, hours, *_ in days(admin_client)]
    assert published == [float(day == nth) for day in range(14)]


@pytest.mark.parametrize(("most", "last"), [(3, "0"), (4, "1")])
def test_of_too_many_timeslots_it_says_which_it_counts(
    admin_client, clock, monkeypatch, most, last
):
    monkeypatch.setattr(operations, "MOST_TIMESLOTS", most)
    for starts_in in (DAY, DAY + HOUR, 2 * DAY, 3 * DAY, 20 * DAY):
        make_hold(make_timeslot(starts_in=starts_in, length=HOUR))
    found = days(admin_client)
    assert [hours for _, hours, *_ in found][:5] == ["0", "2", "1", last, "0"]
    assert [hours for *_, hours, _ in found][:5] == ["0", "2", "1", last, "0"]
    is_cut = "timeslots that start before Thu 3 Dec, 09:00" in look(admin_client)
    assert is_cut == ("than is counted" in look(admin_client)) == (most == 3)


@pytest.mark.parametrize(("most", "lines"), [(0.25, 2), (4, 5), (4.25, 4), (1000, 3), (99999, 3)])
def test_the_plot_has_few_lines_and_room_for_every_bar(admin_client, clock, most, lines):
    make_timeslot(starts_in=timedelta(hours=1), length=most * HOUR)
    page = look(admin_client)
    heights = [float(y) for y in re.findall(r'<line .* y1="([\d.]+)"', page)]
    [top] = re.findall(r'<rect class="published" [^>]*y="([\d.]+)"', page)
    assert len(heights) == lines
    assert heights == sorted(heights, reverse=True)
    assert heights[-1] <= float(top) < heights[-2]


# --- What it costs, and who sees what ------------------------------------------------------------


def make_rows(count):
    for nth in range(count):
        age = (20 + nth % 12) * MINUTE  # some lapsed, some about to
        hold = make_hold(make_timeslot(starts_in=timedelta(days=nth % 10)), age=age)
        make_notification(hold, age=timedelta(minutes=nth))
        make_attempts(200, None)


@pytest.mark.usefixtures("anything_settled")
def test_it_costs_the_same_statements_however_many_rows(admin_client, clock):
    look(admin_client)
    asked = []
    for rows in (1, 25):
        make_rows(rows)
        with CaptureQueriesContext(connection) as statements:
            look(admin_client)
        asked.append([one["sql"] for one in statements])
    assert len(asked[0]) == len(asked[1]) == 15
    ours = [sql for sql in asked[1] if "scheduling_" in sql]
    assert len(ours) == 12
    assert all(sql.lstrip().startswith(("SELECT", "WITH")) for sql in asked[1])


def test_it_holds_nothing_that_its_policy_forbids(admin_client, clock):
    make_hold(make_timeslot(starts_in=HOUR), age=25 * MINUTE)
    make_hold(age=HOUR)
    answer = admin_client.get("/admin/")
    page = answer.content.decode()
    assert answer["Content-Security-Policy"].startswith("default-src 'self'")
    assert "<svg" in page
    assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:", page)
    assert all(" src=" in script for script in re.findall(r"<script[^>]*>", page))
    css = re.search(r"/static/scheduling/operations\.[\w.]*css", page)[0]
    with closing(admin_client.get(css)) as answer:
        assert answer.status_code == 200


@pytest.fixture
def staff(client, db):
    user = User.objects.create(username="grace", is_staff=True)
    client.force_login(user)
    return user


def test_who_may_not_view_reservations_sees_health_alone(client, staff, clock):
    make_hold(age=25 * MINUTE)
    make_hold(age=HOUR)
    staff.user_permissions.add(Permission.objects.get(codename="view_provider"))
    page = look(client)
    assert "Sweep of holds" in page
    assert "Turing" not in page
    assert "Lovelace" not in page
    assert "lapsing" not in page
    assert "<rect" not in page
    assert counts(client) == {}


def test_who_may_view_reservations_sees_all(client, staff, clock):
    make_hold(age=25 * MINUTE)
    staff.user_permissions.add(Permission.objects.get(codename="view_reservation"))
    assert lapsing(client)[0][2:4] == ["Alan Turing", "Ada Lovelace"]
    assert counts(client)["reserved"] == 1


def test_names_are_written_as_text(admin_client, clock):
    make_hold(client=make_client("<b>", "&amp;"), age=25 * MINUTE)
    assert "&lt;b&gt; &amp;amp;" in look(admin_client)


def test_to_look_changes_nothing(admin_client, clock):
    make_hold(age=HOUR)
    before = [list(model.objects.values_list()) for model in (Timeslot, Reservation)]
    look(admin_client)
    assert [list(model.objects.values_list()) for model in (Timeslot, Reservation)] == before
