"""The application server, with a folder for the counts of its workers that goes when it ends, where
PROMETHEUS_MULTIPROC_DIR names none that stays."""

import logging
import os
import shutil

from granian.cli import entrypoint
from granian.log import logger

from .environment import new_folder_for_counts


def main() -> None:
    logger.addFilter(is_no_advice)
    if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        entrypoint()  # type: ignore[no-untyped-call]
        return
    folder = new_folder_for_counts()
    # scheduling/metrics.py is for the workers to import: they count, this process does not.
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
    try:
        entrypoint()  # type: ignore[no-untyped-call]
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def is_no_advice(record: logging.LogRecord) -> bool:
    """It finds our threads many for so few cores; most of them wait (admission.py)."""
    return "Python threads" not in record.getMessage()


if __name__ == "__main__":
    main()
