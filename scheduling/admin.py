"""What operators look things up in. People's names can be corrected; everything else is read."""

from typing import Any

from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest

from .models import Client, Provider, Reservation, Timeslot

admin.site.site_header = admin.site.site_title = "Reservation service"
admin.site.index_title = "Operations"


class PersonAdmin(admin.ModelAdmin):
    list_display = ("id", "first_name", "last_name")
    list_display_links = ("id", "first_name", "last_name")
    search_fields = ("=id", "first_name", "last_name")
    ordering = ("id",)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


admin.site.register(Provider, PersonAdmin)
admin.site.register(Client, PersonAdmin)


class ReadOnlyAdmin(admin.ModelAdmin):
    # Counting every row of a large table costs more than the page.
    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


@admin.register(Timeslot)
class TimeslotAdmin(ReadOnlyAdmin):
    list_display = ("id", "provider", "start_time", "end_time")
    list_filter = ("start_time",)
    list_select_related = ("provider",)
    search_fields = ("=id", "=provider__id", "provider__first_name", "provider__last_name")
    ordering = ("-id",)


@admin.register(Reservation)
class ReservationAdmin(ReadOnlyAdmin):
    list_display = ("id", "status", "provider", "client", "start_time", "created_at", "expires_at")
    list_filter = ("status", "start_time", "created_at")
    list_select_related = ("provider", "client")
    search_fields = (
        "=id",
        "=timeslot__id",
        "=client__id",
        "=provider__id",
        "client__first_name",
        "client__last_name",
        "provider__first_name",
        "provider__last_name",
    )
    ordering = ("-id",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).select_related("provider", "client", "timeslot")
