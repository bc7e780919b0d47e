"""The past: what has been moved out of the service's database, under the ids that it had there.

Analysts read these tables and the views over them (migration 0002) by the names they have here.
Nothing refers to anything by a foreign key: what is moved comes in pieces, and may come twice.
"""

from django.db import models


class Archived(models.Model):
    id = models.BigIntegerField(primary_key=True)

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return f"{self._meta.db_table} {self.pk}"


class ArchivedPerson(Archived):
    first_name = models.CharField(max_length=100)
    last_name = models.CharField(max_length=100)

    class Meta:
        abstract = True


class ArchivedProvider(ArchivedPerson):
    class Meta:
        db_table = "provider"


class ArchivedClient(ArchivedPerson):
    # Never overwritten with a name: an archive that read it before would bring it back.
    is_forgotten = models.BooleanField(db_default=False, default=False)

    class Meta:
        db_table = "client"


class ArchivedTimeslot(Archived):
    provider_id = models.BigIntegerField()
    start_time = models.DateTimeField()
    end_time = models.DateTimeField()

    class Meta:
        db_table = "timeslot"


class ArchivedReservation(Archived):
    provider_id = models.BigIntegerField()
    timeslot_id = models.BigIntegerField()
    client_id = models.BigIntegerField()
    start_time = models.DateTimeField()
    end_time = models.DateTimeField()
    status = models.CharField(max_length=10)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    version = models.PositiveIntegerField()
    changed_at = models.DateTimeField()
    changed_by = models.CharField(max_length=8)
    reason = models.CharField(max_length=500)

    class Meta:
        db_table = "reservation"
        indexes = [
            # What became of a timeslot.
            models.Index(name="reservation_of_timeslot", fields=["timeslot_id"]),
            # Who forgets a client looks here.
            models.Index(name="reservation_of_client", fields=["client_id"]),
        ]


class ArchivedEvent(Archived):
    transaction_id = models.BigIntegerField()
    kind = models.CharField(max_length=11)
    happened_at = models.DateTimeField()
    caused_by = models.CharField(max_length=8)
    reason = models.CharField(max_length=500)
    reservation_id = models.BigIntegerField()
    timeslot_id = models.BigIntegerField()
    provider_id = models.BigIntegerField()
    client_id = models.BigIntegerField()
    start_time = models.DateTimeField()
    end_time = models.DateTimeField()
    version = models.PositiveIntegerField()

    class Meta:
        db_table = "event"
        indexes = [
            models.Index(name="event_of_reservation", fields=["reservation_id"]),
            models.Index(name="event_of_client", fields=["client_id"]),
        ]
