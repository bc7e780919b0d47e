"""Under /provider."""

from django.http import HttpResponse
from rest_framework.decorators import authentication_classes, permission_classes
from rest_framework.request import Request

from scheduling import (
    availability,
    calendars,
    expiry,
    idempotency,
    listings,
    openapi,
    people,
    permissions,
    recent,
)
from scheduling.models import Provider, Reservation
from scheduling.serializers import (
    ProviderCancelInput,
    ProviderProfileInput,
    ProviderProfileQuery,
    ProviderReservationQuery,
    ProviderReservationsQuery,
    ProvidersQuery,
    ProviderTimeslotsQuery,
    WithdrawInput,
    availability_form,
)
from scheduling.shapes import provider_row_shape, provider_shape, reservation_shape, timeslot_shapes
from scheduling.wire import Response

from . import answering, parties
from .endpoint import endpoint

Party = Reservation.Party


@openapi.provider.create
@endpoint(["POST"])
@idempotency.once
def create_provider(request: Request) -> Response:
    provider = parties.create_person(request, Provider)
    recent.changed(request, providers=[provider.pk])
    return Response(provider_shape(provider), status=201)


@openapi.provider.timeslots
@openapi.provider.publish
@openapi.provider.withdraw
@endpoint(["GET", "HEAD", "POST", "DELETE"])
@idempotency.once
@recent.from_replica
def provider_availability(request: Request) -> Response:
    if request.method == "POST":
        return _publish(request)
    return _withdraw(request) if request.method == "DELETE" else _timeslots(request)


@openapi.provider.profile
@openapi.provider.change_profile
@endpoint(["GET", "HEAD", "PUT"])
@idempotency.once
@recent.from_replica
def provider_profile(request: Request) -> Response:
    return parties.profile(request, Provider, ProviderProfileQuery, ProviderProfileInput)


@openapi.provider.list_providers
@endpoint(["GET", "HEAD"])
@recent.from_replica
def list_providers(request: Request) -> Response:
    query = ProvidersQuery.read(request.query_params.dict())
    page = people.list_providers(
        begins=query["name"], goes_on_at=query["cursor"], limit=query["limit"]
    )
    more = page.goes_on_at
    return answering.page(
        request,
        {"providers": [provider_row_shape(provider) for provider in page.providers]},
        goes_on_at=(more.key, more.provider_id) if more else None,
    )


@openapi.provider.reservation
@endpoint(["GET", "HEAD"])
@recent.from_replica
def provider_reservation(request: Request) -> Response:
    return parties.reservation(request, Party.PROVIDER, ProviderReservationQuery)


@openapi.provider.reservations
@endpoint(["GET", "HEAD"])
@recent.from_replica
def provider_reservations(request: Request) -> Response:
    return parties.reservations(request, Party.PROVIDER, ProviderReservationsQuery)


@openapi.provider.cancel
@endpoint(["PUT"])
@idempotency.once
def provider_cancel(request: Request) -> Response:
    return parties.cancel(request, Party.PROVIDER, ProviderCancelInput)


@openapi.provider.make_calendar_link
@openapi.provider.revoke_calendar_link
@endpoint(["POST", "DELETE"])
def provider_calendar_link(request: Request) -> Response:
    return parties.calendar_link(request, Party.PROVIDER, ProviderProfileQuery)


@openapi.provider.calendar
@endpoint(["GET", "HEAD"])
@authentication_classes([])
@permission_classes([])
def provider_calendar(request: Request) -> HttpResponse:
    return parties.calendar(request, Party.PROVIDER)


@openapi.provider.expire
@endpoint(["PUT"])
@idempotency.once
def expire(request: Request) -> Response:
    released = timeslot_shapes(expiry.expire_overdue())
    recent.changed(request)
    return Response({"Expired reservations deleted and corresponding timeslots released": released})


def _timeslots(request: Request) -> Response:
    query = ProviderTimeslotsQuery.read(request.query_params.dict())
    permissions.require_own(request, provider_id=query["provider_id"])
    zone = query.pop("time_zone")
    page = availability.list_timeslots(**query)
    return answering.page_before(request, *listings.written(page, zone, name="timeslots"))


def _publish(request: Request) -> Response:
    form = availability_form(request.data)
    given = form.read(request.data)
    provider_id = given["provider_id"]
    permissions.require_own(request, provider_id=provider_id)
    zone = given.get("time_zone")
    if zone is None:
        is_on_a_clock = "time_zone" in given
        zone = people.zone_of_provider(provider_id) if is_on_a_clock else calendars.UTC_ZONE
    timeslots = availability.publish(
        provider_id=provider_id, windows=form.windows(given, zone), skip=given["skip"]
    )
    recent.changed(request, providers=[provider_id])
    return Response({"available timeslots": timeslot_shapes(timeslots)}, status=201)


def _withdraw(request: Request) -> Response:
    # Some clients and proxies let no body through with a DELETE.
    asked = WithdrawInput.read(request.data or request.query_params.dict())
    permissions.require_own(request, provider_id=asked["provider_id"])
    withdrawn = availability.withdraw(**asked)
    recent.changed(
        request,
        providers=[asked["provider_id"]],
        clients={one.client_id for one in withdrawn.cancelled},
    )
    return Response(
        {
            "removed timeslots": timeslot_shapes(withdrawn.timeslots),
            "cancelled reservations": [reservation_shape(one) for one in withdrawn.cancelled],
        }
    )
