"""`python -m reservation_system.serve` serves; --prepare brings the database up to date first."""

import os
import sys

import django
from django.conf import settings
from django.core.management import call_command


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "reservation_system.settings")
    django.setup()
    call_command("check")
    if "--prepare" in sys.argv[1:]:
        _prepare()
    base_url = f"http://{settings.HOST}:{settings.PORT}"
    print(
        f"Serving on {base_url} (Ctrl-C stops it). Try first:\n"
        f"  curl '{base_url}/client/getProviderAvailability?provider_id=1'\n"
        f"  {base_url}/docs in a browser: every call, to read and to try",
        flush=True,
    )
    os.execv(sys.executable, [sys.executable, "-m", "granian", *_granian_arguments()])


def _prepare() -> None:
    from scheduling.models import Client, Provider

    call_command("migrate", verbosity=0)
    # Only into an empty database: loading it again would undo corrections made since.
    if not Provider.objects.exists() and not Client.objects.exists():
        call_command("loaddata", "prepopulate_db.json", verbosity=0)


def _granian_arguments() -> list[str]:
    return [
        "--interface=wsgi",
        f"--host={settings.HOST}",
        f"--port={settings.PORT}",
        f"--workers={settings.WEB_CONCURRENCY}",
        "--blocking-threads=2",
        "--respawn-failed-workers",
        "--workers-kill-timeout=10",
        "--no-ws",
        "--log-level=warning",
        "reservation_system.wsgi:application",
    ]


if __name__ == "__main__":
    main()
