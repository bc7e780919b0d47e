"""The seven addresses."""

from django.urls import path

from . import views

urlpatterns = [
    path("provider/create", views.create_provider),
    path("provider/availability", views.publish),
    path("provider/expiredReservations", views.expire),
    path("client/create", views.create_client),
    path("client/getProviderAvailability", views.list_bookable),
    path("client/reserve", views.reserve),
    path("client/confirm", views.confirm),
]
