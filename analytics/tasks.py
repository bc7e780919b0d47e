"""What the worker does by the clock: one verb. Twice has no more effect."""

from celery import shared_task
from django.conf import settings

from scheduling.tasks import AT_LEAST_ONCE, ONE_RUN, after

from . import archive as past


@shared_task(soft_time_limit=300, time_limit=330, **AT_LEAST_ONCE)
def archive() -> None:
    past.archive(older_than=settings.ARCHIVE_AFTER, should_stop=after(ONE_RUN))
