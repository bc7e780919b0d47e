"""A cluster under load whose parts are kept running, and the ways in which they are broken."""

import base64
import contextlib
import json
import os
import pwd
import shutil
import signal
import subprocess
import threading
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import requests

from tests.kills import Stage
from tests.receiver import Receiver

from .configuration import INSTANCES, NODES, Missing, new_folder
from .programs import Program, wait_until
from .topology import Cluster, answers, down, restart_instances

HOLD_SECONDS = 10
CLOCK_AHEAD = 30  # seconds: three times as much as a hold is good for
DISK = "512m"  # of each PostgreSQL; a third of it is used
DATABASE, ELSE = 30.0, 2.0  # seconds for the service to be back
WAL_SENDER_TIMEOUT = 5.0  # seconds, as deploy/patroni.yml has it
RECOVERY = 120.0  # seconds for the cluster to be whole again, nodes that were lost included


class Fault(NamedTuple):
    name: str
    bound: float  # seconds
    strike: Callable[["Scene"], Any]
    may_fail: bool = True  # requests that are under way
    cuts_short: bool = False  # holds, which is a promise that needs clocks
    crowd: int = 0  # callers who ask without a pause meanwhile


class Scene(Stage):
    """A cluster with those who are told; what ends in it is started anew, as systemd does it."""

    def __init__(self, first_port: int, has_small_disks: bool) -> None:
        super().__init__()
        self.folder = new_folder(os.environ.get("CLUSTER_FOLDER"))
        self.callback(lambda: subprocess.run(["rm", "-r", self.folder], check=True))
        self.has_small_disks = has_small_disks
        self.first_port = first_port
        self.left_alone: set[str] = set()  # what is not started anew for the time being
        self.lock = threading.Lock()
        self.is_over = threading.Event()

    def _start(self) -> None:
        self.receiver = self.enter_context(Receiver())
        self.cluster = Cluster(
            *(self.folder, self.first_port),
            HOLD_SECONDS=str(HOLD_SECONDS),
            REMINDER_SECONDS="0",
            WEBHOOK_ALLOWED_NETWORKS="127.0.0.0/8",
        )
        self.base_url = self.cluster.base_url
        if self.has_small_disks:
            self._mount_small_disks()
            if not shutil.which("faketime"):
                raise Missing("Missing: apt-get install --no-install-recommends faketime")
        self.callback(lambda: down(self.cluster.programs.values()))
        self.cluster.up()
        self.database_url = self.cluster.administrators_url("reservations")
        keeper = threading.Thread(target=self._keep)
        keeper.start()
        self.callback(keeper.join)
        self.callback(self.is_over.set)
        self.ask("POST", "/webhooks", {"url": self.receiver.url})

    def _mount_small_disks(self) -> None:
        user = pwd.getpwnam("postgres" if os.getuid() == 0 else pwd.getpwuid(os.getuid())[0])
        options = f"size={DISK},mode=700,uid={user.pw_uid},gid={user.pw_gid}"
        for node in NODES:
            disk = self.folder / f"postgresql-{node}"
            disk.mkdir()
            mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", disk])
            if mounted.returncode:
                raise Missing(
                    "A disk can be filled only by who may mount a small one: run as root."
                )
            self.callback(lambda disk=disk: subprocess.run(["umount", disk], check=True))

    # --- What is kept running ----------------------------------------------------------------

    def _keep(self) -> None:
        while not self.is_over.wait(0.1):
            for name, program in self.cluster.programs.items():
                with self.lock:
                    if name not in self.left_alone and not program.is_running():
                        program.kill()  # what it has left behind, but for PostgreSQL
                        program.start()
                        self.cluster.save()

    @contextlib.contextmanager
    def leaving(self, *names: str) -> Iterator[None]:
        with self.lock:
            self.left_alone |= set(names)
        try:
            yield
        finally:
            with self.lock:
                self.left_alone -= set(names)

    def __getitem__(self, name: str) -> Program:
        return self.cluster.programs[name]

    def is_whole(self) -> bool:
        """Everything runs, and HAProxy sends requests to all instances."""
        programs = self.cluster.programs.values()
        return (
            all(program.is_running() for program in programs)
            and self.cluster.is_whole()
            and all(self._answers(name) for name in INSTANCES)
        )

    def _answers(self, name: str) -> bool:
        return answers(self.cluster.url(name, "/readyz"))

    # --- Who asks it -------------------------------------------------------------------------

    def ask(self, method: str, path: str, body: dict[str, Any]) -> Any:
        headers = {"Idempotency-Key": str(uuid.uuid4())}
        if path == "/webhooks":
            headers = {}  # its answer is secret
        answer = requests.request(
            method, self.base_url + path, json=body, headers=headers, timeout=60
        )
        assert answer.ok, answer.text
        return answer.json()

    # --- Patroni and etcd --------------------------------------------------------------------

    def leader(self) -> str:
        return self._one("leader")

    def _one(self, role: str) -> str:
        wait_until(lambda: self.cluster.in_role(role), RECOVERY, f"there is no {role}")
        return self.cluster.in_role(role)[0]

    def patroni(self, method: str, path: str, body: dict[str, Any]) -> None:
        """Of the leader."""
        node = self.leader().removeprefix("postgresql-")
        word = f"patroni:{self.cluster.passwords['patroni_password']}".encode()
        request = urllib.request.Request(
            self.cluster.url(f"patroni-{node}", path),
            json.dumps(body).encode(),
            {"Authorization": f"Basic {base64.b64encode(word).decode()}"},
            method=method,
        )
        with urllib.request.urlopen(request, timeout=60):
            pass

    def etcd_leader(self) -> str:
        for node in NODES:
            url = self.cluster.url(f"etcd-{node}-client", "/v3/maintenance/status")
            told = requests.post(url, json={}, timeout=5).json()
            if told["leader"] == told["header"]["member_id"]:
                return f"etcd-{node}"
        raise AssertionError("etcd has no leader")


