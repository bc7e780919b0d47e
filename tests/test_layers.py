"""Imports point down only, and the clock is read in the verbs alone."""

import ast
import re

import pytest

from .server import ROOT

# From the top down; a module imports from the rows below its own.
LAYERS = [
    {"apps"},
    {"urls", "admin", "site", "checks", "management.commands"},
    {"views", "tasks", "management", "pages", "plots"},
    {"webhooks", "notifications", "operations"},
    {
        *("serializers", "fields", "openapi", "wire", "ics", "preconditions", "idempotency"),
        "letters",
        "shapes",
        *("permissions", "authentication", "throttling", "outcomes", "recent", "listings"),
    },
    {"deadlines"},
    {
        *("booking", "availability", "expiry", "feeds", "history", "people", "accounts"),
        *("retries", "relay"),
    },
    {"parties"},
    {"models", "tokens", "identity", "outbound", "shared", "replica"},
    {"calendars"},
    {"policy", "errors", "metrics"},
    {"failover"},
]
# The one row whose modules may know each other: they are all shapes.
COURIERS, SHAPES, QUEUES, VERBS = LAYERS[3:7]
PACKAGE = ROOT / "scheduling"
PACKAGES = [ROOT / name for name in ("scheduling", "analytics", "reservation_system", "web")]


def module_of(path):
    """`booking` is a file, `models` and `management.commands` are folders."""
    inside = path.relative_to(PACKAGE)
    return ".".join(inside.parts[:-1]) or inside.stem


FILES = [
    path
    for path in PACKAGE.rglob("*.py")
    if path != PACKAGE / "__init__.py" and "migrations" not in path.parts
]
MODULES = sorted({module_of(path) for path in FILES})


def files_of(module):
    return [path for path in FILES if module_of(path) == module]


def rank(module):
    return next(nth for nth, row in enumerate(LAYERS) if module in row)


def imported(path):
    """Every absolute name that the file imports."""
    package = path.relative_to(ROOT).parts[:-1]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            start = package[: len(package) - node.level + 1] if node.level else ()
            source = ".".join([*start, *([node.module] if node.module else [])])
            yield from (f"{source}.{alias.name}" for alias in node.names)


def ours(path):
    """The modules of the domain that the file imports."""
    for name in imported(path):
        if name.startswith("scheduling."):
            inside = name.removeprefix("scheduling.")
            yield next(module for module in MODULES if f"{inside}.".startswith(f"{module}."))


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_down(module):
    for other in {other for path in files_of(module) for other in ours(path)} - {module}:
        is_among_shapes = {module, other} <= SHAPES
        assert is_among_shapes or rank(module) < rank(other), f"{module} imports {other}"


def test_the_domain_knows_nothing_of_its_deployment():
    for path in PACKAGE.rglob("*.py"):
        assert not any(name.startswith("reservation_system") for name in imported(path)), path


# The past, which is above the domain.
PAST = ROOT / "analytics"
ROWS_OF_THE_PAST = [
    {"management.commands", "apps"},
    {"tasks", "plots"},
    {"archive", "erasure", "reports"},
    {"store"},
    {"models", "router", "migrations"},
]


def test_the_domain_knows_nothing_of_the_past():
    for path in PACKAGE.rglob("*.py"):
        assert not any(name.startswith("analytics") for name in imported(path)), path


def test_imports_within_the_past_point_down():
    def row(module):
        return next(nth for nth, row in enumerate(ROWS_OF_THE_PAST) if module in row)

    for path in PAST.rglob("*.py"):
        inside = path.relative_to(PAST)
        module = ".".join(inside.parts[:-1]) or inside.stem
        if inside.name == "__init__.py" or module == "migrations":
            continue
        for name in imported(path):
            assert not name.startswith("reservation_system"), path
            if name.startswith("analytics."):
                assert row(module) < row(name.split(".")[1]), f"{path} imports {name}"


def test_migrations_import_nothing_of_the_domain():
    for path in (PACKAGE / "migrations").glob("*.py"):
        assert list(ours(path)) == []


def test_verbs_know_nothing_of_http():
    for module in {*QUEUES, *VERBS, "models", "policy"}:
        for path in files_of(module):
            http = ("rest_framework", "django.http", "django.urls")
            assert not any(name.startswith(http) for name in imported(path)), path


def source_files():
    return [path for package in PACKAGES for path in package.rglob("*.py")]


def found(pattern):
    return {path for path in source_files() if re.search(pattern, path.read_text())}


def test_only_verbs_read_the_clock():
    verbs = {PACKAGE / f"{name}.py" for name in VERBS | COURIERS}
    verbs |= {PAST / "archive.py", PAST / "erasure.py"}
    assert found(r"timezone\.now\b") <= verbs
    assert found(r"\b(datetime|date)\.(now|utcnow|today)\b") == set()


def test_no_statement_reads_the_databases_clock():
    assert found(r"(?i)\bnow\(\)(?<!timezone\.now\(\))|current_timestamp|'now'") == set()
