"""What the database guarantees, whoever writes: each test goes around the code."""

from datetime import UTC, datetime, timedelta

import pytest
from django.apps import apps
from django.contrib.auth.models import User
from django.db import DataError, IntegrityError, connection, transaction
from django.db.models import F
from django.utils import timezone

from scheduling.models import (
    Client,
    Notification,
    Provider,
    Reservation,
    ReservationEvent,
    ServiceToken,
    Timeslot,
    Webhook,
    WebhookDelivery,
)

from .factories import (
    QUARTER,
    make_account,
    make_client,
    make_hold,
    make_provider,
    make_timeslot,
    make_webhook,
)

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)
MOMENT = datetime(2026, 11, 30, 9, 0, tzinfo=UTC)


def refused(name, write):
    """Whether the database refuses the write for this very constraint."""
    with pytest.raises(IntegrityError) as caught, transaction.atomic():
        write()
    # SQLite names the columns of a unique index, not the index.
    columns = {
        "scheduling_timeslot_one_at_a_start": "scheduling_timeslot.start_time",
        "scheduling_reservation_one_live_per_timeslot": "scheduling_reservation.timeslot_id",
        "scheduling_webhookdelivery_once": "scheduling_webhookdelivery.event_id",
        "scheduling_notification_once": "scheduling_notification.kind",
    }
    return name in str(caught.value) or columns.get(name, name) in str(caught.value)


@pytest.mark.parametrize("model", [Provider, Client])
@pytest.mark.parametrize("field", ["first_name", "last_name"])
@pytest.mark.parametrize("name", ["", "   "])
def test_a_name_is_not_blank(model, field, name):
    names = {"first_name": "Ada", "last_name": "Lovelace"} | {field: name}
    constraint = f"scheduling_{model._meta.model_name}_names_not_blank"
    assert refused(constraint, lambda: model.objects.create(**names))
    person = model.objects.create(first_name="Ada", last_name="Lovelace")
    same = model.objects.filter(pk=person.pk)
    assert refused(constraint, lambda: same.update(**{field: name}))


@pytest.mark.parametrize("model", [Provider, Client])
@pytest.mark.parametrize("field", ["first_name", "last_name"])
def test_a_name_has_at_most_100_characters(model, field):
    names = {"first_name": "Ada", "last_name": "Lovelace"}
    model.objects.create(**names | {field: "x" * 100})
    # PostgreSQL's column refuses it before the constraint is asked.
    with pytest.raises((IntegrityError, DataError)), transaction.atomic():
        model.objects.create(**names | {field: "x" * 101})


@pytest.mark.parametrize("length", [timedelta(0), -QUARTER])
def test_a_timeslot_ends_after_it_starts(length):
    name = "scheduling_timeslot_ends_after_it_starts"
    assert refused(name, lambda: make_timeslot(length=length))
    same = Timeslot.objects.filter(pk=make_timeslot().pk)
    assert refused(name, lambda: same.update(end_time=F("start_time") + length))


@pytest.mark.parametrize(
    ("starts_in", "length"),
    [
        (timedelta(0), QUARTER),
        (timedelta(0), SECOND),
        (timedelta(0), 9 * QUARTER),
        (SECOND, SECOND),
        (QUARTER - SECOND, QUARTER),
        (QUARTER - timedelta(microseconds=1), QUARTER),
        (SECOND - QUARTER, QUARTER),
        (timedelta(microseconds=1) - QUARTER, QUARTER),
        (-QUARTER, 3 * QUARTER),
        (-DAY, 2 * DAY),
    ],
)
def test_timeslots_of_a_provider_never_overlap(clock, starts_in, length):
    provider = make_provider()
    make_timeslot(provider, starts_in=DAY)
    overlap = "scheduling_timeslot_never_overlap"
    start = "scheduling_timeslot_one_at_a_start"
    name = start if not starts_in and connection.vendor == "postgresql" else overlap
    assert refused(name, lambda: make_timeslot(provider, DAY + starts_in, length))
    elsewhere = make_timeslot(provider, starts_in=9 * DAY)
    start_time = clock.now + DAY + starts_in
    same = Timeslot.objects.filter(pk=elsewhere.pk)
    assert refused(name, lambda: same.update(start_time=start_time, end_time=start_time + length))


