"""How days are used, as bars: where each stands in a picture of WIDTH by HEIGHT."""

import math
from typing import NamedTuple

from .operations import Day

WIDTH, HEIGHT = 640, 220
LEFT, TOP, BOTTOM = 44, 12, 36  # room for words
MOST_LINES = 4


class Piece(NamedTuple):
    use: str
    y: float
    height: float


class Bar(NamedTuple):
    day: Day
    x: float
    width: float
    middle: float
    pieces: list[Piece]


class Line(NamedTuple):
    hours: int
    y: float


class Plot(NamedTuple):
    width: int
    height: int
    left: int
    bars: list[Bar]
    lines: list[Line]


def bars(days: list[Day]) -> Plot:
    """What is confirmed stands at the bottom, what is held upon it, before what is published."""
    most = max(one.published for one in days)
    step = _step(most)
    count = max(1, math.ceil(most / step))
    floor = HEIGHT - BOTTOM
    scale = (floor - TOP) / (step * count)
    room = (WIDTH - LEFT) / len(days)

    def piece(use: str, upon: float, hours: float) -> Piece:
        return Piece(use, round(floor - (upon + hours) * scale, 2), round(hours * scale, 2))

    return Plot(
        WIDTH,
        HEIGHT,
        LEFT,
        [
            Bar(
                day,
                x=round(LEFT + (nth + 0.15) * room, 2),
                width=round(0.7 * room, 2),
                middle=round(LEFT + (nth + 0.5) * room, 2),
                pieces=[
                    piece("published", 0, day.published),
                    piece("confirmed", 0, day.confirmed),
                    piece("held", day.confirmed, day.held),
                ],
            )
            for nth, day in enumerate(days)
        ],
        [Line(nth * step, round(floor - nth * step * scale, 2)) for nth in range(count + 1)],
    )


def _step(most: float) -> int:
    """Hours from line to line: 1, 2 or 5, or ten times as many, and so on."""
    least = max(1.0, most / MOST_LINES)
    power = int(10 ** math.floor(math.log10(least)))
    return next(nth * power for nth in (1, 2, 5, 10) if nth * power >= least)
