"""deploy/ at its word: what it starts, sets and watches is what there is."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from fnmatch import fnmatch
from functools import cache

import pytest
import yaml
from django.core.management import get_commands

from reservation_system.metrics import FromTheDatabase
from scheduling import metrics

from .server import ROOT, Server

pytestmark = pytest.mark.once

DEPLOY = ROOT / "deploy"
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()
OPERATIONS = (ROOT / "docs/operations.md").read_text()
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
SERVICES = COMPOSE["services"]
OURS = {name: one for name, one in SERVICES.items() if one["image"] == "reservation-service"}
UNITS = sorted(unit for unit in (DEPLOY / "systemd").rglob("*") if unit.is_file())
ALERTS = yaml.safe_load((DEPLOY / "alerts.yml").read_text())["groups"][0]["rules"]
HERE = "/srv/reservation-service/.venv/bin/python "


@cache
def settings():
    readme = (ROOT / "README.md").read_text()
    return set(re.findall(r"^\| `([A-Z_]+)` \|", readme, re.MULTILINE))


def as_make_starts(target):
    """The words after `python`; where make leaves something to the shell, anything will do."""
    makefile = (ROOT / "Makefile").read_text()
    command = re.search(rf"^{target}:.*\n\t@exec \$\(BIN\)/python (.*)$", makefile, re.MULTILINE)[1]
    return [re.sub(r"\$.*", "*", word) for word in shlex.split(command.replace("=", " "))]


def is_started_as(words, target):
    ours, known = shlex.split(" ".join(words).replace("=", " ")), as_make_starts(target)
    return len(ours) == len(known) and all(map(fnmatch, ours, known))


# --- The image -----------------------------------------------------------------------------------


def copied():
    """What the image has of this repository."""
    for line in re.findall(r"^COPY (?!--from)(.*)$", DOCKERFILE, re.MULTILINE):
        yield from line.split()[:-1]


def test_the_image_is_let_have_what_it_copies_and_nothing_else():
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert ignored[1] == "*"
    assert {line[1:] for line in ignored if line.startswith("!")} == set(copied())


def test_all_code_in_the_image_is_compiled():
    (line,) = re.findall(r'^RUN (\[.*"compileall".*\])$', DOCKERFILE, re.MULTILINE)
    code = {name for name in copied() if name.endswith(".py") or any((ROOT / name).glob("*.py"))}
    assert code == set(yaml.safe_load(line)[4:])


def test_the_image_is_not_run_by_root():
    assert re.findall(r"^USER (.*)$", DOCKERFILE, re.MULTILINE) == ["10001:10001"]


def test_what_is_in_the_image_serves_as_make_run_does(empty_database_url, tmp_path):
    for name in copied():
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tmp_path / name)
    check, command = map(yaml.safe_load, re.findall(r"^ *CMD (\[.*\])$", DOCKERFILE, re.MULTILINE))
    assert [*command, "--prepare"] == ["python", *as_make_starts("run")]

    server = Server(tmp_path, empty_database_url)
    server.command, server.root = command[2:], tmp_path

    def health():
        asked = [sys.executable, *check[1:]]
        return subprocess.run(asked, env=server.environment, capture_output=True, check=False)

    server.manage("migrate")
    with server:
        assert health().returncode == 0
    assert health().returncode == 1


# --- Containers ----------------------------------------------------------------------------------


def test_the_composition_is_one_by_its_specification():
    subprocess.run(
        [
            *(sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"),
            DEPLOY / "compose.yaml",
        ],
        check=True,
    )


@pytest.mark.parametrize("name", SERVICES)
def test_no_container_may_do_more_than_it_must(name):
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "healthcheck" in service or name in {"provider-1", "provider-2", "client-1", "client-2"}
    assert "stop_grace_period" in service
    assert ("ports" in service) == (name == "haproxy")
    for other in service.get("depends_on", {}):
        assert other in SERVICES
    for volume in service.get("volumes", []):
        source = volume.partition(":")[0]
        assert source in COMPOSE["volumes"] or (DEPLOY / source).is_file()


def test_each_variable_it_sets_is_a_setting():
    for service in OURS.values():
        assert set(service["environment"]) <= settings()


def test_the_service_takes_what_it_sets():
    """With the secrets given and all else left to its default."""
    environment = os.environ.copy()
    for name, value in OURS["worker"]["environment"].items():
        value = re.sub(r"\$\{\w+:\+.*\}", "", re.sub(r"\$\{\w+:\?\}", "g1ven" * 10, value))
        environment[name] = re.sub(r"\$\{\w+:-(.*?)\}", r"\1", value)
        assert "$" not in environment[name]
    subprocess.run(
        [sys.executable, "manage.py", "check", "--deploy", "--fail-level=WARNING"],
        cwd=ROOT,
        env=environment,
        check=True,
    )


def test_no_secret_has_a_default():
    text = (DEPLOY / "compose.yaml").read_text()
    secret = {name for name in re.findall(r"\$\{(\w+)", text) if re.search("KEY$|PASSWORD", name)}
    assert secret == {"SECRET_KEY", "POSTGRES_PASSWORD", "RABBITMQ_PASSWORD"}
    for name in secret:
        assert set(re.findall(rf"\$\{{{name}\b([^}}]*)\}}", text)) == {":?"}


def test_its_commands_are_those_of_make_and_manage():
    for name, service in OURS.items():
        python, *words = service.get("command", ["python"])
        assert python == "python"
        if name in ("worker", "beat"):
            assert is_started_as(words, name)
        elif words:
            assert words[0] == "manage.py"
            assert words[1] in get_commands()


def test_the_balancer_knows_the_instances():
    balancer = (DEPLOY / "haproxy-compose.cfg").read_text()
    named = set(re.findall(r"^    server (\S+) (\S+):8000$", balancer, re.MULTILINE))
    instances = [name for name, one in OURS.items() if "SERVICE" in one["environment"]]
    assert named == {(name, name) for name in instances}
    (port,) = re.findall(r"bind :(\d+)", balancer)
    assert SERVICES["haproxy"]["ports"][0].endswith(f":{port}")
    (network,) = COMPOSE["networks"]["front"]["ipam"]["config"]
    for name in instances:
        assert OURS[name]["environment"]["TRUSTED_PROXIES"].startswith(f"{network['subnet']}$")


# --- Units ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_each_unit_starts_what_there_is(unit):
    text = unit.read_text()
    for command in re.findall(r"^ExecStart=(.*)$", text, re.MULTILINE):
        assert command.startswith(HERE)
        module, *words = shlex.split(command.removeprefix(HERE))
        if module == "manage.py":
            assert words[0] in get_commands()
        elif words[0] == "celery":
            assert is_started_as([module, *words], unit.stem.removeprefix("reservations-"))
        else:
            assert [module, *words, "--prepare"] == as_make_starts("run")
    assert set(re.findall(r"^Environment=(\w+)", text, re.MULTILINE)) <= settings()
    if unit.suffix == ".timer":
        assert unit.with_suffix(".service").is_file()


# --- Alerts --------------------------------------------------------------------------------------


def test_alerts_ask_for_numbers_that_there_are(db):
    collectors = [*metrics.OURS.collect(), *FromTheDatabase().collect()]
    there_are = {"up"}
    for family in collectors:
        endings = {"counter": ["_total"], "gauge": [""], "histogram": ["_count", "_bucket"]}
        there_are |= {f"{family.name}{ending}" for ending in endings[family.type]}
    for alert in ALERTS:
        asked = set(re.findall(r"\b(up|reservations_\w+)\b", alert["expr"]))
        assert asked, alert
        assert asked <= there_are


def test_alerts_draw_their_lines_where_a_count_ends():
    bounds = {
        "http_request_seconds": metrics.REQUEST_SECONDS,
        "lateness_seconds": metrics.EXPIRY_LATENESS,
    }
    for alert in ALERTS:
        for name, bound in re.findall(r"_(\w+)_bucket\{.*?le=\"([\d.]+)\"", alert["expr"]):
            (histogram,) = [one for ending, one in bounds.items() if name.endswith(ending)]
            assert float(bound) in histogram._kwargs["buckets"]


def test_operators_are_told_what_each_alert_means():
    explained = re.findall(r"^\| `(Reservations\w+)` \|", OPERATIONS, re.MULTILINE)
    assert explained == [alert["alert"] for alert in ALERTS]


# --- By the tools that read them ------------------------------------------------------------------


@pytest.mark.services
def test_systemd_understands_the_units(tmp_path):
    units = tmp_path / "etc/systemd/system"
    shutil.copytree(DEPLOY / "systemd", units)
    shutil.copytree("/lib/systemd/system", tmp_path / "lib/systemd/system", symlinks=True)
    python = tmp_path / HERE.strip().removeprefix("/")
    python.parent.mkdir(parents=True)
    shutil.copy("/bin/true", python)
    names = [unit.name.replace("@", "@8000") for unit in units.iterdir() if unit.is_file()]
    found = subprocess.run(
        ["systemd-analyze", "verify", f"--root={tmp_path}", *names],
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stderr == ""


@pytest.mark.services
@pytest.mark.parametrize(
    "command",
    [
        "promtool check rules deploy/alerts.yml",
        "promtool test rules tests/alerts.yml",
        "haproxy -c -f deploy/haproxy-compose.cfg",
    ],
)
def test_prometheus_and_the_balancer_understand_theirs(command):
    subprocess.run(command.split(), cwd=ROOT, check=True)
