"""The two parties: providers and clients."""

from typing import NamedTuple

from django.conf import settings
from django.db import connection, models
from django.db.models import Q
from django.db.models.functions import Length, Trim
from django.db.models.lookups import GreaterThan, LessThanOrEqual

from .sql import fetch

MOST_EVENTS_SINCE = 1000
# What has happened to a provider's reservations since, see ProviderState.
EVENTS_SINCE = {
    "postgresql": """SELECT 1 FROM scheduling_reservationevent event
                         WHERE event.provider_id = provider.id AND event.transaction_id >= {}""",
    "sqlite": """SELECT 1 FROM scheduling_reservationevent event
                         WHERE event.provider_id = provider.id AND event.id > {}""",
}
SETTLED_BEFORE = {
    "postgresql": "pg_snapshot_xmin(pg_current_snapshot())::text::bigint",
    "sqlite": """COALESCE((SELECT MAX(id) FROM scheduling_reservationevent event
                         WHERE event.provider_id = provider.id AND transaction_id = 1), 0)""",
}
# Not in a database that was restored elsewhere: its transactions are numbered anew.
HAS_REACHED = {
    "postgresql": "pg_snapshot_xmax(pg_current_snapshot())::text::bigint >= %s",
    "sqlite": "%s >= 0",
}
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


class ProviderState(NamedTuple):
    """What a provider's timeslots and reservations were at, so that any change since can be told.

    The last two are of the history. PostgreSQL: how many events there were of the transactions from
    `settled_before` on, which had begun or were still to begin; whatever is committed later is one
    of those. SQLite: the last event, and none after it.
    """

    version: int
    availability_version: int
    settled_before: int
    events_since: int


class ProviderQuerySet(models.QuerySet["Provider"]):
    def is_still(self, state: ProviderState, provider_id: int) -> bool:
        """Whether nothing of this provider has changed since; one look into two indexes."""
        version, availability_version, settled_before, events_since = state
        if events_since > MOST_EVENTS_SINCE:  # made up: it would cost something to find that out
            return False
        sql = f"""
            SELECT 1 FROM scheduling_provider provider
             WHERE provider.id = %s AND version = %s AND availability_version = %s
               AND (SELECT COUNT(*) FROM (
                        {EVENTS_SINCE[connection.vendor].format("%s")} LIMIT %s) AS since) = %s
               AND {HAS_REACHED[connection.vendor]}
            """  # noqa: S608  no text from outside
        params = [provider_id, version, availability_version, settled_before]
        params += [events_since + 1, events_since, settled_before]
        return bool(fetch(sql, params, moments=()))

    def lock_availability(self, provider_id: int) -> "Provider | None":
        """Until commit nobody else publishes or withdraws anything of this provider's; counted as a
        change. None when there is no such provider."""
        sql = """
            UPDATE scheduling_provider SET availability_version = availability_version + 1
             WHERE id = %s RETURNING first_name, last_name
            """
        for first_name, last_name in fetch(sql, [provider_id], moments=()):
            return Provider(pk=provider_id, first_name=first_name, last_name=last_name)
        return None

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

    # Counts what was published and withdrawn.
    availability_version = models.IntegerField(db_default=0, editable=False)

    objects = ProviderQuerySet.as_manager()


class Client(Person):
    """Reserves timeslots."""
