"""The operators' pages: Django's admin, whose front page says what is going on."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.template.response import TemplateResponse

from . import operations, plots
from .models import Reservation


class OperatorsSite(admin.AdminSite):
    site_header = site_title = "Reservation service"
    index_title = "Operations"
    index_template = "scheduling/operations.html"

    def index(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> TemplateResponse:
        """What is well or not, for all staff; for those who may see reservations, all the rest."""
        signs = operations.signs()
        context: dict[str, Any] = {
            "signs": signs,
            "troubles": [sign for sign in signs if not sign.is_well],
        }
        if self.get_model_admin(Reservation).has_view_permission(request):
            overview = operations.overview()
            context |= {"overview": overview, "plot": plots.bars(overview.days)}
        return super().index(request, context | (extra_context or {}))
