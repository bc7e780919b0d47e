"""A process that makes requests and is killed amid them: the nth after its nth SQL statement.

It reads one request from each line of JSON, and writes a line for each: "killed", or the answer's
status.
"""

import json
import os
import signal
import sys

import django
from django.db import connection
from django.test import Client


def main():
    django.setup()
    service = Client(SERVER_NAME="localhost")
    service.get("/healthz")  # what is loaded with the first request, is loaded once
    for nth, line in enumerate(sys.stdin, start=1):
        # A process for each: no connection is open yet that they would share.
        child = os.fork()
        if not child:
            die_amid(service, json.loads(line), nth)
        os.waitpid(child, 0)


def die_amid(service, request, nth):
    def step():
        nonlocal nth
        nth -= 1
        if nth == 0:
            write("killed")
            os.kill(os.getpid(), signal.SIGKILL)

    def wrapper(execute, *args):
        result = execute(*args)
        step()
        return result

    try:
        with connection.execute_wrapper(wrapper):
            answer = service.generic(**request)
            step()  # it is answered, but nobody has the answer
        write(str(answer.status_code))
    finally:
        os._exit(0)


def write(line):
    os.write(1, f"{line}\n".encode())


if __name__ == "__main__":
    main()
