"""The service as its users meet it: a process of its own, spoken to over a socket."""

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from . import watch
from .database import free_port

ROOT = Path(__file__).resolve().parent.parent


class Server:
    """The service as `make run` starts it, on a free port, with its log in a file."""

    command = ("reservation_system.serve", "--prepare")
    root = ROOT

    def __init__(self, folder, database_url=None, **environment):
        self.port = free_port()
        self.base_url = f"http://127.0.0.1:{self.port}"
        self.log = Path(folder) / f"server-{self.port}.log"
        if database_url is not None:
            environment.setdefault("DATABASE_URL", database_url)
        self.environment = os.environ | {"PORT": str(self.port)} | environment
        self.process = None

    def start(self):
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", *self.command],
                cwd=self.root,
                env=self.environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        until = time.monotonic() + 30
        while not self._answers():
            if time.monotonic() > until or self.process.poll() is not None:
                raise RuntimeError(self.log.read_text())
            time.sleep(0.05)
        return self

    def kill(self):
        """kill -9 of the server and its workers, all at once."""
        os.killpg(self.process.pid, 9)
        self.process.wait(timeout=10)
        watch.check_file(self.log)

    def stop(self):
        """SIGTERM; returns the exit code."""
        if self.process.poll() is None:
            self.process.terminate()
        status = self.process.wait(timeout=25)
        watch.check_file(self.log)
        return status

    def manage(self, *arguments, **environment):
        """`manage.py` as the operator runs it: a process of its own, with the server's settings."""
        return subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=self.root,
            env=self.environment | environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )

    def staff_token(self):
        """Of a superuser, made by the operator's command and signed in as everybody is."""
        account = {"email": "root@example.org", "password": f"{watch.MARK_OF_PASSWORDS}of-root"}
        self.manage(
            *("createsuperuser", "--noinput", "--username", "root", "--email", account["email"]),
            DJANGO_SUPERUSER_PASSWORD=account["password"],
        )
        request = urllib.request.Request(
            f"{self.base_url}/auth/token",
            json.dumps(account).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)["access"]

    def _answers(self):
        try:
            with urllib.request.urlopen(f"{self.base_url}/healthz", timeout=2):
                return True
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        try:
            self.stop()
        except subprocess.TimeoutExpired:
            self.kill()


class Worker:
    """Celery's worker as `make worker` starts it, with a server's settings."""

    command = (
        *("celery", "--quiet", "--app=reservation_system.celery", "worker", "--concurrency=8"),
        *("--without-gossip", "--without-mingle", "--without-heartbeat"),
    )

    def __init__(self, server):
        self.environment = server.environment
        self.log = server.log.with_name(f"worker-{server.port}.log")

    def start(self):
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-W", "ignore:You're running the worker", "-m", *self.command],
                cwd=ROOT,
                env=self.environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return self

    def kill(self):
        """kill -9 of the worker and its processes, all at once."""
        os.killpg(self.process.pid, 9)
        self.process.wait(timeout=10)
        watch.check_file(self.log)

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.kill()
