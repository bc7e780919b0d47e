"""Structured logs: one object a line, each with the id of the request it belongs to."""

import logging
import re
from contextvars import ContextVar
from typing import Any

from pythonjsonlogger.core import RESERVED_ATTRS
from pythonjsonlogger.orjson import OrjsonFormatter

# What no line of ours shows need not be looked up for each: a third of its cost. As the library's
# documentation has it, https://docs.python.org/3/howto/logging.html#optimization.
logging._srcfile = None
logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False

# PostgreSQL quotes the whole row that a constraint refused: names and addresses of people.
QUOTED_ROW = re.compile(r"^(DETAIL: +)(?:Failing row contains|Key ).*", re.MULTILINE)

request_id: ContextVar[str] = ContextVar("request_id", default="-")


class AddRequestID(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        record.request_id = request_id.get()
        return True


class WithoutRows(logging.Formatter):
    def formatException(self, ei: Any) -> str:  # noqa: N802  the library's name
        return QUOTED_ROW.sub(r"\1the row is not logged", super().formatException(ei))


class Text(WithoutRows):
    """For people in front of a terminal: the same, with what is attached behind the message."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s [%(request_id)s] %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  the library's name
        known = {*RESERVED_ATTRS, "request_id", "request", "asctime", "message"}
        attached = [f"{name}={value}" for name, value in vars(record).items() if name not in known]
        return " ".join([super().formatMessage(record), *attached])


class JSON(WithoutRows, OrjsonFormatter):
    def __init__(self) -> None:
        super().__init__(
            "%(levelname)s %(name)s %(message)s %(request_id)s",
            rename_fields={"levelname": "level", "name": "logger"},
            timestamp=True,
        )

    def process_log_record(self, log_data: dict[str, Any]) -> dict[str, Any]:
        # Django attaches the whole request to some records; it says nothing a line should hold.
        log_data.pop("request", None)
        return super().process_log_record(log_data)