def test_a_timeslot_cannot_grow_into_its_neighbour(clock):
    provider = make_provider()
    make_timeslot(provider, starts_in=DAY)
    make_timeslot(provider, starts_in=DAY + QUARTER)
    first = Timeslot.objects.order_by("start_time")[:1]
    last = Timeslot.objects.order_by("-start_time")[:1]
    overlap = "scheduling_timeslot_never_overlap"
    for one, change in (
        (first, {"end_time": F("end_time") + SECOND}),
        (last, {"start_time": F("start_time") - SECOND}),
    ):
        same = Timeslot.objects.filter(pk=one.get().pk)
        assert refused(overlap, lambda same=same, change=change: same.update(**change))


def test_a_timeslot_cannot_be_given_to_a_provider_who_is_taken(clock):
    ours, theirs = make_provider(), make_provider()
    make_timeslot(ours, starts_in=DAY)
    moved = make_timeslot(theirs, starts_in=DAY + SECOND)
    same = Timeslot.objects.filter(pk=moved.pk)
    assert refused("scheduling_timeslot_never_overlap", lambda: same.update(provider=ours))


def test_one_insert_of_two_overlapping_timeslots_stores_neither(clock):
    provider = make_provider()
    start_time = clock.now + DAY
    pair = [
        Timeslot(provider=provider, start_time=start_time + shift, end_time=start_time + QUARTER)
        for shift in (timedelta(0), SECOND)
    ]
    assert refused("scheduling_timeslot_never_overlap", lambda: Timeslot.objects.bulk_create(pair))
    assert not Timeslot.objects.exists()


def test_one_timeslot_of_a_provider_at_a_start(clock, is_postgresql):
    """Told apart from the overlap: with that guard gone, this one still stands."""
    with connection.cursor() as cursor:
        cursor.execute(
            "ALTER TABLE scheduling_timeslot DROP CONSTRAINT scheduling_timeslot_never_overlap"
            if is_postgresql
            else "DROP TRIGGER scheduling_timeslot_never_overlap_INSERT"
        )
    provider = make_provider()
    make_timeslot(provider)
    assert refused("scheduling_timeslot_one_at_a_start", lambda: make_timeslot(provider))


@pytest.mark.parametrize("starts_in", [-QUARTER, QUARTER])
def test_timeslots_may_touch(clock, starts_in):
    timeslot = make_timeslot(starts_in=DAY)
    make_timeslot(timeslot.provider, starts_in=DAY + starts_in)
    moved = make_timeslot(timeslot.provider, starts_in=9 * DAY)
    start_time = timeslot.start_time + 2 * starts_in
    Timeslot.objects.filter(pk=moved.pk).update(
        start_time=start_time, end_time=start_time + QUARTER
    )
    assert Timeslot.objects.count() == 3


def test_providers_may_work_at_the_same_time(clock):
    make_timeslot(starts_in=DAY)
    moved = make_timeslot(starts_in=DAY + SECOND)
    Timeslot.objects.filter(pk=moved.pk).update(start_time=clock.now + DAY)
    assert Timeslot.objects.count() == 2


@pytest.mark.parametrize("first", ["held", "confirmed"])
@pytest.mark.parametrize("second", ["held", "confirmed"])
def test_one_live_reservation_a_timeslot(first, second):
    timeslot = make_hold(status=first, age=DAY).timeslot
    name = "scheduling_reservation_one_live_per_timeslot"
    assert refused(name, lambda: make_hold(timeslot, status=second))
    finished = Reservation.objects.filter(pk=make_hold(timeslot, status="expired").pk)
    assert refused(name, lambda: finished.update(status=second))


