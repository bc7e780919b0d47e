"""What looks for damage in a cluster would find it; the faults themselves are in `make chaos`."""

import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest

from cluster import chaos, faults

from .aftermath import Asked
from .test_random_kills import found, instead, without


@pytest.mark.parametrize(
    ("changes", "amiss"),
    [
        ({}, (0, 0, 0)),
        ({"events": without(1)}, (1, 0, 0)),
        ({"acknowledged": lambda all_: [*all_, Asked("reserved", 3, 2, 11)]}, (1, 0, 0)),
        (
            {"reservations": lambda rows: rows | {2: rows[1]._replace(status="held")}},
            (0, 1, 0),
        ),
        ({"events": instead(4, reservation_id=1, kind="expired")}, (1, 0, 1)),
    ],
)
def test_what_is_lost_double_or_torn_is_counted(changes, amiss):
    assert chaos.amiss(found(**changes)) == amiss


@pytest.mark.parametrize(
    ("seen", "outage"),
    [
        ([(0, 1, True)], 0),
        ([(0, 1, True), (1, 3, False), (3, 4, True)], 2),
        ([(0, 1, False), (0.5, 0.6, True), (2, 2.5, False)], 2.5),
        ([(0, 1, False), (9, 11, False)], 2),
        ([(0, 9, False), (1, 2, False)], 9),
    ],
)
def test_an_outage_is_from_the_first_failure_to_the_last(seen, outage):
    assert chaos.longest_outage([chaos.Seen(*one) for one in seen]) == outage


class Calm(SimpleNamespace):
    """A cluster that is whole, and probes that have seen this much within the last seconds."""

    def is_whole(self):
        return True


@pytest.mark.parametrize(
    ("is_good", "is_calm"), [([True], True), ([True, False], False), ([], False)]
)
def test_silence_is_no_calm(monkeypatch, is_good, is_calm):
    monkeypatch.setattr(chaos, "CALM", 0.05)
    asked = []
    monkeypatch.setattr(chaos, "wait_until", lambda holds, *_: asked.append(holds))
    seen = [chaos.Seen(0, time.monotonic() + 1, one) for one in is_good]
    chaos.await_calm(Calm(), SimpleNamespace(seen=seen), row().fault)
    time.sleep(0.1)
    assert asked[-1]() == is_calm


def test_a_probe_that_fails_is_not_passed_over(monkeypatch):
    probes = chaos.Probes.__new__(chaos.Probes)
    monkeypatch.setattr(chaos.Probes, "read", lambda _: None)
    monkeypatch.setattr(chaos.Probes, "write", lambda _: 1 / 0)
    with ThreadPoolExecutor(2) as threads:
        read, wrote = probes.play(threads)
    assert read.exception() is None
    assert isinstance(wrote.exception(), ZeroDivisionError)


def row(**values):
    fault = faults.Fault("a fault", 2, strike=None)
    return chaos.Row(fault, 1.5, 100, 3, 0, 0, 0, 0)._replace(**values)


@pytest.mark.parametrize(
    ("values", "broken"),
    [
        ({}, []),
        ({"outage": 2.1}, ["a fault: 2.1 s, more than 2"]),
        ({"cut_short": 1}, ["a fault: 1 holds were good for less than they should be"]),
        ({"lost": 1}, ["a fault: 1 lost, 0 double, 0 torn"]),
        ({"double": 2}, ["a fault: 0 lost, 2 double, 0 torn"]),
        ({"torn": 1}, ["a fault: 0 lost, 0 double, 1 torn"]),
        (
            {"fault": faults.Fault("a restart", 2, strike=None, may_fail=False)},
            ["a restart: 3 requests failed"],
        ),
    ],
)
def test_a_broken_promise_is_named(values, broken):
    assert list(chaos.broken_promises(row(**values))) == broken


def test_the_table_goes_between_its_markers(monkeypatch, tmp_path):
    monkeypatch.setattr(chaos, "DOCUMENT", tmp_path / "operations.md")
    chaos.DOCUMENT.write_text("before\n<!-- chaos -->\nold\n<!-- chaos -->\nafter\n")
    chaos.write("new")
    assert chaos.DOCUMENT.read_text() == "before\n<!-- chaos -->\nnew\n<!-- chaos -->\nafter\n"
