"""One view that does nothing."""

from django.urls import path
from rest_framework.decorators import api_view
from rest_framework.request import Request
from rest_framework.response import Response


@api_view(["GET"])
def empty(request: Request) -> Response:
    return Response({})


urlpatterns = [path("empty", empty), path("healthz", empty)]
