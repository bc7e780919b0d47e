"""The smallest valid thing of each kind. Times are given relative to the clock."""

from datetime import timedelta

from django.conf import settings
from django.utils import timezone

from scheduling.models import Client, Provider, Reservation, Timeslot

QUARTER = timedelta(minutes=15)


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
    )
