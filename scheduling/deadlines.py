"""The deadlines of holds, told to the broker: each comes back as a task when its hold has run out.

Nobody waits for the broker. A view leaves the id with its process, where one thread publishes;
while the broker is away, slow or full, ids wait, then are dropped, and the sweep finds the holds.
"""

import logging
import os
import queue
import threading
import time
import uuid
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils.module_loading import import_string

from . import metrics

logger = logging.getLogger(__name__)

EXPIRE_HOLD = "scheduling.tasks.expire_hold"
ROOM = 10_000  # ids that wait in a process
BATCH = 100  # messages that are confirmed together
PATIENCE = 10.0  # seconds in which the broker has to answer
SHORTEST_PAUSE, LONGEST_PAUSE = 0.5, 30.0  # seconds after a failure


def announce(reservation_id: int) -> None:
    """Once the reserve has committed, have the hold expired at its deadline. Does not wait."""
    if settings.BROKER_URL:
        transaction.on_commit(lambda: _publisher.put(reservation_id), robust=True)


class QueueFull(Exception):
    pass


class Publisher:
    """Ids that wait, and the thread that publishes them; it starts with the first."""

    def __init__(self) -> None:
        self._waiting: queue.Queue[int] = queue.Queue(ROOM)
        self._batch: list[int] = []
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._is_failing = False

    def put(self, reservation_id: int) -> None:
        try:
            self._waiting.put_nowait(reservation_id)
            metrics.DEADLINES_WAITING.inc()
        except queue.Full:
            self._stopped("more are waiting than there is room for")
        if self._thread is None:
            with self._lock:
                if self._thread is None:
                    self._thread = threading.Thread(target=self._run, name="deadlines", daemon=True)
                    self._thread.start()

    def _run(self) -> None:
        pause = SHORTEST_PAUSE
        while True:
            self._take_batch()
            try:
                # Not before it is needed: without a broker nothing of Celery is imported.
                app = import_string(settings.CELERY_APP)
                with _connection(app) as connection:
                    channel = Channel(app, connection)
                    while True:
                        self._take_batch()
                        refused = channel.publish(self._batch)
                        metrics.DEADLINES_WAITING.dec(len(self._batch))
                        self._batch = []
                        if refused:
                            raise QueueFull(f"the queue refused {refused} messages")
                        pause = SHORTEST_PAUSE
                        if self._waiting.empty():
                            self._works()
            except QueueFull as failure:
                # What is let in meanwhile and what is refused would alternate in the log.
                self._stopped(str(failure))
                time.sleep(LONGEST_PAUSE)
            except Exception as failure:  # a thread that ends unnoticed would publish nothing more
                self._stopped(f"{type(failure).__name__}: {failure}")
                time.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)

    def _take_batch(self) -> None:
        """What was not confirmed stays in it: published twice, it has no effect twice."""
        if not self._batch:
            self._batch.append(self._waiting.get())
        while len(self._batch) < BATCH:
            try:
                self._batch.append(self._waiting.get_nowait())
            except queue.Empty:
                return

    def _stopped(self, reason: str) -> None:
        with self._lock:
            if not self._is_failing:
                self._is_failing = True
                metrics.DEADLINES_FAILING.set(1)
                logger.error("deadlines not published", extra={"reason": reason})

    def _works(self) -> None:
        with self._lock:
            if self._is_failing:
                self._is_failing = False
                metrics.DEADLINES_FAILING.set(0)
                logger.info("deadlines published again")


class Channel:
    """The two queues, declared, and publishing to the first of them with confirms."""

    def __init__(self, app: Any, connection: Any) -> None:
        self._app = app
        self._channel = connection.channel()
        self._declare()
        self._channel.confirm_select()
        self._channel.events["basic_ack"].add(self._on_ack)
        self._channel.events["basic_nack"].add(self._on_nack)
        self._producer = self._app.amqp.Producer(self._channel, auto_declare=False)
        self._last = 0
        self._unanswered: set[int] = set()
        self._refused = 0

    def publish(self, reservation_ids: list[int]) -> int:
        """Returns how many the queue refused."""
        self._refused = 0
        for reservation_id in reservation_ids:
            message = self._app.amqp.create_task_message(
                str(uuid.uuid4()), EXPIRE_HOLD, [reservation_id], ignore_result=True
            )
            self._last += 1
            self._unanswered.add(self._last)
            self._producer.publish(
                message.body,
                exchange="",
                routing_key=delay_queue(),
                headers=message.headers,
                delivery_mode="persistent",
                **message.properties,
            )
        until = time.monotonic() + PATIENCE
        while self._unanswered:
            self._channel.connection.drain_events(timeout=max(0.001, until - time.monotonic()))
        return self._refused

    def _declare(self) -> None:
        destination = self._app.amqp.default_queue
        destination.bind(self._channel).declare()
        self._channel.queue_declare(
            delay_queue(),
            durable=True,
            auto_delete=False,
            arguments={
                "x-queue-type": "quorum",
                "x-message-ttl": settings.HOLD // timedelta(milliseconds=1),
                "x-dead-letter-exchange": "",
                "x-dead-letter-routing-key": destination.name,
                # A message leaves this queue once it is in the other, and not before.
                "x-dead-letter-strategy": "at-least-once",
                "x-overflow": "reject-publish",
            },
        )

    def _on_ack(self, tag: int, multiple: bool) -> None:
        self._answered(tag, multiple)

    def _on_nack(self, tag: int, multiple: bool) -> None:
        self._refused += self._answered(tag, multiple)

    def _answered(self, tag: int, multiple: bool) -> int:
        found = {one for one in self._unanswered if one == tag or (multiple and one < tag)}
        self._unanswered -= found
        return len(found)


def _connection(app: Any) -> Any:
    connection = app.connection_for_write(
        connect_timeout=PATIENCE,
        transport_options={"read_timeout": PATIENCE, "write_timeout": PATIENCE},
    )
    connection.connect()
    return connection


def delay_queue() -> str:
    """Named after its time to live: with another HOLD_SECONDS it is another queue."""
    return f"holds.{settings.HOLD // timedelta(milliseconds=1)}"


_publisher = Publisher()


def _start_anew() -> None:
    """A forked process has no thread, and perhaps a lock that nobody will release."""
    global _publisher
    _publisher = Publisher()


os.register_at_fork(after_in_child=_start_anew)
