"""What so many clients need, from what a request costs: `make capacity`.

CPU is read from the table in benchmarks/README.md. Assumptions and measured sizes are below, their
reasons in docs/capacity.md, into which the tables go.
"""

import re
from math import ceil
from pathlib import Path

from .shown import figure, table

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs/capacity.md"
MILLIONS = (1, 10, 100, 1000)
YEAR = 365.25 * 86400

BOOKINGS = 4  # confirmed, of a client in a year
PEAK = 20  # the busiest minutes to the average of the year
BUSY = 0.5  # of a core, at the peak
KEPT = 0.5  # years, in the primary; then it is archived
SPARE = 1.5  # pages are never as full as after a load
RESTORED = 0.2  # GB a second
# For each confirmed booking.
REQUESTS = {"list 32": 10, "list 960": 0.5, "reserve": 1.3, "confirm": 1, "publish 32": 0.05}
ROWS = {"timeslot": 1.6, "reservation": 1.3, "event": 2.6}
# Measured: bytes of a row with its indexes, and of WAL.
BYTES = {"client": 106, "timeslot": 346, "reservation": 478, "event": 285}
WAL = {"published timeslot": 707, "reserve": 21_253, "confirm": 14_278}
WRITTEN = {"published timeslot": 1.6, "reserve": 1.3, "confirm": 1}
# How far one primary is let go.
LIMITS = {
    "restore, hours": 3,
    "WAL at the peak, MB/s": 50,
    "PostgreSQL for writes, cores": 32,
    "PostgreSQL for lists, cores": 32,
}


def costs() -> dict[str, tuple[float, float]]:
    """Milliseconds of CPU of each request: the application's and PostgreSQL's."""
    text = (ROOT / "benchmarks/README.md").read_text()
    rows = re.findall(
        r"^\| ([^|]+) \| \d+ \|(?: [^|]+ \|){3} ([\d.]+) \| ([\d.]+) \|", text, re.MULTILINE
    )
    found = {name: (float(application), float(database)) for name, application, database in rows}
    return {name: found[name] for name in REQUESTS}


def needs(millions: float) -> dict[str, float]:
    a_year = millions * 1e6 * BOOKINGS
    rate = a_year / YEAR
    busy = rate * PEAK / 1000 / BUSY  # cores for each millisecond
    cost = {name: (REQUESTS[name] * a, REQUESTS[name] * p) for name, (a, p) in costs().items()}
    application = busy * sum(a for a, _ in cost.values())
    lists = busy * sum(p for name, (_, p) in cost.items() if name.startswith("list"))
    writes = busy * sum(p for _, p in cost.values()) - lists
    rows = a_year * sum(each * BYTES[name] for name, each in ROWS.items()) / 1e9
    primary = SPARE * (rows * KEPT + millions * BYTES["client"] / 1000)
    wal = rate * sum(each * WAL[name] for name, each in WRITTEN.items()) / 1e6
    instances = max(4, ceil(application / 4))
    return {
        "bookings/s, on average": rate,
        "bookings/s at the peak": rate * PEAK,
        "requests/s at the peak": rate * PEAK * sum(REQUESTS.values()),
        "application, cores": application,
        "instances of 4 cores, two of a kind at least": instances,
        "connections: 5 for each process, 16 of workers": instances * 4 * 5 + 16,
        "PostgreSQL for writes, cores": writes,
        "PostgreSQL for lists, cores": lists,
        "new rows, GB a year": rows,
        "primary, GB": primary,
        "its memory, GB: a quarter": max(4, primary / 4),
        "WAL, GB a day": wal * 86.4,
        "WAL at the peak, MB/s": wal * PEAK,
        "restore, hours": primary / RESTORED / 3600,
    }


def tables() -> str:
    found = [needs(millions) for millions in MILLIONS]
    head = ["", *(f"{millions:,} million" for millions in MILLIONS)]
    size = table(head, [[name, *(figure(one[name]) for one in found)] for name in found[0]])
    of_one = needs(1)
    ends = [
        [name, str(most), f"{most / of_one[name]:,.0f} million"] for name, most in LIMITS.items()
    ]
    return f"{size}\n\n{table(['one primary ends with', 'at', 'clients'], ends)}"


if __name__ == "__main__":
    before, _, after = PAGE.read_text().split("<!-- needs -->")
    PAGE.write_text(f"{before}<!-- needs -->\n{tables()}\n<!-- needs -->{after}")
