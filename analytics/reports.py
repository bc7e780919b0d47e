"""The questions that are asked most of the past: a view for each (migration 0002)."""

from typing import Any, NamedTuple

from django.db import connections

from . import store
from .router import DATABASE


class Question(NamedTuple):
    title: str
    answer: str  # the column
    is_share: bool = True


QUESTIONS = {
    "utilisation": Question("Of the time that was published, how much was booked", "utilisation"),
    "no_confirm_rate": Question(
        "Of the reservations, how many nobody confirmed", "no_confirm_rate"
    ),
    "lead_time": Question("Hours from the reservation to the start", "mean_hours", is_share=False),
}


class Report(NamedTuple):
    question: Question
    columns: list[str]
    rows: list[tuple[Any, ...]]


def report(*, name: str) -> Report:
    """By week and provider. Raises AnalyticsAway."""
    store.prepare()
    sql = f"SELECT * FROM {name} ORDER BY week, provider_id"  # noqa: S608  one of the questions
    with store.reached(), connections[DATABASE].cursor() as cursor:
        cursor.execute(sql)
        return Report(
            QUESTIONS[name], [column[0] for column in cursor.description], cursor.fetchall()
        )


def as_table(found: Report) -> str:
    lines = [found.columns, *([str(value) for value in row] for row in found.rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    # Numbers to the right, below each other; the provider and the week are words.
    sides = ["<" if name in ("provider", "week") else ">" for name in found.columns]
    return "\n".join(
        "  ".join(
            f"{value:{side}{width}}" for value, side, width in zip(line, sides, widths, strict=True)
        ).rstrip()
        for line in lines
    )
