"""`make cluster` starts the whole topology on this machine, `make cluster-down` ends it,
`make cluster-restart` restarts its instances one by one, `make chaos` breaks one of its own."""

import argparse
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterable

from .configuration import Missing, new_folder, require_packages
from .programs import ROOT, Program, load
from .topology import Cluster, down, restart_instances

FIRST_PORT = 20000
LAST = ROOT / ".cluster"  # a link to the folder of the one that was started last


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m cluster", description=__doc__)
    parser.add_argument("what", choices=["up", "down", "restart", "chaos"])
    parser.add_argument("--smoke", action="store_true", help="chaos: the short form")
    parser.add_argument("--write", action="store_true", help="chaos: into docs/operations.md")
    asked = parser.parse_args()
    # What was started is ended, however this ends.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("Stopped."))
    try:
        if asked.what == "chaos":
            break_one(asked.smoke, asked.write)
        else:
            {"up": up, "down": end, "restart": restart}[asked.what]()
    except (Missing, TimeoutError) as reason:
        sys.exit(str(reason))


def up() -> None:
    began = time.monotonic()
    if LAST.exists() and any(program.is_running() for program in last()):
        raise Missing("It runs already: make cluster-down ends it.")
    require_packages()
    folder = new_folder(os.environ.get("CLUSTER_FOLDER"))
    cluster = Cluster(folder, first_port())
    LAST.unlink(missing_ok=True)
    LAST.symlink_to(folder)
    try:
        cluster.up()
    except BaseException:
        down(cluster.programs.values())
        raise
    show(cluster.programs.values())
    print(
        f"\n{cluster.base_url} after {time.monotonic() - began:.0f} s; make cluster-down ends it."
    )


def first_port() -> int:
    return int(os.environ.get("CLUSTER_PORT", FIRST_PORT))


def show(programs: Iterable[Program]) -> None:
    for program in programs:
        port = program.port or "-"
        print(f"{program.name:18}{program.pid:>8}{port:>7}  {program.log}")


def end() -> None:
    down(last())
    shutil.rmtree(LAST.resolve())
    LAST.unlink()


def restart() -> None:
    restart_instances(last(), LAST.resolve())


def last() -> list[Program]:
    if not LAST.exists():
        raise Missing("No cluster was started from here.")
    record = LAST / "programs.json"
    return load(record) if record.exists() else []  # it was stopped before anything ran


def break_one(is_smoke: bool, is_written: bool) -> None:
    """Exits with an error when anything was not as promised, or the control has found nothing."""
    # Not at the top: only this needs what tests are made of.
    from . import chaos, faults

    began = time.monotonic()
    with faults.Scene(first_port(), has_small_disks=not is_smoke) as scene:
        print(f"{scene.base_url} after {time.monotonic() - began:.0f} s", flush=True)
        run = chaos.run(scene, faults.SMOKE if is_smoke else faults.FULL)
        text, is_as_promised = chaos.table(run), not run.complaints
        if not is_smoke:
            control = chaos.control(scene)
            text += f" {chaos.told(control)}"
            is_as_promised &= control.lost > 0
    print(text, *run.complaints[:50], f"{time.monotonic() - began:.0f} s", sep="\n")
    if is_written:
        chaos.write(text)
    if not is_as_promised:
        sys.exit("Not all is as promised.")


if __name__ == "__main__":
    main()
