"""What operators look things up in. People's names can be corrected; everything else is read."""

import contextlib
from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.forms import UserChangeForm
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db.models import F, Model, QuerySet
from django.http import HttpRequest

from . import accounts, calendars, errors
from .models import Client, Provider, Reservation, ServiceToken, Timeslot


class PersonAdmin(admin.ModelAdmin):
    list_display = ("id", "first_name", "last_name", "time_zone")
    list_display_links = ("id", "first_name", "last_name")
    search_fields = ("=id", "first_name", "last_name")
    raw_id_fields = ("user",)
    readonly_fields = ("version",)
    ordering = ("id",)

    def formfield_for_dbfield(self, db_field: Any, request: Any, **options: Any) -> Any:
        if db_field.name == "time_zone":
            zones = [(name, name) for name in sorted(calendars.zone_names())]
            return forms.ChoiceField(choices=zones, initial="UTC")
        return super().formfield_for_dbfield(db_field, request, **options)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        if change:
            obj.version = F("version") + 1
        super().save_model(request, obj, form, change)

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


@admin.register(ServiceToken)
class ServiceTokenAdmin(ReadOnlyAdmin):
    """They are made by `manage.py create_service_token`, which shows them once."""

    list_display = ("name", "scope", "created_at", "expires_at", "revoked_at")
    ordering = ("-id",)
    exclude = ("digest",)
    actions = ("revoke",)

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("scheduling.change_servicetoken")

    @admin.action(description="Revoke the selected service tokens", permissions=["revoke"])
    def revoke(self, request: HttpRequest, selected: QuerySet[ServiceToken]) -> None:
        for service in selected.filter(revoked_at=None):
            with contextlib.suppress(errors.InvalidInput):  # somebody else was faster
                accounts.revoke_service_token(name=service.name)


admin.site.unregister(User)


class OneAccountPerEmail(UserChangeForm):
    def clean_email(self) -> str:
        email = str(self.cleaned_data["email"]).lower()
        other = accounts.with_email(email) if email else None
        if other is not None and other.pk != self.instance.pk:
            raise ValidationError(errors.EmailTaken.default_detail)
        return email


@admin.register(User)
class AccountAdmin(UserAdmin):
    """Accounts that sign up have a username that says nothing; they sign in by e-mail."""

    form = OneAccountPerEmail
    list_display = ("email", "username", "provider", "client", "is_staff", "is_active")
    list_select_related = ("provider", "client")
