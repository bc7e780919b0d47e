"""What becomes of the calls that the business lives on, counted by outcome."""

from collections.abc import Callable
from functools import wraps

from prometheus_client import Counter
from rest_framework.exceptions import APIException
from rest_framework.request import Request

from . import errors
from .wire import Response

View = Callable[[Request], Response]


def counted(counter: Counter, granted: str) -> Callable[[View], View]:
    """Of a view: `granted`, or the code of the refusal. What is answered again is not counted."""

    def decorate(view: View) -> View:
        @wraps(view)
        def wrapped(request: Request) -> Response:
            outcome = errors.Fault.default_code
            try:
                response = view(request)
                outcome = granted
            except APIException as refusal:
                outcome = errors.problem(refusal)["code"]
                raise
            except errors.DATABASE_AWAY:
                outcome = errors.Unavailable.default_code
                raise
            finally:
                counter.labels(outcome).inc()
            return response

        return wrapped

    return decorate
