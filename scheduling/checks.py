"""Settings that contradict each other stop the start."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register


@register()
def durations_fit_together(**_: Any) -> list[CheckMessage]:
    found: list[CheckMessage] = []
    if settings.NOTICE and settings.HOLD >= settings.NOTICE:
        found.append(
            Error(
                "HOLD_SECONDS must be less than NOTICE_SECONDS: otherwise a hold could outlast "
                "the start of its timeslot.",
                id="scheduling.E001",
            )
        )
    if settings.NOTICE_GRACE > settings.NOTICE:
        found.append(
            Error(
                "NOTICE_GRACE_SECONDS must not be more than NOTICE_SECONDS: otherwise timeslots "
                "that have begun could be reserved.",
                id="scheduling.E002",
            )
        )
    return found
