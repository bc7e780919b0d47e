"""The application server: it drains before it stops, and has a folder for what its workers share
that goes when it ends."""

import logging
import os
import shutil
import signal
import threading
from datetime import timedelta
from typing import Any

from django.conf import settings
from granian import Granian, cli
from granian.log import logger

from . import draining
from .environment import new_folder_for_counts


class Instance(Granian):  # type: ignore[misc, valid-type]
    """On the first SIGTERM it drains, where that is asked for; else, and after that, it stops."""

    drain = timedelta(0)

    def signal_handler_interrupt(self, *signal_and_frame: Any) -> None:
        stop = super().signal_handler_interrupt
        is_asked_for = self.drain and signal_and_frame[0] == signal.SIGTERM
        if not is_asked_for or draining.has_begun():
            stop()
            return
        draining.begin()
        timer = threading.Timer(self.drain.total_seconds(), stop)
        timer.daemon = True
        timer.start()


def main() -> None:
    logger.addFilter(is_no_advice)
    folder = new_folder_for_counts()
    os.environ[draining.FILE] = f"{folder}/draining"
    # scheduling/metrics.py is for the workers to import: they count, this process does not.
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = os.environ.get("PROMETHEUS_MULTIPROC_DIR") or folder
    # Read now: when it stops, another release may lie on the disk.
    Instance.drain = settings.DRAIN
    # Its command line makes one of these, and leaves no other way in.
    cli.Server = Instance  # type: ignore[attr-defined]
    try:
        cli.entrypoint()  # type: ignore[no-untyped-call]
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def is_no_advice(record: logging.LogRecord) -> bool:
    """It finds our threads many for so few cores; most of them wait (admission.py)."""
    return "Python threads" not in record.getMessage()


if __name__ == "__main__":
    main()