@pytest.mark.parametrize("status", ["expired", "cancelled"])
def test_any_number_of_finished_reservations_a_timeslot(status):
    timeslot = make_timeslot()
    for _ in range(3):
        make_hold(timeslot, status=status)
    make_hold(timeslot)
    assert Reservation.objects.count() == 4


@pytest.mark.parametrize("length", [timedelta(0), -QUARTER])
def test_a_reservation_ends_after_it_starts(length):
    # A live one would have to agree with its timeslot first.
    same = Reservation.objects.filter(pk=make_hold(status="expired").pk)
    assert refused(
        "scheduling_reservation_ends_after_it_starts",
        lambda: same.update(end_time=F("start_time") + length),
    )


@pytest.mark.parametrize("hold", [timedelta(0), -SECOND])
def test_a_deadline_comes_after_the_creation(settings, hold):
    settings.HOLD = hold
    assert refused("scheduling_reservation_deadline_after_creation", make_hold)


@pytest.mark.parametrize("status", ["", "HELD", "pending"])
def test_a_status_is_a_known_one(status):
    name = "scheduling_reservation_status_known"
    assert refused(name, lambda: make_hold(status=status))
    same = Reservation.objects.filter(pk=make_hold().pk)
    assert refused(name, lambda: same.update(status=status))


@pytest.mark.parametrize("column", ["provider_id", "client_id"])
def test_a_reservation_points_at_people_who_exist(column):
    Reservation.objects.filter(pk=make_hold(status="expired").pk).update(**{column: 2**62})
    with pytest.raises(IntegrityError, match=r"(?i)foreign key"):
        connection.check_constraints()
    transaction.set_rollback(True)


ON_ITS_TIMESLOT = {
    "timeslot_id": 2**62,
    "start_time": F("start_time") - SECOND,
    "end_time": F("end_time") + SECOND,
}


@pytest.mark.parametrize("status", ["held", "confirmed"])
@pytest.mark.parametrize("column", ON_ITS_TIMESLOT)
def test_a_live_reservation_agrees_with_its_timeslot(column, status):
    name, change = "scheduling_reservation_on_its_timeslot", {column: ON_ITS_TIMESLOT[column]}
    hold = make_hold(status=status)
    same = Reservation.objects.filter(pk=hold.pk)
    assert refused(name, lambda: same.update(**change))
    same.update(status="expired")
    same.update(**change)
    assert refused(name, lambda: same.update(status=status))
    same.update(timeslot_id=hold.timeslot_id, start_time=hold.start_time, end_time=hold.end_time)
    same.update(status=status)


@pytest.mark.parametrize("status", ["held", "confirmed"])
def test_a_live_reservation_is_made_on_a_timeslot_that_exists(status):
    timeslot = make_timeslot()
    Timeslot.objects.filter(pk=timeslot.pk).delete()
    name = "scheduling_reservation_on_its_timeslot"
    assert refused(name, lambda: make_hold(timeslot, status=status))
    make_hold(timeslot, status="expired")


@pytest.mark.parametrize("status", ["held", "confirmed"])
def test_a_timeslot_stays_as_it_is_while_it_is_reserved(status):
    hold = make_hold(status=status)
    timeslot = Timeslot.objects.filter(pk=hold.timeslot_id)
    assert refused("scheduling_timeslot_stays_while_reserved", timeslot.delete)
    name = "scheduling_timeslot_stays_as_it_is_while_reserved"
    for change in (
        {"provider": make_provider()},
        {"start_time": F("start_time") - SECOND},
        {"end_time": F("end_time") + SECOND},
    ):
        assert refused(name, lambda change=change: timeslot.update(**change))
    Reservation.objects.update(status="expired")
    timeslot.update(end_time=F("end_time") + SECOND)
    timeslot.delete()
    assert Reservation.objects.get().timeslot_id == hold.timeslot_id


