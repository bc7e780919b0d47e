"""The endpoints: check the shape, call one verb, render its answer."""

from django.http import QueryDict
from rest_framework.decorators import api_view
from rest_framework.request import Request
from rest_framework.response import Response

from . import availability, booking, expiry, openapi
from .models import Client, Provider
from .serializers import (
    AvailabilityInput,
    BookableQuery,
    ConfirmInput,
    CursorField,
    PersonInput,
    ReserveInput,
    client_shape,
    provider_shape,
    reservation_shape,
    timeslot_shapes,
)


@openapi.create_provider
@api_view(["POST"])
def create_provider(request: Request) -> Response:
    person = PersonInput(data=request.data)
    person.is_valid(raise_exception=True)
    provider = Provider.objects.create(**person.validated_data)
    return Response(provider_shape(provider), status=201)


@openapi.create_client
@api_view(["POST"])
def create_client(request: Request) -> Response:
    person = PersonInput(data=request.data)
    person.is_valid(raise_exception=True)
    client = Client.objects.create(**person.validated_data)
    return Response(client_shape(client), status=201)


@openapi.publish
@api_view(["POST"])
def publish(request: Request) -> Response:
    window = AvailabilityInput(data=request.data)
    window.is_valid(raise_exception=True)
    timeslots = availability.publish(**window.validated_data)
    return Response({"available timeslots": timeslot_shapes(timeslots)}, status=201)


@openapi.list_bookable
@api_view(["GET", "HEAD"])
def list_bookable(request: Request) -> Response:
    query = BookableQuery(data=request.query_params.dict())
    query.is_valid(raise_exception=True)
    page = availability.list_bookable(**query.validated_data)
    response = Response({"available timeslots": timeslot_shapes(page.timeslots)})
    if page.next_start is not None:
        cursor = CursorField.encode(page.next_start)
        response["Link"] = f'<{_this_list_from(request, cursor)}>; rel="next"'
    return response


@openapi.reserve
@api_view(["POST"])
def reserve(request: Request) -> Response:
    asked = ReserveInput(data=request.data)
    asked.is_valid(raise_exception=True)
    reservation = booking.reserve(**asked.validated_data)
    return Response({"Reservation scheduled": reservation_shape(reservation)})


@openapi.confirm
@api_view(["PUT"])
def confirm(request: Request) -> Response:
    asked = ConfirmInput(data=request.data)
    asked.is_valid(raise_exception=True)
    reservation = booking.confirm(**asked.validated_data)
    return Response({"Reservation is confirmed": reservation_shape(reservation)})


@openapi.expire
@api_view(["PUT"])
def expire(request: Request) -> Response:
    released = timeslot_shapes(expiry.expire_overdue())
    return Response({"Expired reservations deleted and corresponding timeslots released": released})


def _this_list_from(request: Request, cursor: str) -> str:
    query: QueryDict = request.query_params.copy()
    query["cursor"] = cursor
    return request.build_absolute_uri(f"{request.path}?{query.urlencode()}")
