"""The seven addresses of the contract, those that were added, and three to sign in and out.

Looked through from the top: those that are asked for most come first.
"""

from django.urls import path

from .views import auth, client, events, provider, webhooks

urlpatterns = [
    path("client/getProviderAvailability", client.list_bookable),
    path("client/reserve", client.reserve),
    path("client/confirm", client.confirm),
    path("provider/create", provider.create_provider),
    path("provider/availability", provider.provider_availability),
    path("provider/profile", provider.provider_profile),
    path("provider/list", provider.list_providers),
    path("provider/reservation", provider.provider_reservation),
    path("provider/reservations", provider.provider_reservations),
    path("provider/cancel", provider.provider_cancel),
    path("provider/calendarLink", provider.provider_calendar_link),
    path("provider/calendar.ics", provider.provider_calendar),
    path("provider/expiredReservations", provider.expire),
    path("client/create", client.create_client),
    path("client/reschedule", client.reschedule),
    path("client/cancel", client.client_cancel),
    path("client/profile", client.client_profile),
    path("client/findTimeslots", client.find_timeslots),
    path("client/reservation", client.client_reservation),
    path("client/reservations", client.client_reservations),
    path("client/calendarLink", client.client_calendar_link),
    path("client/calendar.ics", client.client_calendar),
    path("events", events.events),
    path("webhooks", webhooks.webhooks),
    path("webhooks/secret", webhooks.webhook_secret),
    path("webhooks/test", webhooks.test_webhook),
    path("webhooks/deliveries", webhooks.webhook_deliveries),
    path("webhooks/replay", webhooks.replay_webhook),
    path("auth/token", auth.sign_in),
    path("auth/token/refresh", auth.refresh),
    path("auth/logout", auth.sign_out),
]
