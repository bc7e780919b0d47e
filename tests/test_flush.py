"""manage.py flush empties every table, live reservations or not."""

import pytest
from django.core.management import call_command
from django.db import connection

from scheduling.models import Reservation, Timeslot

from .factories import make_hold


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("status", ["held", "confirmed"])
def test_it_takes_the_reservations_before_the_timeslots_they_keep(status, monkeypatch):
    make_hold(status=status)
    # Django names the tables in any order; here, in the worst.
    names = connection.introspection.django_table_names
    monkeypatch.setattr(
        connection.introspection,
        "django_table_names",
        lambda *asked, **how: sorted(names(*asked, **how), reverse=True),
    )
    call_command("flush", interactive=False, verbosity=0)
    assert not Reservation.objects.exists()
    assert not Timeslot.objects.exists()
