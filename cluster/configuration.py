"""What a cluster consists of: its ports, its files from deploy/, and its programs."""

import os
import secrets
import shutil
import socket
import string
import sys
import tempfile
from pathlib import Path
from typing import Any

from .programs import ROOT, Program, save

DEPLOY = ROOT / "deploy"
NODES = (1, 2, 3)
INSTANCES = ("provider-1", "provider-2", "client-1", "client-2")
# In the order in which they are started; they are ended the other way round.
COORDINATION, STORAGE, WAYS, SERVICE, FRONT = range(5)
POSTGRESQL = Path("/usr/lib/postgresql")
RABBITMQ = "/usr/lib/rabbitmq/bin/rabbitmq-server"  # the one in PATH is for one user alone
# What each port is above the first, which is the cluster's own.
PORTS = {"haproxy_port": 0}
for _node in NODES:
    PORTS |= {f"etcd_{_node}_client_port": _node, f"etcd_{_node}_peer_port": 10 + _node}
    PORTS |= {f"postgresql_{_node}_port": 20 + _node, f"patroni_{_node}_port": 30 + _node}
PORTS |= {"primary_port": 40, "replicas_port": 41, "pgbouncer_port": 42}
PORTS |= {"redis_port": 50, "rabbitmq_port": 51, "distribution_port": 52, "epmd_port": 53}
PORTS |= {f"{name.replace('-', '_')}_port": 61 + nth for nth, name in enumerate(INSTANCES)}
PORTS |= {"worker_port": 70}
PASSWORDS = ("postgres", "replicator", "rewinder", "patroni", "reservations", "redis", "rabbitmq")
PACKAGES = {
    "etcd": "etcd-server",
    "patroni": "patroni",
    "pgbouncer": "pgbouncer",
    "redis-server": "redis-server",
    "epmd": "erlang-base",
    RABBITMQ: "rabbitmq-server",
    "haproxy": "haproxy",
}


class Missing(Exception):
    """What keeps a cluster from being started, in a sentence."""


def require_packages() -> Path:
    """The newest PostgreSQL; Missing names what apt-get has to bring."""
    path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    missing = [package for name, package in PACKAGES.items() if not shutil.which(name, path=path)]
    found = sorted(POSTGRESQL.glob("*/bin/postgres"), key=lambda one: int(one.parts[4]))
    if not found:
        missing.append("postgresql")
    if missing:
        raise Missing(f"Missing: apt-get install --no-install-recommends {' '.join(missing)}")
    os.environ["PATH"] = path
    return found[-1].parent


def require_free(ports: dict[str, int]) -> None:
    taken = []
    for port in ports.values():
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                taken.append(str(port))
    if taken:
        raise Missing(f"Taken: port {', '.join(taken)}; CLUSTER_PORT=... starts at another.")


def new_folder(parent: str | None = None) -> Path:
    """Others may enter it (PostgreSQL is another user's), not look into it."""
    place = Path(parent or tempfile.gettempdir()).resolve()
    for above in (place, *place.parents):
        if os.getuid() == 0 and not above.stat().st_mode & 0o001:
            raise Missing(f"PostgreSQL's user may not enter {above}: set CLUSTER_FOLDER.")
    folder = Path(tempfile.mkdtemp(prefix="reservations-cluster-", dir=place))
    folder.chmod(0o711)
    return folder


