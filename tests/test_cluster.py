"""The configuration of a cluster, and its programs. That it comes up, `make chaos-smoke` shows."""

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from cluster import __main__, configuration, programs, topology
from cluster.configuration import FRONT, INSTANCES, Missing
from cluster.programs import Program
from cluster.topology import Cluster

from .server import ROOT

FIRST_PORT = 22900
FOREVER = [sys.executable, "-c", "import time; print('here', flush=True); time.sleep(60)"]
STUBBORN = "import signal, time; signal.signal(15, lambda *_: print('no', flush=True)); "
STUBBORN += "print('here', flush=True); time.sleep(60)"


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "getuid", lambda: 1000)  # the files stay our own
    cluster = Cluster(tmp_path, FIRST_PORT, HOLD_SECONDS="7")
    cluster.configure("/usr/lib/postgresql/15/bin")
    return cluster


@pytest.fixture
def program(tmp_path):
    def new(command=FOREVER):
        one = Program("one", command, 0, str(tmp_path / "one.log"), FRONT, dict(os.environ))
        made.append(one)
        one.start()
        programs.wait_until(lambda: "here" in log(one), 10, "it does not start")
        return one

    made = []
    yield new
    for one in made:
        one.kill()


def log(program):
    return Path(program.log).read_text()


# --- Its configuration ---------------------------------------------------------------------------


def test_every_file_is_filled_in_and_its_owners_alone(cluster, tmp_path):
    files = {one for one in tmp_path.iterdir() if one.is_file()} - {tmp_path / "leave-full-disk"}
    assert {one.name for one in files} > {"patroni-3.yml", "haproxy.cfg", "reservations.env"}
    for file in files:
        assert not re.search(r"\$\{?[a-z_]", file.read_text()), file
        assert file.stat().st_mode & 0o77 == 0, file
    secrets = [*cluster.passwords.values(), cluster.values["secret_key"]]
    assert len(set(secrets)) == len(secrets)


def test_each_port_is_ones_own(cluster):
    ports = list(cluster.ports.values())
    assert len(set(ports)) == len(ports)
    listening = [one.port for one in cluster.programs.values() if one.port]
    assert set(listening) <= set(ports)
    assert len(set(listening)) == len(listening)


def test_instances_differ_in_their_service_and_port_alone(cluster):
    told = {name: dict(cluster.programs[name].environment) for name in INSTANCES}
    services = {name: (one.pop("SERVICE"), int(one.pop("PORT"))) for name, one in told.items()}
    assert services == {
        name: (name.partition("-")[0], cluster.programs[name].port) for name in INSTANCES
    }
    first, *others = told.values()
    assert others == [first] * 3
    assert first["HOLD_SECONDS"] == "7"
    assert f":{cluster.port_of('pgbouncer')}/reservations" in first["DATABASE_URL"]
    assert f":{cluster.port_of('replicas')}/reservations" in first["DATABASE_REPLICA_URL"]


