"""The processes that are measured: their start, their end, and the CPU they have used."""

import time
from pathlib import Path
from typing import Self

import psutil

from reservation_system import serve
from tests import server
from tests.database import PostgreSQL

WORKERS = 2

DATABASE_OPTIONS = (
    "fsync=on",
    "synchronous_commit=on",
    "shared_buffers=1GB",
    # Neither a checkpoint nor a vacuum falls by chance into one measurement and not the next.
    "max_wal_size=16GB",
    "checkpoint_timeout=1h",
    "autovacuum=off",
    "shared_preload_libraries=pg_stat_statements",
)


class Database(PostgreSQL):
    """A PostgreSQL of our own that writes to the disk as in production."""

    def __init__(self, *others: str) -> None:
        super().__init__((*DATABASE_OPTIONS, *others))

    def __enter__(self) -> Self:
        self.create()
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.destroy()

    def cpu_seconds(self) -> float:
        return cpu_seconds(self.process.pid)

    def processes(self) -> int:
        return len(psutil.Process(self.process.pid).children())

    def await_processes(self, count: int) -> None:
        """A process that has ended is counted once PostgreSQL has seen its end."""
        until = time.monotonic() + 10
        while self.processes() > count and time.monotonic() < until:
            time.sleep(0.01)


class Server(server.Server):
    """Any application server: `command` is a module and its arguments, with {port} in them."""

    def __init__(self, folder: Path, command: list[str], **environment: str) -> None:
        super().__init__(folder, **environment)
        self.command = [word.format(port=self.port) for word in command]

    def cpu_seconds(self) -> float:
        return cpu_seconds(self.process.pid)

    def workers_mib(self) -> list[float]:
        """How much memory each of the workers has resident."""
        workers = psutil.Process(self.process.pid).children()
        return [worker.memory_info().rss / 2**20 for worker in workers]


AS_SERVED = ["reservation_system.serve"]


def granian(threads: int) -> list[str]:
    """As reservation_system.serve starts it, with another number of threads a worker."""
    *options, application = serve.granian_arguments()
    own = ["--port={port}", f"--workers={WORKERS}", f"--blocking-threads={threads}"]
    return ["granian", *options, *own, application]


def gunicorn(kind: str, threads: int = 1, package: str = "reservation_system") -> list[str]:
    return [
        *("gunicorn", f"--worker-class={kind}", f"--workers={WORKERS}", f"--threads={threads}"),
        # A year of naive publishing takes longer than its 30 seconds.
        *("--bind=127.0.0.1:{port}", "--log-level=warning", "--timeout=300"),
        f"{package}.wsgi:application",
    ]


NAIVELY_SERVED = gunicorn("sync", package="benchmarks.naive")


def cpu_seconds(pid: int) -> float:
    """User and system time of a process and its descendants, those that it outlived included."""
    root = psutil.Process(pid)
    own = root.cpu_times()
    total = own.children_user + own.children_system
    for process in [root, *root.children(recursive=True)]:
        times = process.cpu_times()
        total += times.user + times.system
    return total
