"""The programs of a cluster: their start, whether they run, their end; by pid and start time."""

import contextlib
import json
import os
import pwd
import signal
import subprocess
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parent.parent
PATIENCE = 30.0  # seconds for a program to end by itself


@dataclass
class Program:
    name: str
    command: list[str]
    port: int
    log: str
    layer: int  # it asks those of lower ones
    environment: dict[str, str]
    user: str | None = None  # to run as, where that is another
    pid_file: str | None = None  # of PostgreSQL, which Patroni starts in a session of its own
    pid: int = 0
    started: int = 0

    def start(self, prefix: Iterable[str] = ()) -> None:
        identity = {}
        if self.user is not None:
            account = pwd.getpwnam(self.user)
            identity = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
        log = Path(self.log)
        log.touch(0o600)
        with log.open("ab") as output:
            process = subprocess.Popen(
                [*prefix, *self.command],
                cwd=ROOT if self.user is None else log.parent,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                **identity,  # type: ignore[arg-type]
            )
        self.pid, self.started = process.pid, started_at(process.pid) or 0
        # It is to outlive this process, or else it is reaped here.
        process.returncode = 0

    def is_running(self) -> bool:
        return self.pid != 0 and started_at(self.pid) == self.started

    def processes(self) -> list[psutil.Process]:
        """It and all that it has started, as far as they run; itself first."""
        pids = [self.pid] if self.is_running() else self._left_behind()
        if self.pid_file and (postmaster := _named_in(Path(self.pid_file))):
            pids.append(postmaster)
        found = []
        for pid in pids:
            with contextlib.suppress(psutil.NoSuchProcess):
                process = psutil.Process(pid)
                found += [process, *process.children(recursive=True)]
        return list(dict.fromkeys(found))

    def _left_behind(self) -> list[int]:
        """Its process group: while there is one, its number is nobody else's."""
        if self.pid == 0 or started_at(self.pid) is not None:
            return []
        return [pid for pid in psutil.pids() if pid != self.pid and _group_of(pid) == self.pid]

    def signal(self, number: int) -> None:
        for process in self.processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(number)

    def kill(self) -> None:
        """kill -9 of everything it is made of."""
        _kill(self.processes())
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.pid, os.WNOHANG)

    def stop(self) -> None:
        """SIGTERM, and SIGKILL for what is left after that."""
        end([self])


def end(programs: Iterable[Program]) -> None:
    """All of them at once: SIGTERM, and SIGKILL for what is left when they have ended or do not."""
    programs = list(programs)
    everything = [process for program in programs for process in program.processes()]
    for program in programs:
        if program.is_running():
            os.kill(program.pid, signal.SIGTERM)
    until = time.monotonic() + PATIENCE
    while any(program.is_running() for program in programs) and time.monotonic() < until:
        time.sleep(0.05)
    _kill(everything)
    for program in programs:
        program.kill()


def _kill(processes: list[psutil.Process]) -> None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    wait_until(lambda: not any(map(_runs, processes)), 10, "a process cannot be killed")


def started_at(pid: int) -> int | None:
    """In ticks since the machine started: with it, no pid is mistaken for that of another. None for
    what does not run any more, even if nobody has reaped it yet."""
    try:
        state, *numbers = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if state in "ZX" else int(numbers[18])


def _runs(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def _group_of(pid: int) -> int | None:
    with contextlib.suppress(ProcessLookupError):
        return os.getpgid(pid)
    return None


def _named_in(postmaster_pid: Path) -> int | None:
    """The pid in PostgreSQL's file, if it is still that of the process that wrote it."""
    with contextlib.suppress(FileNotFoundError, IndexError, psutil.NoSuchProcess):
        pid, _, started = postmaster_pid.read_text().splitlines()[:3]
        process = psutil.Process(int(pid))
        if process.name() == "postgres" and abs(process.create_time() - int(started)) < 5:
            return process.pid
    return None


def wait_until(holds: Callable[[], object], seconds: float, otherwise: str) -> None:
    until = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > until:
            raise TimeoutError(otherwise)
        time.sleep(0.1)


def save(programs: Iterable[Program], record: Path) -> None:
    """For whoever ends them. Passwords are in it."""
    new = record.with_suffix(".new")
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump([asdict(program) for program in programs], file, indent=1)
    new.replace(record)


def load(record: Path) -> list[Program]:
    return [Program(**program) for program in json.loads(record.read_text())]
