"""Processes that archive in batches of two and are killed: after their nth SQL statement on either
database, or after so many seconds.

It reads one way to die from each line, such as `7` or `0.05`, and writes how that ended.
"""

import os
import signal
import sys
import threading
import time
from contextlib import ExitStack
from datetime import timedelta
from importlib import import_module

import django
from django.db import connections

BATCH = 2


def main():
    django.setup()
    archive = import_module("analytics.archive")
    archive.BATCH = BATCH
    for line in sys.stdin:
        # A process for each: no connection is open yet that they would share.
        child = os.fork()
        if not child:
            run(archive, line.strip())
        _, status = os.waitpid(child, 0)
        fate = "killed" if os.WIFSIGNALED(status) else "failed" if status else "done"
        os.write(1, f"{fate}\n".encode())


def run(archive, line):
    if "." in line:
        threading.Thread(target=die_after, args=(float(line),), daemon=True).start()
    left = int(line) if "." not in line else -1

    def step(execute, *args):
        nonlocal left
        result = execute(*args)
        left -= 1
        if left == 0:
            die()
        return result

    try:
        with ExitStack() as stack:
            for connection in connections.all():
                stack.enter_context(connection.execute_wrapper(step))
            archive.archive(older_than=timedelta(days=180))
        os._exit(0)
    finally:
        os._exit(1)


def die_after(seconds):
    time.sleep(seconds)
    die()


def die():
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main()