# --- The faults ----------------------------------------------------------------------------------


def killed(name: str) -> Callable[[Scene], None]:
    def strike(scene: Scene) -> None:
        scene[name].kill()

    return strike


def replica_killed(scene: Scene) -> None:
    """The synchronous one: until another is, no write is acknowledged."""
    scene[scene._one("sync_standby")].kill()


def etcd_leader_killed(scene: Scene) -> None:
    scene[scene.etcd_leader()].kill()


def primary_lost(scene: Scene) -> None:
    """With its Patroni, and not started before another node has taken over."""
    lost = scene.leader()
    with scene.leaving(lost):
        scene[lost].kill()
        await_another(scene, lost)


def await_another(scene: Scene, lost: str) -> None:
    wait_until(lambda: set(scene.cluster.in_role("leader")) - {lost}, RECOVERY, "nobody took over")


def primary_lost_with_a_standby_cut_off(scene: Scene) -> None:
    """The synchronous standby hears nothing more, another is waited for in its place; then the
    primary is lost, and the first is back: it lacks what was acknowledged since."""
    cut_off, lost = scene._one("sync_standby"), scene.leader()
    scene[cut_off].signal(signal.SIGSTOP)
    try:
        wait_until(
            lambda: set(scene.cluster.in_role("sync_standby")) - {cut_off},
            *(RECOVERY, "no other standby is waited for"),
        )
        time.sleep(5)  # of writes that it does not have
    finally:
        with scene.leaving(lost):
            scene[lost].kill()
            scene[cut_off].signal(signal.SIGCONT)
            await_another(scene, lost)
    assert scene.leader() != cut_off, "the standby that was cut off has been promoted"


def primary_frozen(scene: Scene) -> None:
    """As a machine that stands still for a while, and then goes on as if nothing had been."""
    frozen = scene.leader()
    scene[frozen].signal(signal.SIGSTOP)
    try:
        await_another(scene, frozen)
        time.sleep(2)
    finally:
        scene[frozen].signal(signal.SIGCONT)


def switched_over(scene: Scene) -> None:
    former, next_one = scene.leader(), scene._one("sync_standby")
    scene.patroni("POST", "/switchover", {"leader": former, "candidate": next_one})


def lose_what_no_standby_has(scene: Scene) -> None:
    """Of an asynchronous cluster: the standbys hear nothing more, and the primary is lost."""
    lost = scene.leader()
    standbys = [scene[f"postgresql-{node}"] for node in NODES if not lost.endswith(str(node))]
    for standby in standbys:
        standby.signal(signal.SIGSTOP)
    try:
        # What is sent until then waits in their sockets, and would be read after all.
        time.sleep(WAL_SENDER_TIMEOUT + 6)
    finally:
        with scene.leaving(lost):
            scene[lost].kill()
            for standby in standbys:
                standby.signal(signal.SIGCONT)
            await_another(scene, lost)
    wait_until(lambda: scene._answers("client-1"), RECOVERY, "the service is not back")


def disk_filled(scene: Scene) -> None:
    full = scene.leader()
    filler = scene.folder / full / "filler"
    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
        while file.write(bytes(2**20)) == 2**20:
            pass
    try:
        await_another(scene, full)
    finally:
        filler.unlink()


def clock_moved(scene: Scene) -> None:
    moved = scene["client-1"]
    ahead = ["faketime", "-m", "--exclude-monotonic", "-f", f"+{CLOCK_AHEAD}"]
    with scene.leaving(moved.name):
        moved.stop()
        moved.start(ahead)
        wait_until(lambda: scene._answers(moved.name), RECOVERY, "it does not start")
        time.sleep(10)
        moved.stop()


def restarted(scene: Scene) -> None:
    with scene.leaving(*INSTANCES):
        restart_instances(list(scene.cluster.programs.values()), scene.folder)


SMOKE = [
    Fault("an instance killed", ELSE, killed("client-1"), crowd=8),
    Fault("PgBouncer killed", ELSE, killed("pgbouncer")),
    Fault("every instance restarted in turn", 0, restarted, may_fail=False, crowd=8),
    Fault("the primary lost", DATABASE, primary_lost),
]
FULL = [
    *SMOKE[:1],
    Fault("the worker killed", ELSE, killed("worker")),
    Fault("Redis killed", ELSE, killed("redis")),
    Fault("RabbitMQ killed", ELSE, killed("rabbitmq")),
    *SMOKE[1:],
    Fault("the synchronous standby killed", DATABASE, replica_killed),
    Fault("the leader of etcd killed", DATABASE, etcd_leader_killed),
    Fault("switched over to the standby", DATABASE, switched_over),
    Fault(
        *("a standby cut off, then the primary lost", DATABASE),
        primary_lost_with_a_standby_cut_off,
    ),
    Fault("the primary frozen until it is replaced", DATABASE, primary_frozen),
    Fault("the primary's disk filled", DATABASE, disk_filled),
    Fault(f"an instance's clock {CLOCK_AHEAD} s ahead", ELSE, clock_moved, cuts_short=True),
]
