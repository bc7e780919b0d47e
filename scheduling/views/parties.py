"""What is done alike for providers and for clients."""

from typing import TypeVar

from django.http import HttpResponse
from rest_framework.request import Request

from scheduling import (
    accounts,
    authentication,
    booking,
    feeds,
    ics,
    people,
    permissions,
    preconditions,
    recent,
)
from scheduling.models import Person, Provider, Reservation
from scheduling.serializers import CalendarQuery, ProfileInput, Shape
from scheduling.shapes import (
    full_reservation_shape,
    in_zone,
    listed_reservation_shape,
    profile_shape,
    reservation_shape,
)
from scheduling.wire import Response

from . import answering

Party = Reservation.Party
P = TypeVar("P", bound=Person)


def create_person(request: Request, kind: type[P]) -> P:
    """A person alone, a person with an account, or one more person of the caller's account."""
    caller = authentication.caller_of(request)
    is_staff = caller is not None and caller.role == authentication.STAFF
    given = permissions.shape_of_person(request).read(request.data)
    if caller is not None and not is_staff:
        return accounts.join(kind, user_id=caller.user_id, **given)
    if given.get("email") is None:
        return kind._default_manager.create(
            first_name=given["first_name"], last_name=given["last_name"]
        )
    return accounts.sign_up(kind, **given, is_by_staff=is_staff)


def profile(
    request: Request,
    kind: type[Person],
    query: type[Shape],
    changes: type[ProfileInput],
) -> Response:
    is_asked_for = request.method in ("GET", "HEAD")
    given = query.read(request.query_params.dict() if is_asked_for else request.data)
    permissions.require_own(request, **given)
    [person_id] = given.values()
    if is_asked_for:
        person = people.profile(kind, person_id=person_id)
    else:
        person = people.change_profile(
            kind,
            person_id=person_id,
            changes=changes.read(request.data),
            versions=preconditions.versions_to_match(request),
        )
        recent.changed(request, **{"providers" if kind is Provider else "clients": [person_id]})
    return preconditions.tagged(request, profile_shape(person), person.version)


def cancel(request: Request, party: Party, shape: type[Shape]) -> Response:
    asked = shape.read(request.data)
    reservation = booking.cancel(
        reservation_id=asked["reservation_id"],
        by=party,
        party_id=permissions.acting_as(request, party, asked[f"{party}_id"]),
        reason=asked["reason"],
        versions=preconditions.versions_to_match(request),
    )
    recent.changed(request, providers=[reservation.provider_id], clients=[reservation.client_id])
    return Response({"Reservation cancelled": reservation_shape(reservation)})


def reservation(request: Request, party: Party, shape: type[Shape]) -> Response:
    query = shape.read(request.query_params.dict())
    reservation = booking.get(
        reservation_id=query["reservation_id"],
        party=party,
        party_id=permissions.acting_as(request, party, query[f"{party}_id"]),
    )
    body = {"reservation": full_reservation_shape(reservation)}
    return preconditions.tagged(request, body, reservation.version)


def reservations(request: Request, party: Party, shape: type[Shape]) -> Response:
    query = shape.read(request.query_params.dict())
    party_id, zone = query.pop(f"{party}_id"), query.pop("time_zone")
    permissions.require_own(request, **{f"{party}_id": party_id})
    page = booking.list_reservations(party=party, party_id=party_id, **query)
    shapes = [listed_reservation_shape(reservation) for reservation in page.reservations]
    return answering.page(request, {"reservations": in_zone(shapes, zone)}, page.goes_on_at)


def calendar_link(request: Request, party: Party, shape: type[Shape]) -> Response:
    """Not `once`: its answers would be stored, and with them the key."""
    is_made = request.method == "POST"
    given = request.data if is_made else request.data or request.query_params.dict()
    asked = shape.read(given)
    permissions.require_own(request, **asked)
    [party_id] = asked.values()
    if not is_made:
        feeds.revoke_link(party=party, party_id=party_id)
        return Response(status=204)
    # In the query, which the log of requests leaves out.
    key = feeds.make_link(party=party, party_id=party_id)
    return Response(
        {"calendar_link": request.build_absolute_uri(f"calendar.ics?key={key}")},
        status=201,
        headers={"Cache-Control": "no-store"},
    )


def calendar(request: Request, party: Party) -> HttpResponse:
    query = CalendarQuery.read(request.query_params.dict())
    calendar = feeds.read(party=party, **query)
    response = HttpResponse(
        ics.encode(calendar),
        content_type=f"{ics.MEDIA_TYPE}; charset=utf-8",
        headers={"Cache-Control": "private, max-age=60"},
    )
    return preconditions.fresh(request, response, calendar.changed_at)