@pytest.mark.parametrize("status", ["held", "confirmed", "expired"])
def test_a_reason_is_of_what_is_cancelled(status):
    same = Reservation.objects.filter(pk=make_hold(status=status).pk)
    name = "scheduling_reservation_reason_when_cancelled"
    assert refused(name, lambda: same.update(reason="ill"))
    same.update(status="cancelled", reason="ill")
    assert refused(name, lambda: same.update(status=status))


@pytest.mark.parametrize("party", ["", "nobody"])
def test_a_change_is_by_a_party_that_is_known(party):
    same = Reservation.objects.filter(pk=make_hold().pk)
    name = "scheduling_reservation_changed_by_a_party"
    assert refused(name, lambda: same.update(changed_by=party))


@pytest.mark.parametrize("table", ["provider", "client"])
def test_nobody_who_has_a_reservation_can_be_deleted(table):
    make_hold(status="expired")
    with connection.cursor() as cursor:
        cursor.execute(f"DELETE FROM scheduling_{table}")
    with pytest.raises(IntegrityError, match=r"(?i)foreign key"):
        connection.check_constraints()
    transaction.set_rollback(True)


@pytest.mark.parametrize(
    ("make", "columns"),
    [
        (make_provider, ["first_name", "last_name"]),
        (make_client, ["first_name", "last_name"]),
        (make_timeslot, ["provider_id", "start_time", "end_time"]),
        (
            make_hold,
            [
                field.attname
                for field in Reservation._meta.fields
                if not field.primary_key and not field.null
            ],
        ),
    ],
)
def test_no_column_can_be_empty(make, columns):
    row = make()
    for column in columns:
        same = type(row).objects.filter(pk=row.pk)
        with pytest.raises(IntegrityError), transaction.atomic():
            same.update(**{column: None})


def test_every_constraint_of_the_models_is_in_the_database():
    wanted = {
        constraint.name
        for model in apps.get_app_config("scheduling").get_models()
        for constraint in [*model._meta.constraints, *model._meta.indexes]
    }
    with connection.cursor() as cursor:
        found = {
            name
            for model in apps.get_app_config("scheduling").get_models()
            for name in connection.introspection.get_constraints(cursor, model._meta.db_table)
        }
    assert wanted <= found


def test_every_key_has_room_for_2_to_the_63():
    timeslot = Timeslot.objects.create(
        pk=2**63 - 1,
        provider=Provider.objects.create(pk=2**63 - 1, first_name="Ada", last_name="Lovelace"),
        start_time=timezone.now(),
        end_time=timezone.now() + QUARTER,
    )
    assert Timeslot.objects.get(provider_id=2**63 - 1) == timeslot


@pytest.mark.parametrize("second", ["ada@example.org", "Ada@Example.ORG", "ADA@EXAMPLE.ORG"])
def test_an_email_has_one_account_whatever_its_case(second):
    User.objects.create(username="first", email="Ada@example.org")
    index = "scheduling_one_account_per_email"
    assert refused(index, lambda: User.objects.create(username="second", email=second))
    User.objects.create(username="third", email="")
    User.objects.create(username="fourth", email="")


def test_the_index_of_emails_is_used_to_sign_in(is_postgresql):
    with connection.cursor() as cursor:
        if is_postgresql:
            cursor.execute("SET LOCAL enable_seqscan = off")
        explain = "EXPLAIN" if is_postgresql else "EXPLAIN QUERY PLAN"
        cursor.execute(
            f"{explain} SELECT * FROM auth_user WHERE LOWER(email) = %s AND email <> ''", ["a@b.c"]
        )
        plan = str(cursor.fetchall())
    assert "scheduling_one_account_per_email" in plan


@pytest.mark.parametrize("make", [make_provider, make_client])
def test_an_account_is_at_most_one_of_each(make):
    user = make_account()
    kind = type(make())
    kind.objects.create(first_name="Ada", last_name="Lovelace", user=user)
    constraint = f"scheduling_{kind._meta.model_name}"
    assert refused(
        constraint,
        lambda: kind.objects.create(first_name="Ada", last_name="Lovelace", user=user),
    )


