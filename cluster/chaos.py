"""Load on a cluster whose parts are broken one after another, and what that has cost."""

import contextlib
import random
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import cycle
from math import inf
from types import SimpleNamespace
from typing import Any, NamedTuple

import requests

from tests import kills
from tests.aftermath import (
    PEOPLE,
    Asked,
    Found,
    complaints_but_of_letters,
    duplicates,
    effects,
    left,
    look,
)

from .faults import HOLD_SECONDS, Fault, Scene, lose_what_no_standby_has
from .programs import ROOT, wait_until

CALLERS = 2
PROBES_PAUSE = 0.15  # seconds between two of them
LATE = 1.0  # second for which a list may show what has been taken
SLOW = 2.0  # seconds: an answer later than this is none
GAP = 3.0  # seconds without a failure between one outage and another
CALM = 5.0  # seconds for which all goes well before the next fault, and after the last
DRAINED = 240.0  # seconds until nothing is left to be told
DOCUMENT = ROOT / "docs" / "operations.md"
MARKER = "<!-- chaos -->"


class Seen(NamedTuple):
    began: float
    ended: float
    is_good: bool


class Probes:
    """Two callers who ask all the time, each in turn as soon as it is answered: one that reserves
    timeslots nobody else wants and confirms them, and one whose lists must not show them later."""

    def __init__(self, scene: Scene, load: Any) -> None:
        self.base_url, self.load, self.offered = scene.base_url, load, scene.offered
        self.timeslots = scene.publish(days=60)
        self.confirmed: list[tuple[float, int]] = [(-inf, self.timeslots[0])]  # when, and which
        self.seen: list[Seen] = []
        self.cut_short = 0  # holds that could not be confirmed at once
        self.surprises: Counter[str] = Counter()  # what should never be

    def play(self, threads: ThreadPoolExecutor) -> "list[Future[None]]":
        return [threads.submit(one) for one in (self.read, self.write)]

    def read(self) -> None:
        with requests.Session() as session:
            while not self.load.is_over.wait(PROBES_PAUSE):
                self.list_after_the_last(session)

    def list_after_the_last(self, session: Any) -> None:
        """From the last one on that was confirmed so long ago that no list may show it any more."""
        asked = time.monotonic()
        taken_at, timeslot = max(one for one in self.confirmed if one[0] < asked - LATE)
        offered = self.offered[timeslot]
        query = f"provider_id={offered['provider_id']}&from={offered['start_time']}&limit=1"
        answer = self.ask(session, "GET", f"/client/getProviderAvailability?{query}")
        if answer is None or taken_at == -inf:
            return
        if timeslot in [one["timeslot_id"] for one in answer.json()["available timeslots"]]:
            self.surprises["a list showed a timeslot that had been taken"] += 1

    def write(self) -> None:
        with requests.Session() as session:
            for timeslot, client in zip(self.timeslots, cycle(PEOPLE), strict=False):
                self.reserve_and_confirm(session, timeslot, client)
                if self.load.is_over.wait(PROBES_PAUSE):
                    return

    def reserve_and_confirm(self, session: Any, timeslot: int, client: int) -> None:
        body = {"client_id": client, "timeslot_id": timeslot}
        answer = self.ask(session, "POST", "/client/reserve", body)
        if answer is None:
            self.load.in_doubt.append(Asked("reserved", None, client, timeslot))
            return
        if answer.status_code != 200:
            self.surprises[f"a reserve was refused: {answer.text}"] += 1
            return
        made = answer.json()["Reservation scheduled"]["reservation_id"]
        self.load.acknowledged.append(Asked("reserved", made, client, timeslot))
        held = time.monotonic()
        body = {"client_id": client, "reservation_id": made}
        answer = self.ask(session, "PUT", "/client/confirm", body)
        confirmed = Asked("confirmed", made, client, None)
        if answer is None:
            self.load.in_doubt.append(confirmed)
        elif answer.status_code == 200:
            self.load.acknowledged.append(confirmed)
            self.confirmed.append((time.monotonic(), timeslot))
        elif answer.status_code != 410:
            self.surprises[f"a confirm was refused: {answer.text}"] += 1
        elif time.monotonic() - held < HOLD_SECONDS - 1:
            self.cut_short += 1

    def ask(self, session: Any, method: str, path: str, body: Any = None) -> Any:
        """The answer, unless there is none or it says that the service is not there."""
        began = time.monotonic()
        try:
            answer = session.request(method, self.base_url + path, json=body, timeout=15)
        except requests.RequestException:
            answer = None
        seconds = time.monotonic() - began
        self.load.statuses["none" if answer is None else answer.status_code] += 1
        is_good = answer is not None and answer.status_code < 500
        self.seen.append(Seen(began, began + seconds, is_good and seconds < SLOW))
        return answer if is_good else None