class Configuration:
    def __init__(self, folder: Path, first_port: int, **settings: str) -> None:
        """`settings`: of the service, beside those in deploy/reservations.env."""
        self.folder = folder
        self.ports = {name: first_port + number for name, number in PORTS.items()}
        self.passwords = {f"{name}_password": secrets.token_urlsafe(24) for name in PASSWORDS}
        self.values = {
            **{name: str(port) for name, port in self.ports.items()},
            **self.passwords,
            "secret_key": secrets.token_urlsafe(50),
            "folder": str(folder),
            "etcd_clients": ", ".join(
                f"127.0.0.1:{port}" for port in self._etcd("client").values()
            ),
            "etcd_peers": ",".join(
                f"{name}=http://127.0.0.1:{port}" for name, port in self._etcd("peer").items()
            ),
        }
        # PostgreSQL and PgBouncer refuse to run as root.
        self.database_user = "postgres" if os.getuid() == 0 else None
        self.base_url = f"http://127.0.0.1:{self.port_of('haproxy')}"
        self.settings = settings
        self.programs: dict[str, Program] = {}

    def port_of(self, name: str) -> int:
        return self.ports[f"{name.replace('-', '_')}_port"]

    def _etcd(self, kind: str) -> dict[str, int]:
        return {f"etcd-{node}": self.port_of(f"etcd-{node}-{kind}") for node in NODES}

    def render(self, template: str, name: str | None = None, **more: object) -> Path:
        """A file of deploy/ with this cluster's values in it, for those who need it alone."""
        text = string.Template((DEPLOY / template).read_text())
        file = self.folder / (name or template)
        file.touch(0o600)
        file.write_text(text.substitute(self.values, **more))
        if self.database_user is not None:
            shutil.chown(file, self.database_user)
        return file

    def environment(self, **more: str) -> dict[str, str]:
        """Of the service."""
        lines = self.render("reservations.env").read_text().splitlines()
        pairs = (line.split("=", 1) for line in lines if line and not line.startswith("#"))
        return dict(pairs) | self.settings | more

    def configure(self, binaries: Path) -> None:
        """All programs, with the files that they read."""
        for node in NODES:
            self._add_etcd(node)
            self._add_postgresql(node, binaries)
        # One of its own, so that it ends with the cluster.
        self.add(COORDINATION, "epmd", ["epmd", "-address", "127.0.0.1"], **self._erlang())
        self.add(WAYS, "rabbitmq", [RABBITMQ], **self._erlang())
        self.add(WAYS, "redis", ["redis-server", self.render("redis.conf")])
        file = self.render("haproxy-database.cfg")
        self.add(WAYS, "haproxy-database", ["haproxy", "-f", file], "primary")
        self.render("pgbouncer-users.txt")
        self.add(WAYS, "pgbouncer", ["pgbouncer", self.render("pgbouncer.ini")])
        self.programs["pgbouncer"].user = self.database_user
        for name in INSTANCES:
            told = {"SERVICE": name.partition("-")[0], "PORT": str(self.port_of(name))}
            command = [sys.executable, "-m", "reservation_system.serve"]
            self.add(SERVICE, name, command, **self.environment(**told))
        celery = [sys.executable, "-W", "ignore:You're running the worker", "-m", "celery"]
        celery += ["--quiet", "--app=reservation_system.celery"]
        alone = ["--without-gossip", "--without-mingle", "--without-heartbeat"]
        environment = self.environment(METRICS_PORT=str(self.port_of("worker")))
        self.add(SERVICE, "worker", [*celery, "worker", "--concurrency=2", *alone], **environment)
        beat = [*celery, "beat", "--pidfile=", f"--schedule={self.folder}/schedule"]
        self.add(SERVICE, "beat", beat, **self.environment())
        self.add(FRONT, "haproxy", ["haproxy", "-f", self.render("haproxy.cfg")])
        self.save()

    def _add_etcd(self, node: int) -> None:
        name = f"etcd-{node}"
        ports = {f"{kind}_port": self.port_of(f"{name}-{kind}") for kind in ("client", "peer")}
        file = self.render("etcd.yml", f"{name}.yml", name_=name, **ports)
        self.add(COORDINATION, name, ["etcd", "--config-file", file], f"{name}-client")

    def _add_postgresql(self, node: int, binaries: Path) -> None:
        """With Patroni, and what looks after its disk."""
        name = f"postgresql-{node}"
        home = self.folder / name
        home.mkdir(0o700, exist_ok=True)
        if self.database_user is not None:
            shutil.chown(home, self.database_user)
        file = self.render(
            *("patroni.yml", f"patroni-{node}.yml"),
            name_=name,
            patroni_port=self.port_of(f"patroni-{node}"),
            port=self.port_of(name),
            postgresql_binaries=binaries,
        )
        self.add(STORAGE, name, ["patroni", file])
        self.programs[name].pid_file = str(home / "data" / "postmaster.pid")
        # Not from here, where PostgreSQL's user may not look.
        guard = shutil.copy(DEPLOY / "leave-full-disk", self.folder)
        self.add(WAYS, f"disk-{node}", [guard, file, name, home])
        self.programs[name].user = self.programs[f"disk-{node}"].user = self.database_user

    def _erlang(self) -> dict[str, str]:
        home = self.folder / "rabbitmq"
        home.mkdir(0o700, exist_ok=True)
        return {
            "HOME": str(home),  # of Erlang's cookie
            "ERL_EPMD_PORT": str(self.port_of("epmd")),
            "RABBITMQ_NODENAME": f"reservations-{self.port_of('rabbitmq')}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port_of("rabbitmq")),
            "RABBITMQ_DIST_PORT": str(self.port_of("distribution")),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": (
                "-kernel inet_dist_use_interface {127,0,0,1} +S 1:1 +sbwt none"
            ),
            "RABBITMQ_CONFIG_FILE": str(self.render("rabbitmq.conf")),
            "RABBITMQ_MNESIA_BASE": str(home / "data"),
            "RABBITMQ_LOG_BASE": str(home),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(home / "plugins"),
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
        }

    def add(
        self,
        layer: int,
        name: str,
        command: list[Any],
        port: str | None = None,
        **environment: str,
    ) -> None:
        """`port`: the name of the one that it answers at, unless that is its own."""
        self.programs[name] = Program(
            name=name,
            command=[str(word) for word in command],
            port=self.ports.get(f"{port or name}_port".replace("-", "_"), 0),
            log=str(self.folder / f"{name}.log"),
            layer=layer,
            # All of it: who restarts it later may have another.
            environment=dict(os.environ) | environment,
        )

    def save(self) -> None:
        save(self.programs.values(), self.folder / "programs.json")
