"""An instance that is to stop says so at /readyz first, while it still answers everything: whoever
shares the calls out sends them elsewhere, and none is lost."""

import os
from pathlib import Path

# In the environment: the file that is there once this has begun. A signal would not reach the
# worker that takes another's place meanwhile.
FILE = "RESERVATIONS_DRAINING_FILE"


def begin() -> None:
    Path(os.environ[FILE]).touch()


def has_begun() -> bool:
    return os.path.exists(os.environ.get(FILE, ""))