class Row(NamedTuple):
    fault: Fault
    outage: float
    asked: int
    failed: int
    lost: int
    double: int
    torn: int
    cut_short: int


class Run(NamedTuple):
    rows: list[Row]
    found: Found
    complaints: list[str]
    told_after: float


def run(scene: Scene, faults: list[Fault]) -> Run:
    load = kills.Load(scene, seed=random.randrange(10**6))
    probes = Probes(scene, load)
    rows: list[Row] = []
    with ThreadPoolExecutor(CALLERS + 2) as threads:
        plays = [threads.submit(load.play, nth) for nth in range(CALLERS)]
        plays += probes.play(threads)
        try:
            for fault in faults:
                rows.append(watch(scene, fault, load, probes))
                print(line(cells(rows[-1])), flush=True)
        finally:
            load.is_over.set()
        for play in plays:
            play.result(150)
    began = time.monotonic()
    time.sleep(HOLD_SECONDS + 1)
    until = time.monotonic() + DRAINED
    while any(left(scene.database_url).values()) and time.monotonic() < until:
        time.sleep(0.5)
    found = found_now(scene, load)
    unknown = load.statuses.keys() - {200, 502, 503, 504, "none", *kills.REFUSALS}
    complained = [
        *complaints_but_of_letters(found),
        *(f"answered {load.statuses[status]} times: {status}" for status in unknown),
        *(f"{times} times: {surprise}" for surprise, times in probes.surprises.items()),
        *(broken for row in rows for broken in broken_promises(row)),
        *([f"in the end lost, double, torn: {amiss(found)}"] if any(amiss(found)) else []),
    ]
    return Run(rows, found, complained, time.monotonic() - began)


def watch(scene: Scene, fault: Fault, load: Any, probes: Probes) -> Row:
    """Strike in a calm, and look on until the cluster is whole and it is calm again."""
    await_calm(scene, probes, fault)
    statuses, cut_short = Counter(load.statuses), probes.cut_short
    before = amiss(found_now(scene, load))
    struck = time.monotonic()
    with crowd(scene, fault.crowd, probes.confirmed[-1][1], load):
        fault.strike(scene)
    await_calm(scene, probes, fault)
    statuses = Counter(load.statuses) - statuses
    return Row(
        fault,
        longest_outage([seen for seen in list(probes.seen) if seen.ended >= struck]),
        statuses.total(),
        sum(statuses[status] for status in (500, 502, 503, 504, "none")),
        *(now - then for now, then in zip(amiss(found_now(scene, load)), before, strict=True)),
        probes.cut_short - cut_short,
    )


@contextlib.contextmanager
def crowd(scene: Scene, size: int, taken: int, load: Any) -> Iterator[None]:
    """So many who ask for the same, which changes nothing and is never asked twice."""
    is_over = threading.Event()

    def ask() -> Counter[Any]:
        statuses: Counter[Any] = Counter()
        with requests.Session() as session:
            while not is_over.is_set():
                for method, path, body in (
                    ("POST", "/client/reserve", {"client_id": 1, "timeslot_id": taken}),
                    ("PUT", "/provider/expiredReservations", {}),
                ):
                    try:
                        url = scene.base_url + path
                        answer = session.request(method, url, json=body, timeout=15)
                        statuses[answer.status_code] += 1
                    except requests.RequestException:
                        statuses["none"] += 1
        return statuses

    with ThreadPoolExecutor(max(size, 1)) as threads:
        asking = [threads.submit(ask) for _ in range(size)]
        try:
            yield
        finally:
            is_over.set()
    for one in asking:
        load.statuses.update(one.result())


def longest_outage(seen: list[Seen]) -> float:
    """From the first request that failed to the last; a while in which none did ends it."""
    longest, began, ended = 0.0, -inf, -inf
    for one in sorted(one for one in seen if not one.is_good):
        if one.began - ended > GAP:
            began = one.began
        ended = max(one.ended, ended)
        longest = max(longest, ended - began)
    return longest


