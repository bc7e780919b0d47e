"""The two parties: providers and clients."""

from typing import NamedTuple

from django.conf import settings
from django.db import connection, models
from django.db.models import Q
from django.db.models.functions import Length, Trim
from django.db.models.lookups import GreaterThan, LessThanOrEqual

from .sql import fetch

LAST_CHARACTER = "\U0010ffff"


class Person(models.Model):
    first_name = models.CharField(max_length=100)
    last_name = models.CharField(max_length=100)
    # IANA; of a provider, the clock that weekly hours are meant by.
    time_zone = models.CharField(max_length=64, db_default="UTC")
    # Whether they are told by e-mail, where their account has an address.
    is_emailed = models.BooleanField(db_default=True)
    # Counts the changes, for callers who must not overwrite one that they have not seen.
    version = models.PositiveIntegerField(db_default=1)
    # The account that acts as this person: at most one provider and one client each.
    user = models.OneToOneField(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="%(class)s",
    )

    class Meta:
        abstract = True
        constraints = [
            models.CheckConstraint(
                name="%(app_label)s_%(class)s_names_not_blank",
                condition=Q(GreaterThan(Length(Trim("first_name")), 0))
                & Q(GreaterThan(Length(Trim("last_name")), 0)),
            ),
            # SQLite does not look at the length of a varchar.
            models.CheckConstraint(
                name="%(app_label)s_%(class)s_names_at_most_100",
                condition=Q(LessThanOrEqual(Length("first_name"), 100))
                & Q(LessThanOrEqual(Length("last_name"), 100)),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.first_name} {self.last_name}"


class ProviderRow(NamedTuple):
    """A provider as the list shows them, and the key that the list is in the order of."""

    provider_id: int
    first_name: str
    last_name: str
    key: str


class ProviderQuerySet(models.QuerySet["Provider"]):
    def by_name(self, *, begins: str, goes_on_at: tuple[str, int], limit: int) -> list[ProviderRow]:
        """Those whose name begins so, be it said with the last name first or with the first.

        The key is the name as it was found, in small letters. Either way to say it has an index
        (migration 0007), so a page costs the same among any number of providers.
        """
        collation = 'COLLATE "C"' if connection.vendor == "postgresql" else "COLLATE BINARY"
        last_first = f"LOWER(last_name || ' ' || first_name) {collation}"
        first_last = f"LOWER(first_name || ' ' || last_name) {collation}"
        is_last_first = f"{last_first} >= LOWER(%s) AND {last_first} < LOWER(%s)"
        sql = f"""
            SELECT id, first_name, last_name, name_key FROM (
                SELECT * FROM (
                    SELECT id, first_name, last_name, {last_first} AS name_key
                      FROM scheduling_provider
                     WHERE {is_last_first} AND ({last_first}, id) >= (%s, %s)
                     ORDER BY {last_first}, id LIMIT %s) AS last_first
                UNION ALL
                SELECT * FROM (
                    SELECT id, first_name, last_name, {first_last} AS name_key
                      FROM scheduling_provider
                     WHERE {first_last} >= LOWER(%s) AND {first_last} < LOWER(%s)
                       AND ({first_last}, id) >= (%s, %s)
                       AND %s <> '' AND NOT ({is_last_first})
                     ORDER BY {first_last}, id LIMIT %s) AS first_last
                ) AS found
             ORDER BY name_key {collation}, id LIMIT %s
            """  # noqa: S608  no text from outside
        bounds = [begins, f"{begins}{LAST_CHARACTER}"]
        stream = [*bounds, *goes_on_at]
        params = [*stream, limit, *stream, begins, *bounds, limit, limit]
        return [ProviderRow._make(row) for row in fetch(sql, params, moments=())]


class Provider(Person):
    """Publishes when they work."""

    objects = ProviderQuerySet.as_manager()


class Client(Person):
    """Reserves timeslots."""
