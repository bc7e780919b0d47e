"""Settings that contradict each other, and letters that cannot be written, stop the start."""

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register
from django.template import Engine, TemplateSyntaxError

LETTERS = Path(__file__).parent / "templates" / "scheduling" / "letters"


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


@register()
def letters_can_be_written(**_: Any) -> list[CheckMessage]:
    engine = Engine.get_default()
    found: list[CheckMessage] = []
    for name in sorted(path.name for path in LETTERS.iterdir()):
        try:
            engine.get_template(f"scheduling/letters/{name}")
        except (TemplateSyntaxError, UnicodeDecodeError) as wrong:
            found.append(Error(f"EMAIL_TEMPLATES: {name}: {wrong}", id="scheduling.E003"))
    return found
