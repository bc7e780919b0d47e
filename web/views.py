"""The pages for people: what they show, their scripts ask the service's public calls for."""

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.templatetags.static import static
from django.utils import translation
from django.utils.cache import patch_vary_headers
from django.views.decorators.http import require_safe
from django.views.i18n import JavaScriptCatalog

from scheduling import errors, policy

# What a page's script imports, so that browsers need not read one module to learn of the next.
MODULES = ("account", "api", "clock", "fields", "header", "page", "session", "time")
OF_CLIENTS = ("appointments", "ics", "month", "reservation", "reserving", "router")
OF_PROVIDERS = (
    *("agenda", "appointment", "arrows", "block", "column", "day", "days", "drag"),
    *("hours", "publish", "week"),
)


@require_safe
def book(request: HttpRequest) -> HttpResponse:
    return _page(request, "web/book.html", MODULES + OF_CLIENTS)


@require_safe
def provide(request: HttpRequest) -> HttpResponse:
    return _page(request, "web/provide.html", MODULES + OF_PROVIDERS)


@require_safe
def text(request: HttpRequest, language: str) -> HttpResponseBase:
    """What the scripts say, in this language, as a script for Django's own functions."""
    if language not in dict(settings.LANGUAGES):
        return errors.response(errors.NotFound())
    with translation.override(language):
        response = JavaScriptCatalog.as_view(packages=["web"])(request)
    response["Cache-Control"] = "no-cache"
    return response


def _page(request: HttpRequest, template: str, modules: tuple[str, ...]) -> HttpResponse:
    # Lowercase: a cookie may have it as DE.
    language = translation.get_language_from_request(request).lower()
    with translation.override(language):
        response = render(
            request,
            template,
            {
                "settings": settings,
                "notice_seconds": policy.notice_seconds(),
                "language": language,
                "direction": "rtl" if translation.get_language_bidi() else "ltr",
                "languages": settings.LANGUAGES,
                "modules": [static(f"web/{name}.js") for name in modules],
            },
        )
    response["Cache-Control"] = "no-cache"
    patch_vary_headers(response, ["Accept-Language", "Cookie"])
    return response
