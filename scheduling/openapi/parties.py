"""What is said alike of providers and of clients; as in views/parties.py."""

from typing import Any, NamedTuple

from drf_spectacular.types import OpenApiTypes
from rest_framework import exceptions, serializers

from scheduling import errors
from scheduling.parties import NOT_FOUND, PERSONS, Party
from scheduling.serializers import (
    CalendarQuery,
    ClientProfileInput,
    ClientProfileQuery,
    PersonInput,
    ProviderProfileInput,
    ProviderProfileQuery,
)

from .answers import (
    CALENDAR,
    CALENDAR_LINK,
    PERSON,
    PROFILE,
    ClientProfile,
    NewClient,
    Provider,
    ProviderProfile,
)
from .operation import ABOUT_ACCOUNTS, ABOUT_LINKS, Decorator, operation


class Shapes(NamedTuple):
    answer: Any
    profile: Any
    query: type[serializers.Serializer[Any]]
    changes: type[serializers.Serializer[Any]]


SHAPES = {
    Party.CLIENT: Shapes(NewClient, ClientProfile, ClientProfileQuery, ClientProfileInput),
    Party.PROVIDER: Shapes(Provider, ProviderProfile, ProviderProfileQuery, ProviderProfileInput),
}


def _unknown(party: Party) -> type[errors.Refusal]:
    return NOT_FOUND[PERSONS[party]]


def create(party: Party) -> Decorator:
    return operation(
        f"create{party.label}",
        f"Create a {party}.",
        description=ABOUT_ACCOUNTS.format(kind=party),
        refusals=(errors.AlreadyRegistered, errors.EmailTaken, exceptions.Throttled),
        tag=party,
        request=PersonInput,
        requests={"request": PERSON},
        status=201,
        answer=SHAPES[party].answer,
        example={f"{party}_id": 1, **PERSON},
    )


def profile(party: Party) -> Decorator:
    return operation(
        f"get{party.label}Profile",
        f"A {party}'s names and time zone.",
        method="GET",
        tag=party,
        query=SHAPES[party].query,
        answer=SHAPES[party].profile,
        example={f"{party}_id": 1, **PERSON, **PROFILE},
        refusals=(_unknown(party),),
        is_tagged=True,
    )


def change_profile(party: Party) -> Decorator:
    return operation(
        f"change{party.label}Profile",
        f"Change a {party}'s names or time zone: what is given.",
        method="PUT",
        tag=party,
        request=SHAPES[party].changes,
        requests={"request": {f"{party}_id": 1, "time_zone": "America/New_York"}},
        answer=SHAPES[party].profile,
        example={f"{party}_id": 1, **PERSON, **PROFILE},
        refusals=(_unknown(party),),
        matches=True,
    )


def make_calendar_link(party: Party) -> Decorator:
    link = f"https://reservations.example/{party}/calendar.ics?key=rsc_6cUf..."
    return operation(
        f"make{party.label}CalendarLink",
        f"Make the secret link of a {party}'s calendar.",
        method="POST",
        description=ABOUT_LINKS,
        tag=party,
        request=SHAPES[party].query,
        requests={"request": {f"{party}_id": 1}},
        status=201,
        answer=CALENDAR_LINK,
        example={"calendar_link": link},
        refusals=(_unknown(party),),
        stores_answer=False,
    )


def revoke_calendar_link(party: Party) -> Decorator:
    return operation(
        f"revoke{party.label}CalendarLink",
        f"Revoke the link of a {party}'s calendar.",
        method="DELETE",
        description="Whether or not there is one. The same member is taken from a JSON body too.",
        tag=party,
        query=SHAPES[party].query,
        status=204,
        answer=None,
        example=None,
        refusals=(_unknown(party),),
        stores_answer=False,
    )


def calendar(party: Party) -> Decorator:
    return operation(
        f"get{party.label}Calendar",
        f"A {party}'s calendar, by its secret link.",
        description=(
            "For calendar apps: each reservation from 90 days back on, those that were cancelled "
            "or expired as cancelled events."
        ),
        tag=party,
        query=CalendarQuery,
        answer=OpenApiTypes.STR,
        example=CALENDAR,
        media_type="text/calendar",
        refusals=(errors.NotFound,),
        by_the_table=False,
        is_tagged=True,
    )
