"""The business's numbers, and what follows from them by arithmetic on time alone."""

from datetime import UTC, datetime, timedelta

from dateutil.relativedelta import relativedelta
from django.conf import settings

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
QUARTER_HOUR = timedelta(minutes=15)
SLOT = timedelta(minutes=15)
MOST_TIMESLOTS = 50_000
LONGEST_REACH = relativedelta(years=5)


def earliest_start(now: datetime) -> datetime:
    """The first start that is still bookable: exactly the notice period ahead counts."""
    return now + settings.NOTICE


def earliest_reservable_start(now: datetime) -> datetime:
    """As earliest_start, less the grace for people who were filling in the form."""
    return earliest_start(now) - settings.NOTICE_GRACE


def hold_deadline(now: datetime) -> datetime:
    """Until when a hold made now can be confirmed, that very moment included."""
    return now + settings.HOLD


def farthest_end(now: datetime) -> datetime:
    """The latest end of a window that can be published now."""
    return now + LONGEST_REACH


def is_on_the_quarter_hour(moment: datetime) -> bool:
    return (moment - EPOCH) % QUARTER_HOUR == timedelta(0)


def count_of_timeslots(start_time: datetime, end_time: datetime) -> int:
    return (end_time - start_time) // SLOT
