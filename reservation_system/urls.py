"""Every address of the service, and which of them this instance serves."""

from django.conf import settings
from django.contrib import admin
from django.urls import URLPattern, URLResolver, path
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularSwaggerSplitView

import scheduling.urls
import web.views as pages_for_people
from scheduling import pages

from . import health, metrics, problems, schema

handler400 = "scheduling.errors.bad_request"
handler403 = "scheduling.errors.not_permitted"
handler404 = "scheduling.errors.not_found"
handler500 = "scheduling.errors.fault"

# What takes no form is exempt: another method is refused as such, not as a foreign form.
urlpatterns: list[URLPattern | URLResolver] = [
    *scheduling.urls.urlpatterns,  # not included: a resolver of its own costs every request more
    path("", csrf_exempt(pages_for_people.book)),
    path("provide", csrf_exempt(pages_for_people.provide)),
    path("web/text/<language>.js", csrf_exempt(pages_for_people.text), name="web-text"),
    path("healthz", csrf_exempt(health.alive)),
    path("readyz", csrf_exempt(health.ready)),
    path("metrics", metrics.metrics),
    path("schema", csrf_exempt(schema.openapi), name="schema"),
    path(
        "docs",
        require_safe(
            SpectacularSwaggerSplitView.as_view(
                url_name="schema", template_name="scheduling/docs.html"
            )
        ),
        name="docs",
    ),
    path("unsubscribe", pages.unsubscribe),
    path("problems", csrf_exempt(problems.every_refusal), name="problems"),
]

if settings.ADMIN_PATH:
    urlpatterns += [
        path(settings.ADMIN_PATH, csrf_exempt(RedirectView.as_view(pattern_name="admin:index"))),
        path(f"{settings.ADMIN_PATH}/", admin.site.urls),
    ]

# By first segment, what an instance of one service leaves to the other. Both serve the rest.
LEFT_TO_THE_OTHER = {
    "all": [],
    "client": [
        *("", "provide", "web", "provider", "events", "webhooks", "schema", "docs"),
        settings.ADMIN_PATH.partition("/")[0],
    ],
    "provider": ["client"],
}[settings.SERVICE]
urlpatterns = [
    one for one in urlpatterns if str(one.pattern).partition("/")[0] not in LEFT_TO_THE_OTHER
]
