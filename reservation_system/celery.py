"""Celery: the app, and what runs by the clock. What the tasks do is in scheduling/tasks.py."""

import atexit
import logging.config
import os
import shutil
import sys
from typing import Any

from celery import Celery, signals
from celery.schedules import crontab
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import close_old_connections, connections
from django.utils.module_loading import import_string
from prometheus_client import start_http_server

from scheduling import failover

from .environment import new_folder_for_counts

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "reservation_system.settings")
if not settings.BROKER_URL:
    raise ImproperlyConfigured("BROKER_URL must be set: there is no background work without it.")

# Nothing waits for these. What is not begun before the next one is due is left to that.
PERIODIC_JOBS = {
    # The safety net: holds whose message was dropped, lost, or met a database that was away.
    # On the minute: counted from its start, a beat that is restarted too often would never sweep.
    "sweep": {
        "task": "scheduling.tasks.expire_overdue",
        "schedule": crontab(),
        "options": {"expires": 60},
    },
    # What happened is passed on, and what failed tried again. One run at a time: where another is
    # still at it, a run ends at once.
    "webhooks": {
        "task": "scheduling.tasks.deliver_webhooks",
        "schedule": 2.0,
        "options": {"expires": 2},
    },
    "notifications": {
        "task": "scheduling.tasks.send_notifications",
        "schedule": 5.0,
        "options": {"expires": 5},
    },
    # What is kept for a time only. On the hour, so that a restart does not put it off.
    "purge": {
        "task": "scheduling.tasks.purge",
        "schedule": crontab(minute="0"),
        "options": {"expires": 3600},
    },
}
if settings.ARCHIVE_AFTER:
    # Beside the purge, which lets go of what keeps a reservation from being archived.
    PERIODIC_JOBS["archive"] = {
        "task": "analytics.tasks.archive",
        "schedule": crontab(minute="30"),
        "options": {"expires": 3600},
    }

if settings.CACHE_LISTS:
    # So that whoever comes next need not wait for what has changed since.
    PERIODIC_JOBS["lists"] = {
        "task": "scheduling.tasks.refresh_lists",
        "schedule": 5.0,
        "options": {"expires": 5},
    }


@signals.import_modules.connect
def _count_in_a_folder(**_: Any) -> None:
    """Before Django's own receiver, and so before anything that counts is imported."""
    if settings.METRICS_PORT and not settings.METRICS_FOLDER:
        folder = new_folder_for_counts()
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
        atexit.register(shutil.rmtree, folder, ignore_errors=True)


app = Celery(
    "reservation_system",
    broker=settings.BROKER_URL,
    include=["scheduling.tasks", "analytics.tasks"],
)
app.conf.update(
    beat_schedule=PERIODIC_JOBS,
    timezone="UTC",
    task_serializer="json",
    accept_content=["json"],
    task_ignore_result=True,
    task_default_queue="reservations",
    task_default_queue_type="quorum",
    # A task takes some milliseconds; what is fetched ahead is what a killed worker leaves undone
    # until the broker notices.
    worker_prefetch_multiplier=16,
    worker_consumer="reservation_system.worker.Consumer",
    # No queues for each worker: nobody asks them anything.
    worker_enable_remote_control=False,
    worker_cancel_long_running_tasks_on_connection_loss=True,
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    # Connections to the database are kept: Celery would open one for each task.
    CELERY_DB_REUSE_MAX=2**31,
)


@signals.setup_logging.connect
def _log_as_the_service_does(**_: Any) -> None:
    logging.config.dictConfig(settings.LOGGING)


@signals.task_prerun.connect
def _drop_broken_connections(**_: Any) -> None:
    close_old_connections()
    for connection in connections.all(initialized_only=True):
        failover.drop_if_broken(connection)


@signals.task_prerun.connect
def _begin_span(task_id: str, task: Any, **_: Any) -> None:
    if settings.TRACING:
        import_string("reservation_system.tracing.begin_task")(task_id, task.name)


@signals.task_postrun.connect
def _end_span(task_id: str, retval: Any, **_: Any) -> None:
    if settings.TRACING:
        import_string("reservation_system.tracing.end_task")(task_id, retval)


@signals.worker_process_shutdown.connect
def _send_spans(**_: Any) -> None:
    if settings.TRACING:
        import_string("reservation_system.tracing.provider").shutdown()


@signals.worker_ready.connect
def _show_counts(**_: Any) -> None:
    """In the main process, which runs no task: those that do count in the same folder."""
    if not settings.METRICS_PORT:
        return
    # Not at the top: the web service imports this module too, and counts elsewhere.
    everything = import_string("scheduling.metrics.everything")
    try:
        start_http_server(settings.METRICS_PORT, settings.HOST, everything())
    except OSError as taken:
        sys.exit(f"METRICS_PORT {settings.METRICS_PORT} cannot be listened on: {taken}")
