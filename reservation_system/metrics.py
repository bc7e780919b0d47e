"""/metrics: what the processes have counted and what the database says now, for Prometheus."""

import time
from collections.abc import Iterable

from django.db import Error
from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector
from rest_framework.decorators import authentication_classes
from rest_framework.exceptions import APIException
from rest_framework.request import Request

from scheduling import errors, expiry, relay, tokens
from scheduling import metrics as counted
from scheduling.authentication import BearerAuthentication, Caller
from scheduling.models import ServiceToken
from scheduling.views.endpoint import endpoint

REMEMBERED_FOR = 3600.0  # seconds


class EvenWithoutDatabase(BearerAuthentication):
    """Takes a scraper's token that was good within the last hour while nobody can look it up:
    when the database is away, these numbers are wanted most."""

    _good: dict[str, tuple[Caller, float]] = {}

    def authenticate(self, request: Request) -> tuple[Caller, None] | None:
        mark = tokens.digest(request.META.get("HTTP_AUTHORIZATION", ""))
        try:
            found = super().authenticate(request)
        except errors.DATABASE_AWAY:
            caller, until = self._good.get(mark, (None, 0.0))
            if caller is None or time.monotonic() > until:
                raise
            return caller, None
        except APIException:
            self._good.pop(mark, None)
            raise
        if found is not None and found[0].scope == ServiceToken.Scope.METRICS:
            self._good[mark] = (found[0], time.monotonic() + REMEMBERED_FOR)
        return found


class FromTheDatabase(Collector):
    """Asked when somebody looks, by two statements; without a database, that it is away."""

    def collect(self) -> Iterable[Metric]:
        try:
            holds, lags = expiry.count_holds(), relay.lags()
        except Error:
            holds, lags = None, {}
        yield GaugeMetricFamily(
            "reservations_database_up",
            "1 when the database answered this scrape, else 0.",
            value=float(holds is not None),
        )
        if holds is None:
            return
        yield GaugeMetricFamily(
            "reservations_live_holds", "Holds that can still be confirmed.", value=holds.live
        )
        yield GaugeMetricFamily(
            "reservations_lapsed_holds",
            "Holds past their deadline that nothing has written down as expired yet.",
            value=holds.overdue,
        )
        yield GaugeMetricFamily(
            "reservations_lapsed_hold_age_seconds",
            "How long ago the oldest of them lapsed; 0 when there is none.",
            value=holds.oldest.total_seconds(),
        )
        unread = GaugeMetricFamily(
            "reservations_unread_event_age_seconds",
            "How long the oldest event has been waiting to be passed on, by who is to do it.",
            labels=["reader"],
        )
        for reader, lag in lags.items():
            unread.add_metric([reader], lag.total_seconds())
        yield unread


@extend_schema(exclude=True)
@endpoint(["GET", "HEAD"])
@authentication_classes([EvenWithoutDatabase])
def metrics(request: Request) -> HttpResponse:
    asked = CollectorRegistry()
    asked.register(FromTheDatabase())
    return HttpResponse(
        generate_latest(counted.everything()) + generate_latest(asked),
        content_type=CONTENT_TYPE_PLAIN_0_0_4,
        headers={"Cache-Control": "no-store"},
    )
