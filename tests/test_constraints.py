"""What the database guarantees, whoever writes: each test goes around the code."""

from datetime import timedelta

import pytest
from django.apps import apps
from django.db import DataError, IntegrityError, connection, transaction
from django.db.models import F
from django.utils import timezone

from scheduling.models import Client, Provider, Reservation, Timeslot

from .factories import QUARTER, make_client, make_hold, make_provider, make_timeslot

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)


def refused(name, write):
    """Whether the database refuses the write for this very constraint."""
    with pytest.raises(IntegrityError) as caught, transaction.atomic():
        write()
    # SQLite names the columns of a unique index, not the index.
    columns = {
        "scheduling_timeslot_one_at_a_start": "scheduling_timeslot.start_time",
        "scheduling_reservation_one_live_per_timeslot": "scheduling_reservation.timeslot_id",
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
    same = Reservation.objects.filter(pk=make_hold().pk)
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


@pytest.mark.parametrize("column", ["provider_id", "timeslot_id", "client_id"])
def test_a_reservation_points_at_rows_that_exist(column):
    Reservation.objects.filter(pk=make_hold().pk).update(**{column: 2**62})
    with pytest.raises(IntegrityError, match=r"(?i)foreign key"):
        connection.check_constraints()
    transaction.set_rollback(True)


@pytest.mark.parametrize("table", ["provider", "client", "timeslot"])
def test_nothing_that_is_reserved_can_be_deleted(table):
    make_hold()
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
            [field.attname for field in Reservation._meta.fields if not field.primary_key],
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
