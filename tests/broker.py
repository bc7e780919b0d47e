"""A virtual host of the RabbitMQ on this machine, for one test.

TEST_BROKER_URL names the RabbitMQ, RABBITMQ_NODENAME the same one to rabbitmqctl.
"""

import json
import os
import subprocess
import uuid

import amqp

RABBITMQ = os.environ.get("TEST_BROKER_URL", "amqp://guest:guest@127.0.0.1:5672")


class Broker:
    def __init__(self):
        self.virtual_host = f"test_{uuid.uuid4().hex}"
        self.url = f"{RABBITMQ}/{self.virtual_host}"

    def queues(self):
        """What RabbitMQ itself says of each queue, by name."""
        told = self._rabbitmqctl(
            *("list_queues", "name", "durable", "arguments", "--formatter=json"), here=True
        )
        return {
            queue["name"]: {
                "durable": queue["durable"],
                "arguments": {name: value for name, *_, value in queue["arguments"]},
            }
            for queue in json.loads(told)
        }

    def version(self):
        with self.connect() as connection:
            return connection.server_properties["version"]

    def count(self, queue):
        """How many messages wait in it; None where there is no such queue."""
        try:
            with self.connect() as connection:
                return connection.channel().queue_declare(queue, passive=True).message_count
        except amqp.NotFound:
            return None

    def limit(self, queues, length):
        rule = json.dumps({"max-length": length})
        self._rabbitmqctl("set_policy", "--apply-to=queues", "small", queues, rule, here=True)

    def close_connections(self):
        self._rabbitmqctl("close_all_connections", "--vhost", self.virtual_host, "for a test")

    def connect(self):
        user, _, address = RABBITMQ.removeprefix("amqp://").rpartition("@")
        name, _, password = user.partition(":")
        return amqp.Connection(
            address, userid=name, password=password, virtual_host=self.virtual_host
        )

    def _rabbitmqctl(self, command, *arguments, here=False):
        where = ["-p", self.virtual_host] if here else []
        return subprocess.run(
            ["rabbitmqctl", "--quiet", command, *where, *arguments],
            check=True,
            capture_output=True,
            text=True,
            timeout=60,
        ).stdout

    def __enter__(self):
        user = RABBITMQ.removeprefix("amqp://").partition(":")[0]
        self._rabbitmqctl("add_vhost", self.virtual_host)
        self._rabbitmqctl("set_permissions", user, ".*", ".*", ".*", here=True)
        return self

    def __exit__(self, *_):
        self._rabbitmqctl("delete_vhost", self.virtual_host)
