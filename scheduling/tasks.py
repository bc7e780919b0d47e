"""What the worker does, on a message or by the clock: one verb each. Twice has no more effect."""

import time
from collections.abc import Callable

from celery import shared_task

from . import deadlines, expiry, listings, notifications, relay, webhooks

ONE_RUN = 50.0  # seconds after which a run leaves the rest to the next

# Acknowledged when done: what a killed worker had in hand is done by another.
AT_LEAST_ONCE = {"acks_late": True, "reject_on_worker_lost": True, "ignore_result": True}


@shared_task(name=deadlines.EXPIRE_HOLD, soft_time_limit=20, time_limit=30, **AT_LEAST_ONCE)
def expire_hold(reservation_id: int) -> None:
    expiry.expire_hold(reservation_id=reservation_id)


@shared_task(soft_time_limit=300, time_limit=330, **AT_LEAST_ONCE)
def expire_overdue() -> None:
    expiry.expire_overdue()


@shared_task(soft_time_limit=300, time_limit=330, **AT_LEAST_ONCE)
def deliver_webhooks() -> None:
    webhooks.deliver(should_stop=after(ONE_RUN))


@shared_task(soft_time_limit=300, time_limit=330, **AT_LEAST_ONCE)
def send_notifications() -> None:
    notifications.send(should_stop=after(ONE_RUN))


@shared_task(soft_time_limit=300, time_limit=330, **AT_LEAST_ONCE)
def purge() -> None:
    expiry.purge()
    relay.renumber()


@shared_task(soft_time_limit=20, time_limit=30, ignore_result=True)
def refresh_lists() -> None:
    listings.refresh(should_stop=after(5))


def after(seconds: float) -> Callable[[], bool]:
    """Whether so much time has passed."""
    until = time.monotonic() + seconds
    return lambda: time.monotonic() > until
