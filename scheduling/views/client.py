"""Under /client."""

from datetime import timedelta

from django.http import HttpResponse
from rest_framework.decorators import authentication_classes, permission_classes
from rest_framework.request import Request

from scheduling import (
    availability,
    booking,
    deadlines,
    idempotency,
    listings,
    metrics,
    openapi,
    outcomes,
    permissions,
    preconditions,
    recent,
)
from scheduling.availability import Basis
from scheduling.models import Client, Reservation
from scheduling.serializers import (
    BookableQuery,
    ClientCancelInput,
    ClientProfileInput,
    ClientProfileQuery,
    ClientReservationQuery,
    ClientReservationsQuery,
    ConfirmInput,
    FindQuery,
    RescheduleInput,
    ReserveInput,
)
from scheduling.shapes import client_shape, reservation_shape
from scheduling.wire import Response

from . import answering, parties
from .endpoint import endpoint

Party = Reservation.Party
REVALIDATED = "no-cache"  # kept, but asked about before each use


@openapi.client.create
@endpoint(["POST"])
@idempotency.once
def create_client(request: Request) -> Response:
    client = parties.create_person(request, Client)
    recent.changed(request, clients=[client.pk])
    return Response(client_shape(client), status=201)


@openapi.client.list_bookable
@endpoint(["GET", "HEAD"])
def list_bookable(request: Request) -> Response:
    query = BookableQuery.read(request.query_params.dict())
    numbers = preconditions.numbers_seen(request, len(Basis._fields))
    listing = listings.bookable(request, query, Basis(*numbers) if numbers else None)
    tag = preconditions.tag_of(listing.basis)
    if listing.body is None:
        return preconditions.not_modified(tag, REVALIDATED)
    response = answering.page_before(request, listing.body, listing.cursor)
    response["ETag"] = tag
    response["Cache-Control"] = REVALIDATED
    return response


@openapi.client.find_timeslots
@endpoint(["GET", "HEAD"])
@recent.from_replica
def find_timeslots(request: Request) -> Response:
    query = FindQuery.read(request.query_params.dict())
    minutes = query.pop("slot_minutes")
    query["slot"] = timedelta(minutes=minutes) if minutes else None
    zone = query.pop("time_zone")
    found = availability.find_timeslots(**query)
    return answering.page_before(request, *listings.written(found, zone))


@openapi.client.reserve
@endpoint(["POST"])
@idempotency.once
@outcomes.counted(metrics.RESERVES, "held")
def reserve(request: Request) -> Response:
    asked = ReserveInput.read(request.data)
    permissions.require_own(request, client_id=asked["client_id"])
    reservation = booking.reserve(**asked)
    deadlines.announce(reservation.pk)
    recent.changed(request, providers=[reservation.provider_id], clients=[asked["client_id"]])
    return Response({"Reservation scheduled": reservation_shape(reservation)})


@openapi.client.confirm
@endpoint(["PUT"])
@idempotency.once
@outcomes.counted(metrics.CONFIRMS, "confirmed")
def confirm(request: Request) -> Response:
    asked = ConfirmInput.read(request.data)
    permissions.require_own(request, client_id=asked["client_id"])
    reservation = booking.confirm(**asked)
    recent.changed(request, providers=[reservation.provider_id], clients=[asked["client_id"]])
    return Response({"Reservation is confirmed": reservation_shape(reservation)})


@openapi.client.reschedule
@endpoint(["PUT"])
@idempotency.once
def reschedule(request: Request) -> Response:
    asked = RescheduleInput.read(request.data)
    permissions.require_own(request, client_id=asked["client_id"])
    versions = preconditions.versions_to_match(request)
    reservation, former_provider_id = booking.reschedule(**asked, versions=versions)
    recent.changed(
        request,
        providers={reservation.provider_id, former_provider_id},
        clients=[asked["client_id"]],
    )
    return Response({"Reservation rescheduled": reservation_shape(reservation)})


@openapi.client.cancel
@endpoint(["PUT"])
@idempotency.once
def client_cancel(request: Request) -> Response:
    return parties.cancel(request, Party.CLIENT, ClientCancelInput)


@openapi.client.profile
@openapi.client.change_profile
@endpoint(["GET", "HEAD", "PUT"])
@idempotency.once
@recent.from_replica
def client_profile(request: Request) -> Response:
    return parties.profile(request, Client, ClientProfileQuery, ClientProfileInput)


@openapi.client.reservation
@endpoint(["GET", "HEAD"])
@recent.from_replica
def client_reservation(request: Request) -> Response:
    return parties.reservation(request, Party.CLIENT, ClientReservationQuery)


@openapi.client.reservations
@endpoint(["GET", "HEAD"])
@recent.from_replica
def client_reservations(request: Request) -> Response:
    return parties.reservations(request, Party.CLIENT, ClientReservationsQuery)


@openapi.client.make_calendar_link
@openapi.client.revoke_calendar_link
@endpoint(["POST", "DELETE"])
def client_calendar_link(request: Request) -> Response:
    return parties.calendar_link(request, Party.CLIENT, ClientProfileQuery)


@openapi.client.calendar
@endpoint(["GET", "HEAD"])
@authentication_classes([])
@permission_classes([])
def client_calendar(request: Request) -> HttpResponse:
    return parties.calendar(request, Party.CLIENT)
