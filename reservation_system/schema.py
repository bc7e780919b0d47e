"""What every call takes and answers, as OpenAPI."""

from functools import cache

from django.http import HttpRequest, HttpResponse
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_safe
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.renderers import OpenApiJsonRenderer

import scheduling.urls


@require_safe
@cache_control(max_age=3600)
def openapi(request: HttpRequest) -> HttpResponse:
    return HttpResponse(
        _rendered(),
        content_type=OpenApiJsonRenderer.media_type,
        headers={"Content-Disposition": 'inline; filename="Reservation service.json"'},
    )


@cache  # it takes a third of a second, and is the same for every caller
def _rendered() -> bytes:
    # Of all calls, also those that another instance serves.
    generator = SchemaGenerator(patterns=scheduling.urls.urlpatterns)  # type: ignore[no-untyped-call]
    schema = generator.get_schema(request=None, public=True)  # type: ignore[no-untyped-call]
    return OpenApiJsonRenderer().render(schema)
