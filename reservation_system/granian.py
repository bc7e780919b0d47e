"""The application server, with a folder for the counts of its workers that goes when it ends."""

import os
import shutil

from granian.cli import entrypoint

from .environment import new_folder_for_counts


def main() -> None:
    folder = new_folder_for_counts()
    # scheduling/metrics.py is for the workers to import: they count, this process does not.
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
    try:
        entrypoint()  # type: ignore[no-untyped-call]
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
