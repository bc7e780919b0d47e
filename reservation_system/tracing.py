"""Traces by OpenTelemetry, imported only where the OTEL_ variables ask for them.

A span for each request, for each statement in it and for each task. They hold routes, statuses and
statements without their values: no path, query, body or parameter, for people's names and secret
keys stand there.
"""

from collections.abc import Callable
from multiprocessing.util import Finalize
from typing import Any

from django.db import connection
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.propagate import extract
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, SpanKind, StatusCode

from .middleware import METHODS, GetResponse, endpoint_of

# An exception's words quote rows, so of an exception a span has only the kind.
IN_OUR_WORDS: dict[str, Any] = {"record_exception": False, "set_status_on_exception": False}


def _provider() -> TracerProvider:
    """What else the variables say (sampling, batches, headers), the SDK reads by itself."""
    resource = Resource.create()
    if str(resource.attributes[SERVICE_NAME]).startswith("unknown_service"):
        resource = resource.merge(Resource({SERVICE_NAME: "reservation-service"}))
    provider = TracerProvider(resource=resource)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider


# Imported by each worker process for itself; forked from one, it starts a thread of its own.
provider = _provider()
tracer = provider.get_tracer("reservation_system")
# Forked workers end without atexit.
Finalize(None, provider.shutdown, exitpriority=10)


class Trace:
    """A span around the request, in the trace that its `traceparent` names."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        method = request.method if request.method in METHODS else "_OTHER"
        parent = extract(request.headers)
        with (
            tracer.start_as_current_span(
                str(method), parent, SpanKind.SERVER, **IN_OUR_WORDS
            ) as span,
            connection.execute_wrapper(_trace_statement),
        ):
            response = self.get_response(request)
            endpoint = endpoint_of(request)
            span.update_name(f"{method} {endpoint}")
            span.set_attributes(
                {
                    "http.request.method": str(method),
                    "http.route": endpoint,
                    "http.response.status_code": response.status_code,
                    "request_id": response["X-Request-ID"],
                }
            )
            if response.status_code >= 500:
                span.set_status(StatusCode.ERROR)
            return response


def _trace_statement(
    execute: Callable[..., Any], sql: str, params: Any, many: bool, context: dict[str, Any]
) -> Any:
    text = " ".join(str(sql).split())
    operation = text.partition(" ")[0].upper()
    with tracer.start_as_current_span(operation, kind=SpanKind.CLIENT, **IN_OUR_WORDS) as span:
        span.set_attributes(
            {
                "db.system.name": context["connection"].vendor,
                "db.operation.name": operation,
                "db.query.text": text,
            }
        )
        try:
            return execute(sql, params, many, context)
        except Exception as failure:
            _failed(span, failure)
            raise


_tasks: dict[str, Any] = {}


def begin_task(task_id: str, name: str) -> None:
    span = tracer.start_span(f"run {name}", kind=SpanKind.CONSUMER)
    wrapper = connection.execute_wrapper(_trace_statement)
    current = trace.use_span(span, end_on_exit=True, **IN_OUR_WORDS)
    current.__enter__()
    wrapper.__enter__()
    _tasks[task_id] = current, wrapper, span


def end_task(task_id: str, result: Any) -> None:
    current, wrapper, span = _tasks.pop(task_id)
    if isinstance(result, Exception):  # Celery's way to say that it was raised
        _failed(span, result)
    wrapper.__exit__(None, None, None)
    current.__exit__(None, None, None)


def _failed(span: Span, failure: BaseException) -> None:
    span.set_attribute("error.type", type(failure).__name__)
    span.set_status(StatusCode.ERROR)