def await_calm(scene: Scene, probes: Probes, fault: Fault) -> None:
    wait_until(scene.is_whole, 120, f"{fault.name}: the cluster is not whole again")
    since = time.monotonic()

    def is_calm() -> bool:
        lately = [seen for seen in list(probes.seen) if seen.ended > time.monotonic() - CALM]
        is_well = bool(lately) and all(seen.is_good for seen in lately)
        return is_well and time.monotonic() - since > CALM

    wait_until(is_calm, 120, f"{fault.name}: requests go on failing")


def found_now(scene: Scene, load: Any) -> Found:
    """What was acknowledged by now, and then what there is."""
    answers = SimpleNamespace(acknowledged=list(load.acknowledged), in_doubt=list(load.in_doubt))
    service = SimpleNamespace(
        database=SimpleNamespace(url=scene.database_url),
        receiver=scene.receiver,
        mailbox=SimpleNamespace(messages=[]),  # nobody here has an address
    )
    return look(service, answers)


def amiss(found: Found) -> tuple[int, int, int]:
    """Acknowledged and not there; timeslots with two live reservations; confirmed and expired."""
    lost = Counter(map(tuple, found.acknowledged)) - effects(found)
    live = Counter(
        reservation.timeslot_id
        for reservation in found.reservations.values()
        if reservation.status in ("held", "confirmed")
    )
    kinds = defaultdict(set)
    for event in found.events:
        kinds[event.reservation_id].add(event.kind)
    return (
        lost.total(),
        sum(count > 1 for count in live.values()),
        sum(kinds_of >= {"confirmed", "expired"} for kinds_of in kinds.values()),
    )


def broken_promises(row: Row) -> Iterator[str]:
    if row.outage > row.fault.bound:
        yield f"{row.fault.name}: {row.outage:.1f} s, more than {row.fault.bound:.0f}"
    if row.failed and not row.fault.may_fail:
        yield f"{row.fault.name}: {row.failed} requests failed"
    if row.lost or row.double or row.torn:
        yield f"{row.fault.name}: {row.lost} lost, {row.double} double, {row.torn} torn"
    if row.cut_short and not row.fault.cuts_short:
        yield f"{row.fault.name}: {row.cut_short} holds were good for less than they should be"


class Control(NamedTuple):
    acknowledged: int
    lost: int


def control(scene: Scene) -> Control:
    """Without synchronous standbys, where the same checks must find something lost."""
    scene.patroni("PATCH", "/config", {"synchronous_mode": False, "maximum_lag_on_failover": 2**30})
    wait_until(lambda: not scene.cluster.in_role("sync_standby"), 60, "it stays synchronous")
    load = kills.Load(scene, seed=1)
    probes = Probes(scene, load)
    with ThreadPoolExecutor(2) as threads:
        plays = probes.play(threads)
        try:
            time.sleep(CALM)
            lose_what_no_standby_has(scene)
        finally:
            load.is_over.set()
    for play in plays:
        play.result()
    lost, _, _ = amiss(found_now(scene, load))
    return Control(len(load.acknowledged), lost)


# --- What is shown of it -------------------------------------------------------------------------

HEAD = ("fault", "outage s", "at most", "requests", "failed", "lost", "double", "torn", "cut short")


def line(cells: Iterable[object]) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def cells(row: Row) -> list[str]:
    name, bound = row.fault.name, row.fault.bound
    return [name, f"{row.outage:.1f}", f"{bound:.0f}", *(f"{count:,}" for count in row[2:])]


def table(run: Run) -> str:
    found = run.found
    messages = [message.webhook_id for message in found.messages]
    lines = [
        line(HEAD),
        line(["---", *["---:"] * (len(HEAD) - 1)]),
        *(line(cells(row)) for row in run.rows),
        "",
        f"Acknowledged changes: {len(found.acknowledged):,}, unknown to their caller: "
        f"{len(found.in_doubt):,}. Events: {len(found.events):,}, told to the webhook "
        f"{len(messages):,} times ({duplicates(messages):,} again, under the same id), the last "
        f"{run.told_after:.0f} s after the last request. Broken promises: {len(run.complaints):,}.",
    ]
    return "\n".join(lines)


def told(control: Control) -> str:
    return f"Control: of {control.acknowledged:,} acknowledged changes {control.lost:,} lost."


def write(text: str) -> None:
    """Between the two markers."""
    before, _, after = DOCUMENT.read_text().split(MARKER)
    DOCUMENT.write_text(f"{before}{MARKER}\n{text}\n{MARKER}{after}")
