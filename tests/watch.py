"""A watch over the logs: no secret and no name of a person in any line, whatever a test does.

A plugin: every line that the service formats during a test is looked at, and the test fails that
had one written which no log should hold. The log of a server process is looked at when it ends.
"""

import contextlib
import re

import pytest

from reservation_system import logs

MARK_OF_PASSWORDS = "hunter2-"  # each password in the tests begins with it

# Of the people in factories, fixtures and tests, those whose names are no other word.
NAMES = (
    *("Lovelace", "Turing", "Hopper", "Johnson", "Noether", "Katherine"),
    *("Zaphodina", "Beeblebroxova"),
)

FORBIDDEN = re.compile(
    "|".join(
        f"(?P<{kind}>{pattern})"
        for kind, pattern in {
            # From the sign on: a long word before it costs nothing. No numeric addresses of hosts.
            "email": r"(?<=[\w+-])(?:@|%40)(?:[\w-]+\.)+[A-Za-z]",
            "json_web_token": r"eyJ[\w-]+\.[\w-]+",
            "service_token": r"\brst_[\w-]{20,}",
            "calendar_key": r"\brsc_[\w-]{20,}",
            # A digit tells a token from the next word of a sentence.
            "bearer_token": r"\b[Bb]earer +(?=[\w.~+/=-]*\d)[\w.~+/=-]{8,}",
            "password": MARK_OF_PASSWORDS,
            "password_in_an_address": r"://[^\s/:@]*:[^\s/:@]+@",
            "name": rf"\b(?:{'|'.join(NAMES)})\b",
        }.items()
    )
)
# Whatever the expression matches holds one of these; to look for them costs 3 us a line, not 50.
MARKS = ("@", "%40", "eyJ", "rst_", "rsc_", "earer ", MARK_OF_PASSWORDS, "://", *NAMES)

_leaks = []
_destination = _leaks


def find(line):
    """Each thing that no log should hold: its kind, and the line."""
    if not any(mark in line for mark in MARKS):
        return []
    # JSON writes a line's end as \n, whose letter would hide where a word begins.
    text = line.replace(r"\n", "  ")
    return [(match.lastgroup, line) for match in FORBIDDEN.finditer(text)]


def check_file(path):
    with path.open(encoding="utf-8", errors="replace") as log:
        found = [one for line in log for one in find(line)]
    if found:
        raise AssertionError(_complaint(found))


def _complaint(found):
    lines = "\n".join(f"{kind}: {line.strip()}" for kind, line in dict.fromkeys(found))
    return f"the log holds what no log should hold\n{lines}"


@contextlib.contextmanager
def looking():
    """Collect what is found from here on; it fails no test."""
    global _destination
    _destination = []
    try:
        yield _destination
    finally:
        _destination = _leaks


def pytest_configure():
    for formatter in (logs.JSON, logs.Text):
        formatter.format = _watched(formatter.format)


def _watched(format_record):
    def watched(formatter, record):
        line = format_record(formatter, record)
        _destination.extend(find(line))
        return line

    return watched


@contextlib.contextmanager
def _watching():
    """Also when the test has failed already: the next one is not to blame."""
    try:
        yield
    finally:
        found = _leaks.copy()
        _leaks.clear()
        if found:
            pytest.fail(_complaint(found), pytrace=False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup():
    with _watching():
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call():
    with _watching():
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown():
    with _watching():
        return (yield)
