"""The business's numbers, and what follows from them by arithmetic on time alone."""

from datetime import UTC, datetime, timedelta

from dateutil.relativedelta import relativedelta
from django.conf import settings

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
QUARTER_HOUR = timedelta(minutes=15)
SLOT = timedelta(minutes=15)
MOST_TIMESLOTS = 50_000
ANSWERS_ARE_KEPT = timedelta(hours=24)
CALENDAR_GOES_BACK = timedelta(days=90)
LONGEST_REACH = relativedelta(years=5)
MOST_WEBHOOKS = 20
WAITS = (
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    *(timedelta(hours=hours) for hours in (2, 5, 10, 14, 20, 24)),
)
SHORTEST_REST, LONGEST_REST = timedelta(seconds=5), timedelta(minutes=10)
SECRETS_OVERLAP = timedelta(hours=24)
MAIL_PAUSE = timedelta(minutes=1)
NEWS_LASTS = timedelta(days=3)
DELIVERIES_ARE_KEPT = timedelta(days=30)


def earliest_start(now: datetime) -> datetime:
    """The first start that is still bookable: exactly the notice period ahead counts."""
    return now + settings.NOTICE


def last_listed(start_time: datetime) -> datetime:
    """Until when a timeslot is bookable, that very moment included."""
    return start_time - settings.NOTICE


def notice_seconds() -> int:
    return settings.NOTICE // timedelta(seconds=1)


def earliest_reservable_start(now: datetime) -> datetime:
    """As earliest_start, less the grace for people who were filling in the form."""
    return earliest_start(now) - settings.NOTICE_GRACE


def hold_deadline(now: datetime) -> datetime:
    """Until when a hold made now can be confirmed, that very moment included."""
    return now + settings.HOLD


def max_holds_per_client() -> int:
    """How many live holds a client may have at any moment; 0 for any number."""
    return settings.MAX_HOLDS_PER_CLIENT


def oldest_answer(now: datetime) -> datetime:
    """The answers stored for an Idempotency-Key at this moment or before count no more."""
    return now - ANSWERS_ARE_KEPT


def farthest_end(now: datetime) -> datetime:
    """The latest end of a window that can be published now."""
    return now + LONGEST_REACH


def midnight(now: datetime) -> datetime:
    """When the day began, in UTC."""
    return now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def start_of_calendar(now: datetime) -> datetime:
    """The first start that calendar apps are told of: whole days, so that it moves once a day."""
    return midnight(now) - CALENDAR_GOES_BACK


def is_on_the_quarter_hour(moment: datetime) -> bool:
    return (moment - EPOCH) % QUARTER_HOUR == timedelta(0)


def count_of_timeslots(start_time: datetime, end_time: datetime) -> int:
    return (end_time - start_time) // SLOT


def latest_cancellation(start_time: datetime) -> datetime:
    """Until when a client can give up a timeslot that starts then, that very moment included."""
    return start_time - settings.CANCEL_NOTICE


def next_attempt(attempts_made: int, now: datetime, stretch: float) -> datetime | None:
    """When to try again what was tried so often in vain; None: given up, after some three days.

    The waits that the Standard Webhooks specification proposes, stretched a little at random: what
    failed at one time does not come again at one time.
    """
    if attempts_made > len(WAITS):
        return None
    wait: timedelta = WAITS[attempts_made - 1]
    return now + wait * stretch


def rest(unanswered: int, now: datetime) -> datetime:
    """Until when a system is left alone that gave no answer so many times in a row."""
    doublings = min(unanswered - 1, 10)
    return now + min(SHORTEST_REST * 2.0**doublings, LONGEST_REST)


def end_of_former_secret(now: datetime) -> datetime:
    return now + SECRETS_OVERLAP


def oldest_delivery(now: datetime) -> datetime:
    """What was delivered, sent or given up at this moment or before is kept no more."""
    return now - DELIVERIES_ARE_KEPT


def end_of_mail_pause(now: datetime) -> datetime:
    """When the mail server is asked again that could not be reached."""
    return now + MAIL_PAUSE


def oldest_news(now: datetime) -> datetime:
    """What somebody should have been told before this moment, they are told no more."""
    return now - NEWS_LASTS


def reminder(start_time: datetime) -> datetime | None:
    """When somebody is reminded of an appointment that starts then; None: nobody is."""
    return start_time - settings.REMINDER if settings.REMINDER else None
