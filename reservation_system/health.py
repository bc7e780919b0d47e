"""Liveness and readiness, for whatever restarts the process or sends it traffic."""

from functools import cache

from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_safe

from scheduling import errors

from . import draining


@require_safe
def alive(request: HttpRequest) -> HttpResponse:
    """200 as long as the process answers; asks nothing else, so that a lost database does not
    make anybody restart a healthy process."""
    return JsonResponse({"status": "ok"})


@require_safe
def ready(request: HttpRequest) -> HttpResponse:
    """200 when the database answers and every migration is applied, else 503 saying which; 503 too
    when the instance is about to stop."""
    if draining.has_begun():
        return errors.response(errors.Draining())
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    try:
        _require_migrations()
    except errors.Unavailable as not_migrated:
        return errors.response(not_migrated)
    return JsonResponse({"status": "ok"})


@cache  # a success is remembered for the life of the process; an exception is not
def _require_migrations() -> None:
    executor = MigrationExecutor(connection)
    if executor.migration_plan(executor.loader.graph.leaf_nodes()):
        raise errors.Unavailable("Migrations are missing: run manage.py migrate.")
