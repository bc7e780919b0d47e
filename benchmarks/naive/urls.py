"""Five endpoints, each as a tutorial has it."""

from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Q
from django.urls import path
from django.utils import timezone
from rest_framework import serializers
from rest_framework.decorators import api_view
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from scheduling.models import Client, Provider, Reservation, Timeslot

NOTICE = timedelta(hours=24)
HOLD = timedelta(minutes=30)
SLOT = timedelta(minutes=15)


class TimeslotSerializer(serializers.ModelSerializer[Timeslot]):
    timeslot_id = serializers.IntegerField(source="id")
    first_name = serializers.CharField(source="provider.first_name")
    last_name = serializers.CharField(source="provider.last_name")
    is_available = serializers.SerializerMethodField()

    class Meta:
        model = Timeslot
        fields = [
            *("timeslot_id", "provider_id", "first_name", "last_name"),
            *("start_time", "end_time", "is_available"),
        ]

    def get_is_available(self, timeslot: Timeslot) -> bool:
        return True


class ReservationSerializer(serializers.ModelSerializer[Reservation]):
    reservation_id = serializers.IntegerField(source="id")
    is_confirmed = serializers.SerializerMethodField()

    class Meta:
        model = Reservation
        fields = [
            *("reservation_id", "timeslot_id", "provider_id", "client_id"),
            *("start_time", "end_time", "created_at", "is_confirmed"),
        ]

    def get_is_confirmed(self, reservation: Reservation) -> bool:
        return reservation.status == "confirmed"


class AvailabilitySerializer(serializers.ModelSerializer[Timeslot]):
    provider_id = serializers.PrimaryKeyRelatedField(
        source="provider", queryset=Provider.objects.all()
    )

    class Meta:
        model = Timeslot
        fields = ["provider_id", "start_time", "end_time"]


class ReserveSerializer(serializers.ModelSerializer[Reservation]):
    client_id = serializers.PrimaryKeyRelatedField(source="client", queryset=Client.objects.all())
    timeslot_id = serializers.PrimaryKeyRelatedField(
        source="timeslot", queryset=Timeslot.objects.all()
    )

    class Meta:
        model = Reservation
        fields = ["client_id", "timeslot_id"]


class ConfirmSerializer(serializers.Serializer[Any]):
    client_id = serializers.PrimaryKeyRelatedField(queryset=Client.objects.all())
    reservation_id = serializers.PrimaryKeyRelatedField(queryset=Reservation.objects.all())


def live(now: datetime) -> Q:
    return Q(status="confirmed") | Q(status="held", expires_at__gte=now)


@api_view(["POST"])
def publish(request: Request) -> Response:
    serializer = AvailabilitySerializer(data=request.data)
    serializer.is_valid(raise_exception=True)
    provider = serializer.validated_data["provider"]
    start, end = serializer.validated_data["start_time"], serializer.validated_data["end_time"]
    timeslots = []
    with transaction.atomic():
        if Timeslot.objects.filter(
            provider=provider, start_time__lt=end, end_time__gt=start
        ).exists():
            raise ValidationError("This overlaps with timeslots that exist.")
        while start < end:
            timeslot = Timeslot(provider=provider, start_time=start, end_time=start + SLOT)
            timeslot.save()
            timeslots.append(timeslot)
            start += SLOT
    answer = TimeslotSerializer(timeslots, many=True).data
    return Response({"available timeslots": answer}, status=201)


@api_view(["GET"])
def list_bookable(request: Request) -> Response:
    now = timezone.now()
    provider = Provider.objects.filter(pk=request.query_params["provider_id"]).first()
    if provider is None:
        raise NotFound
    taken = Reservation.objects.filter(live(now), provider=provider).values("timeslot_id")
    timeslots = (
        Timeslot.objects.filter(provider=provider, start_time__gte=now + NOTICE)
        .exclude(pk__in=taken)
        .select_related("provider")
        .order_by("start_time")
    )
    return Response({"available timeslots": TimeslotSerializer(timeslots, many=True).data})


@api_view(["POST"])
def reserve(request: Request) -> Response:
    serializer = ReserveSerializer(data=request.data)
    serializer.is_valid(raise_exception=True)
    client = serializer.validated_data["client"]
    now = timezone.now()
    with transaction.atomic():
        timeslot = Timeslot.objects.select_for_update().get(
            pk=serializer.validated_data["timeslot"].pk
        )
        if timeslot.start_time < now + NOTICE:
            raise ValidationError("This timeslot starts too soon.")
        # By the provider too, as the index is.
        on_it = Reservation.objects.filter(provider_id=timeslot.provider_id, timeslot=timeslot)
        if on_it.filter(live(now)).exists():
            raise ValidationError("This timeslot is taken.")
        on_it.filter(status="held").update(status="expired")
        reservation = Reservation(
            provider_id=timeslot.provider_id,
            timeslot=timeslot,
            client=client,
            start_time=timeslot.start_time,
            end_time=timeslot.end_time,
            status="held",
            created_at=now,
            expires_at=now + HOLD,
            changed_at=now,
            changed_by="client",
        )
        reservation.save()
    return Response({"Reservation scheduled": ReservationSerializer(reservation).data})


@api_view(["PUT"])
def confirm(request: Request) -> Response:
    serializer = ConfirmSerializer(data=request.data)
    serializer.is_valid(raise_exception=True)
    now = timezone.now()
    with transaction.atomic():
        reservation = Reservation.objects.select_for_update().get(
            pk=serializer.validated_data["reservation_id"].pk
        )
        if reservation.client_id != serializer.validated_data["client_id"].pk:
            raise ValidationError("This reservation belongs to another client.")
        if reservation.status != "held" or reservation.expires_at < now:
            raise ValidationError("This reservation cannot be confirmed.")
        reservation.status = "confirmed"
        reservation.version += 1
        reservation.changed_at = now
        reservation.save()
    return Response({"Reservation is confirmed": ReservationSerializer(reservation).data})


@api_view(["PUT"])
def expire(request: Request) -> Response:
    now = timezone.now()
    released = []
    with transaction.atomic():
        overdue = Reservation.objects.select_for_update().filter(status="held", expires_at__lt=now)
        for reservation in overdue:
            reservation.status = "expired"
            reservation.version += 1
            reservation.changed_at, reservation.changed_by = now, "service"
            reservation.save()
            timeslot = Timeslot.objects.select_related("provider").get(pk=reservation.timeslot_id)
            if timeslot.start_time >= now + NOTICE:
                released.append(timeslot)
    answer = TimeslotSerializer(released, many=True).data
    return Response({"Expired reservations deleted and corresponding timeslots released": answer})


@api_view(["GET"])
def alive(request: Request) -> Response:
    return Response({})


urlpatterns = [
    path("provider/availability", publish),
    path("client/getProviderAvailability", list_bookable),
    path("client/reserve", reserve),
    path("client/confirm", confirm),
    path("provider/expiredReservations", expire),
    path("healthz", alive),
]
