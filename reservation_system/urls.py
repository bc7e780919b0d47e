"""Every address of the service."""

from django.contrib import admin
from django.urls import include, path
from django.views.decorators.cache import cache_page
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularJSONAPIView, SpectacularSwaggerView

from . import health, problems

handler400 = "scheduling.errors.bad_request"
handler403 = "scheduling.errors.not_permitted"
handler404 = "scheduling.errors.not_found"
handler500 = "scheduling.errors.fault"

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="docs")),
    path("", include("scheduling.urls")),
    path("healthz", health.alive),
    path("readyz", health.ready),
    path("schema", cache_page(3600)(SpectacularJSONAPIView.as_view()), name="schema"),
    path("docs", SpectacularSwaggerView.as_view(url_name="schema"), name="docs"),
    path("problems", problems.every_refusal, name="problems"),
    path("admin", RedirectView.as_view(pattern_name="admin:index")),
    path("admin/", admin.site.urls),
]