def test_a_service_token_has_a_scope_that_is_known():
    moment = timezone.now()
    assert refused(
        "scheduling_servicetoken_scope_known",
        lambda: ServiceToken.objects.create(
            name="x", scope="everything", digest="x", created_at=moment, expires_at=moment
        ),
    )


@pytest.mark.parametrize(
    ("constraint", "changes"),
    [
        ("reason_known", {"disabled_because": "whim", "disabled_at": MOMENT}),
        ("disabled_for_a_reason", {"disabled_at": MOMENT}),
        ("disabled_for_a_reason", {"disabled_because": "owner"}),
    ],
)
def test_a_webhook_is_disabled_for_a_reason_at_a_moment(constraint, changes):
    this = Webhook.objects.filter(pk=make_webhook().pk)
    assert refused(f"scheduling_webhook_{constraint}", lambda: this.update(**changes))


def make_delivery(webhook, event):
    return WebhookDelivery.objects.create(
        webhook=webhook, event=event, created_at=MOMENT, next_attempt_at=MOMENT
    )


@pytest.mark.parametrize(
    ("constraint", "changes"),
    [
        ("status_known", {"status": "lost", "finished_at": MOMENT}),
        ("pending_until_finished", {"status": "delivered"}),
        ("pending_until_finished", {"finished_at": MOMENT}),
    ],
)
def test_a_delivery_is_pending_until_it_is_finished(constraint, changes):
    delivery = make_delivery(make_webhook(), None)
    this = WebhookDelivery.objects.filter(pk=delivery.pk)
    assert refused(f"scheduling_webhookdelivery_{constraint}", lambda: this.update(**changes))


def test_an_event_is_for_each_webhook_once():
    make_hold()
    webhook, event = make_webhook(), ReservationEvent.objects.get()
    make_delivery(webhook, event)
    make_delivery(make_webhook(), event)
    assert refused(
        "scheduling_webhookdelivery_once",
        lambda: make_delivery(webhook, event),
    )


def make_notification(**fields):
    make_hold()
    values = {
        **{"kind": "reserved", "party": "client", "event": ReservationEvent.objects.last()},
        **{"created_at": MOMENT, "due_at": MOMENT, "next_attempt_at": MOMENT},
    }
    return Notification.objects.create(**values | fields)


@pytest.mark.parametrize(
    ("constraint", "fields"),
    [
        ("kind_known", {"kind": "gossip"}),
        ("status_known", {"status": "lost"}),
        ("of_one_thing", {"event": None}),
        ("of_one_thing", {"party": ""}),
        ("of_one_thing", {"party": "service"}),
        ("of_one_thing", {"event": None, "party": "", "kind": "webhook_disabled"}),
    ],
)
def test_a_notification_is_of_one_known_thing(constraint, fields):
    assert refused(f"scheduling_notification_{constraint}", lambda: make_notification(**fields))


def test_each_party_is_told_of_an_event_once():
    first = make_notification()
    same = {"event": first.event, "party": "client", "kind": "reserved"}
    make_notification(**same | {"party": "provider"})
    make_notification(**same | {"kind": "reminder"})
    assert refused(
        "scheduling_notification_once",
        lambda: make_notification(**same),
    )


@pytest.mark.parametrize("model", [Timeslot, Reservation, ReservationEvent])
def test_only_primary_keys_stand_between_a_table_and_its_shards(model, is_postgresql):
    """What is spread by provider must have it in every unique and exclusion constraint."""
    if not is_postgresql:  # nothing spreads it
        return
    table = model._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index "
            "WHERE indrelid = %s::regclass AND (indisunique OR indisexclusion)",
            [table],
        )
        keys = dict(cursor.fetchall())
    assert {name for name in keys if "(provider_id" not in keys[name]} == {f"{table}_pkey"}
