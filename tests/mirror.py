"""Settings, addresses and a view in one: it answers what the service takes its caller for."""

from django.http import JsonResponse
from django.urls import re_path

from reservation_system.settings import *  # noqa: F403

ROOT_URLCONF = __name__


def mirror(request):
    seen = {"address": request.META["REMOTE_ADDR"], "is_secure": request.is_secure()}
    return JsonResponse(seen | {"headers": dict(request.headers)})


urlpatterns = [re_path("", mirror)]
