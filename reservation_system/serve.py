"""`python -m reservation_system.serve` serves; --prepare brings the database up to date first.

With --development it is Django's own server, which reloads on every change.
"""

import io
import os
import socket
import sys

import django
from django.apps import apps
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.db import OperationalError


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "reservation_system.settings")
    try:
        django.setup()
        call_command("check", stdout=io.StringIO())
        if "--prepare" in sys.argv[1:]:
            _prepare()
        _require_free_port()
    except (ImproperlyConfigured, SystemCheckError) as wrong:
        sys.exit(f"The settings do not allow a start: {wrong}")
    except OperationalError as unavailable:
        sys.exit(f"The database cannot be used: {unavailable}")
    except OSError as taken:
        sys.exit(f"HOST {settings.HOST}, PORT {settings.PORT} cannot be listened on: {taken}")
    host = f"[{settings.HOST}]" if ":" in settings.HOST else settings.HOST
    base_url = f"http://{host}:{settings.PORT}"
    ways_in = {
        "client": f"  curl '{base_url}/client/getProviderAvailability?provider_id=1'\n",
        "provider": (
            f"  {base_url} in a browser: book an appointment ({base_url}/provide: publish some)\n"
            f"  {base_url}/docs: every call, to read and to try\n"
        ),
    }
    first = ways_in.get(settings.SERVICE, "".join(ways_in.values()))
    print(f"Serving on {base_url} (Ctrl-C stops it). Try first:\n{first}", end="", flush=True)
    if "--development" in sys.argv[1:]:
        server = ["manage.py", "runserver", f"{host}:{settings.PORT}"]
    else:
        server = ["-m", "reservation_system.granian", *granian_arguments()]
        # glibc would give every thread a heap of its own: 5 MiB more for each worker.
        os.environ.setdefault("MALLOC_ARENA_MAX", "2")
    os.execv(sys.executable, [sys.executable, *server])


def _prepare() -> None:
    call_command("migrate", verbosity=0)
    # Only into an empty database: loading it again would undo corrections made since.
    people = (apps.get_model("scheduling", name) for name in ("Provider", "Client"))
    if not any(model.objects.exists() for model in people):
        call_command("loaddata", "prepopulate_db.json", verbosity=0)


def _require_free_port() -> None:
    """The server's own complaint about a taken port runs over a hundred lines."""
    family, kind, protocol, _, address = socket.getaddrinfo(
        settings.HOST, settings.PORT, type=socket.SOCK_STREAM
    )[0]
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(address)


def granian_arguments() -> list[str]:
    return [
        "--interface=wsgi",
        f"--host={settings.HOST}",
        f"--port={settings.PORT}",
        f"--workers={settings.WEB_CONCURRENCY}",
        f"--blocking-threads={settings.WORKER_THREADS}",
        "--respawn-failed-workers",
        "--respawn-interval=1",
        "--workers-kill-timeout=10",
        "--no-ws",
        "--log-level=warning",
        ":".join(settings.WSGI_APPLICATION.rsplit(".", 1)),
    ]


if __name__ == "__main__":
    main()
