"""`make bench` measures the service, `make bench-servers` the application servers under it,
`make bench-tokens` what it costs to know who is calling, `make bench-lists` what it saves to keep
lists in a Redis, `make bench-holds` how late holds expire,
`make bench-kills` what a thousand kills lose, `make bench-overload` what becomes of too much,
`make bench-soak` what grows in the long run, and `make bench-pages` how soon pages can be used."""

import argparse
import logging
import os
import platform
import secrets
import tempfile
from pathlib import Path

import django
import psutil
from django.core.management import call_command
from django.db import connection

from . import tables
from .holds import holds_table
from .kills import kills_table
from .lists import lists_table
from .overload import overload_table
from .pages import pages_table
from .processes import WORKERS, Database
from .rows import Rows
from .soak import soak_table
from .yardsticks import Scale, yardsticks_tables

README = Path(__file__).with_name("README.md")
TABLES = {
    "servers": tables.servers_table,
    "tokens": tables.tokens_table,
    "lists": lists_table,
    "holds": holds_table,
    "kills": kills_table,
    "overload": overload_table,
    "soak": soak_table,
    "pages": pages_table,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("what", nargs="?", choices=["service", *TABLES], default="service")
    parser.add_argument("--quick", action="store_true", help="a smoke run: its figures are coarse")
    parser.add_argument("--write", action="store_true", help="put the tables into the README")
    asked = parser.parse_args()
    scale = 0.05 if asked.quick else 1
    options = ("autovacuum=on", "autovacuum_naptime=5s") if asked.what == "soak" else ()
    with (
        Database(*options) as database,
        tempfile.TemporaryDirectory(prefix="benchmark-") as scratch,
    ):
        _set_up(database)
        rows, folder = Rows(database.url), Path(scratch)
        found = [_machine(rows)]
        if asked.what in TABLES:
            found.append(TABLES[asked.what](database, folder, rows, scale))
        else:
            size = Scale(rounds=1, requests=0.05, past=0.01) if asked.quick else Scale()
            found += yardsticks_tables(database, folder, rows, size)
        connection.close()
        rows.connection.close()
    text = "\n\n".join(found)
    print(text)
    if asked.write:
        _write(asked.what, text)


def _set_up(database: Database) -> None:
    os.environ |= {
        "DATABASE_URL": database.url,
        "SECRET_KEY": secrets.token_hex(32),
        "AUTHENTICATION": "open",
        "ACCESS_TOKEN_SECONDS": "86400",  # longer than any run
        "WEB_CONCURRENCY": str(WORKERS),
        "DJANGO_SETTINGS_MODULE": "reservation_system.settings",
    }
    django.setup()
    logging.disable(logging.INFO)  # of this process alone
    call_command("migrate", verbosity=0)


def _machine(rows: Rows) -> str:
    (postgresql,) = rows.connection.execute("SHOW server_version").fetchone()
    gibibytes = round(psutil.virtual_memory().total / 2**30)
    return (
        f"{os.cpu_count()} cores, {gibibytes} GiB, Linux {platform.release().partition('-')[0]}, "
        f"Python {platform.python_version()}, PostgreSQL {postgresql}; {WORKERS} workers; "
        f"the load and PostgreSQL run on the same cores."
    )


def _write(what: str, text: str) -> None:
    """Between the two markers of what was measured."""
    marker = f"<!-- {what} -->"
    before, _, after = README.read_text().split(marker)
    README.write_text(f"{before}{marker}\n{text}\n{marker}{after}")


if __name__ == "__main__":
    main()
