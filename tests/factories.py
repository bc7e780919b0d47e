"""The smallest valid thing of each kind. Times are given relative to the clock."""

import uuid
from datetime import timedelta
from functools import cache

from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import User
from django.utils import timezone

from scheduling import outbound
from scheduling.models import Client, Provider, Reservation, ReservationEvent, Timeslot, Webhook

QUARTER = timedelta(minutes=15)
PASSWORD = "hunter2-correct-horse"  # tests/watch.py looks for its first word in the logs


def make_provider(first_name="Ada", last_name="Lovelace"):
    return Provider.objects.create(first_name=first_name, last_name=last_name)


def make_client(first_name="Alan", last_name="Turing"):
    return Client.objects.create(first_name=first_name, last_name=last_name)


def make_timeslot(provider=None, starts_in=timedelta(days=2), length=QUARTER):
    start_time = timezone.now() + starts_in
    return Timeslot.objects.create(
        provider=provider or make_provider(), start_time=start_time, end_time=start_time + length
    )


def make_hold(timeslot=None, client=None, age=timedelta(0), status=Reservation.Status.HELD):
    """A reservation made `age` ago."""
    timeslot = timeslot or make_timeslot()
    created_at = timezone.now() - age
    return Reservation.objects.create(
        provider=timeslot.provider,
        timeslot=timeslot,
        client=client or make_client(),
        start_time=timeslot.start_time,
        end_time=timeslot.end_time,
        status=status,
        created_at=created_at,
        expires_at=created_at + settings.HOLD,
        changed_at=created_at,
    )


def make_crowd(count, starts):
    """So many providers with a timeslot at each of these starts; for tables with many rows."""
    providers = Provider.objects.bulk_create(
        Provider(first_name="Ada", last_name="Lovelace") for _ in range(count)
    )
    timeslots = Timeslot.objects.bulk_create(
        (
            Timeslot(provider=provider, start_time=start, end_time=start + QUARTER)
            for provider in providers
            for start in starts
        ),
        batch_size=5000,
    )
    return providers, timeslots


def confirm_all(timeslots, now):
    """A confirmed reservation of each, by one client; for tables with many rows."""
    client = make_client()
    Reservation.objects.bulk_create(
        (
            Reservation(
                provider_id=one.provider_id,
                timeslot=one,
                client=client,
                start_time=one.start_time,
                end_time=one.end_time,
                status=Reservation.Status.CONFIRMED,
                created_at=now,
                expires_at=now + timedelta(minutes=30),
                changed_at=now,
            )
            for one in timeslots
        ),
        batch_size=5000,
    )


def make_webhook(provider=None, url="https://hook.example/", age=timedelta(0), **fields):
    """Of everybody's events without a provider, and of every kind unless `kinds` says less."""
    values = {"kinds": ReservationEvent.Kind.values, "secret": outbound.new_secret()} | fields
    return Webhook.objects.create(
        provider=provider, url=url, created_at=timezone.now() - age, **values
    )


@cache
def _hashed():
    return make_password(PASSWORD)


def make_account(email="ada@example.org", provider=None, client=None, **fields):
    """An account whose password is PASSWORD, acting as these people."""
    user = User.objects.create(username=uuid.uuid4().hex, email=email, password=_hashed(), **fields)
    for person in (provider, client):
        if person is not None:
            person.user = user
            person.save()
    return user