def test_every_setting_in_it_is_one_of_the_service(cluster):
    known = re.findall(r"^\| `([A-Z_]+)` \|", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert cluster.environment().keys() <= set(known)


def test_every_file_for_operators_is_where_they_read():
    operations = (ROOT / "docs" / "operations.md").read_text()
    assert [one for one in configuration.DEPLOY.iterdir() if one.name not in operations] == []


@pytest.mark.parametrize("service", ["provider", "client"])
def test_haproxy_knows_the_instances_of_each_service(cluster, tmp_path, service):
    told = (tmp_path / "haproxy.cfg").read_text()
    for nth in (1, 2):
        name = f"{service}-{nth}"
        line = f"server {name} 127.0.0.1:{cluster.programs[name].port}"
        assert told.count(line) == 2  # once it is ready, and when none is


def test_it_names_what_is_not_installed(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(configuration.shutil, "which", lambda *_, **__: None)
    monkeypatch.setattr(configuration, "POSTGRESQL", tmp_path)
    with pytest.raises(Missing, match=r"etcd-server patroni pgbouncer .* haproxy postgresql$"):
        configuration.require_packages()


def test_it_names_ports_that_are_taken():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        with pytest.raises(Missing, match=f"port {port};"):
            configuration.require_free({"one": port})


@pytest.mark.parametrize(("used", "is_left"), [(94, False), (95, True), (100, True)])
def test_a_primary_leaves_a_disk_that_is_almost_full(tmp_path, used, is_left):
    for name, script in {
        "df": f"printf 'Use%%\\n {used}%%\\n'",
        "patronictl": f'echo "$@" >> {tmp_path}/asked',
        "sleep": f"mkdir {tmp_path}/slept",  # once; then the guard ends
    }.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{script} 2>/dev/null\n")
        (tmp_path / name).chmod(0o755)
    subprocess.run(
        [configuration.DEPLOY / "leave-full-disk", "patroni.yml", "postgresql-2", tmp_path],
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}"},
        check=False,
    )
    asked = tmp_path / "asked"
    expected = "-c patroni.yml switchover --leader postgresql-2 --force reservations\n"
    assert (asked.read_text() if asked.exists() else None) == (expected if is_left else None)


# --- Its programs --------------------------------------------------------------------------------


@pytest.mark.parametrize("is_orphan", [False, True])
def test_a_program_is_ended_with_what_it_has_started(program, is_orphan):
    parent = program([sys.executable, "-c", f"import subprocess; subprocess.run({FOREVER!r})"])
    parent_itself, child = parent.processes()
    if is_orphan:
        parent_itself.kill()
        programs.wait_until(lambda: not parent.is_running(), 5, "it is not killed")
    programs.end([parent])
    assert not parent.is_running()
    assert not child.is_running() or child.status() == "zombie"  # nobody has reaped it yet


def test_what_does_not_end_is_killed(program, monkeypatch):
    monkeypatch.setattr(programs, "PATIENCE", 0.3)
    stubborn = program([sys.executable, "-c", STUBBORN])
    programs.end([stubborn])
    assert "no" in log(stubborn)
    assert not stubborn.is_running()


def test_another_process_with_the_same_pid_is_left_alone(program, tmp_path):
    other = program()
    record = tmp_path / "programs.json"
    programs.save([other], record)
    [recorded] = programs.load(record)
    assert recorded == other
    assert record.stat().st_mode & 0o77 == 0
    recorded.started -= 1
    programs.end([recorded])
    assert not recorded.is_running()
    assert other.is_running()


def test_what_asks_is_ended_before_what_is_asked(cluster, monkeypatch):
    ended = []
    for module in (topology, programs):  # where a program is stopped by itself, and with others
        monkeypatch.setattr(module, "end", lambda some: ended.append({one.name for one in some}))
    topology.down(cluster.programs.values())
    assert ended == [
        {"haproxy"},
        {*INSTANCES, "worker", "beat"},
        {*("redis", "rabbitmq", "haproxy-database", "pgbouncer"), "disk-1", "disk-2", "disk-3"},
        {"postgresql-1", "postgresql-2", "postgresql-3"},
        *({name} for name in ("etcd-1", "etcd-2", "etcd-3", "epmd")),
    ]


def test_its_folder_is_found_from_anywhere(monkeypatch, tmp_path):
    """Programs run in folders of their own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "getuid", lambda: 1000)
    assert configuration.new_folder(".").parent == tmp_path


def test_a_folder_that_postgresqls_user_may_not_enter_is_not_made(monkeypatch, tmp_path):
    monkeypatch.setattr(os, "getuid", lambda: 0)
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    with pytest.raises(Missing, match="CLUSTER_FOLDER"):
        configuration.new_folder(str(closed))
    assert not list(closed.iterdir())


def test_without_haproxy_no_instance_is_sent_requests(tmp_path):
    assert not topology.is_up("client-1", tmp_path)


def test_what_was_stopped_before_anything_ran_can_be_ended(monkeypatch, tmp_path):
    (tmp_path / "folder").mkdir()
    monkeypatch.setattr(__main__, "LAST", tmp_path / "last")
    __main__.LAST.symlink_to(tmp_path / "folder")
    __main__.end()
    assert not list(tmp_path.iterdir())
