"""What every call takes and answers, as OpenAPI."""

from functools import cache
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_safe
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.plumbing import get_lib_doc_excludes
from drf_spectacular.renderers import OpenApiJsonRenderer

import scheduling.urls
from scheduling.serializers import Shape
from scheduling.views.endpoint import Endpoint


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


def say_nothing_of_calls() -> list[type[Any]]:
    """Classes whose docstrings are for who reads the code; of what they serve they say nothing."""
    return [*get_lib_doc_excludes(), Shape, Endpoint]  # type: ignore[no-untyped-call]
