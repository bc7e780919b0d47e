"""Functions as views of the REST framework, at what a request has to cost and no more."""

from collections.abc import Callable, Collection
from typing import Any

from django.http import HttpRequest, HttpResponse
from rest_framework.request import Request
from rest_framework.views import APIView

from scheduling import failover
from scheduling.wire import JSONRequest

READS = ("GET", "HEAD")
View = Callable[[Request], HttpResponse]


class Endpoint(APIView):
    """The framework makes all of these anew for each request. None of them keeps anything, so here
    each endpoint has its own for good."""

    default_response_headers: dict[str, str] = {}
    _authenticators: list[Any]
    _permissions: list[Any]
    _negotiator: Any
    _negotiated: tuple[Any, str]

    def get_permissions(self) -> list[Any]:
        return self._permissions

    def initialize_request(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Request:
        return JSONRequest(
            request,
            authenticators=self._authenticators,
            negotiator=self._negotiator,
        )

    def perform_content_negotiation(self, request: Request, force: bool = False) -> tuple[Any, str]:
        return self._negotiated


def endpoint(methods: Collection[str]) -> Callable[[View], Callable[..., HttpResponse]]:
    """As the framework's `api_view`: of a function, the view that answers these methods with it.

    `authentication_classes` and `permission_classes` stand below it, as there.
    """

    def decorate(function: View) -> Callable[..., HttpResponse]:
        def handler(self: Endpoint, request: Request) -> HttpResponse:
            return function(request)

        def reader(self: Endpoint, request: Request) -> HttpResponse:
            return failover.once_more(lambda: function(request), after=failover.was_lost)

        answered = [method.lower() for method in (*methods, "OPTIONS")]
        own = {
            name: getattr(function, name)
            for name in ("authentication_classes", "permission_classes", "schema")
            if hasattr(function, name)
        }
        cls: Any = type(
            function.__name__,
            (Endpoint,),
            {
                **{one.lower(): reader if one in READS else handler for one in methods},
                **own,
                "__doc__": function.__doc__,
                "__module__": function.__module__,
                "http_method_names": answered,
                "default_response_headers": {"Allow": ", ".join(answered).upper()},
            },
        )
        view: Any = cls()
        cls._authenticators = APIView.get_authenticators(view)
        cls._permissions = APIView.get_permissions(view)
        cls._negotiator = cls.content_negotiation_class()
        cls._negotiated = cls._negotiator.select_renderer(None, view.get_renderers())
        return cls.as_view()  # type: ignore[no-any-return]

    return decorate
