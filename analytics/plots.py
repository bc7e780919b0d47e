"""Reports as pictures, by matplotlib: requirements-reports.txt. Nothing is shown on a screen."""

from collections import defaultdict
from datetime import date

from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from .reports import Report

MOST_LINES = 10


@rc_context({"text.parse_math": False})  # names may have a $
def draw(found: Report, path: str) -> None:
    """A line for each provider, of those with the most weeks; by its name, PNG or SVG."""
    lines = defaultdict(list)
    column = {name: nth for nth, name in enumerate(found.columns)}
    for row in found.rows:
        year, week = row[column["week"]].split("-W")
        monday = date.fromisocalendar(int(year), int(week), 1)
        who = f"{row[column['provider_id']]}: {row[column['provider']]}"
        lines[who].append((monday, float(row[column[found.question.answer]])))
    figure = Figure(figsize=(10, 5), layout="constrained")
    axes = figure.subplots()
    shown = sorted(lines, key=lambda who: -len(lines[who]))[:MOST_LINES]
    for who in shown:
        axes.plot(*zip(*lines[who], strict=True), marker="o", label=who)
    axes.set_title(found.question.title)
    axes.set_xlabel("week of ISO 8601, by its Monday, in UTC")
    axes.set_ylim(bottom=0)
    if found.question.is_share:
        axes.yaxis.set_major_formatter(PercentFormatter(1))
    figure.autofmt_xdate()
    title = f"{len(shown)} of {len(lines)} providers" if len(shown) < len(lines) else None
    figure.legend(loc="outside right upper", title=title)
    figure.savefig(path)
