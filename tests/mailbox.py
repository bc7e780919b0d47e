"""A mail server on this machine: it keeps what it takes, and refuses whom it is told to."""

import email
import email.policy
import logging

from aiosmtpd.controller import Controller

from .database import free_port


class Mailbox:
    def __init__(self):
        self.envelopes = []
        self.refused = {}  # addresses, and what they are answered
        self._server = Controller(self, hostname="127.0.0.1", port=free_port())

    @property
    def port(self):
        return self._server.port

    @property
    def messages(self):
        return [
            email.message_from_bytes(envelope.content, policy=email.policy.default)
            for envelope in self.envelopes
        ]

    def told(self):
        """Who was told what: each address with the subject up to its colon."""
        return [(message["To"], message["Subject"].partition(": ")[0]) for message in self.messages]

    async def handle_RCPT(self, server, session, envelope, address, options):  # noqa: N802  aiosmtpd's name
        if answer := self.refused.get(address):
            return answer
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):  # noqa: N802
        self.envelopes.append(envelope)
        return "250 OK"

    def __enter__(self):
        logging.getLogger("mail.log").setLevel(logging.WARNING)  # its own, which names everybody
        self._server.start()
        return self

    def __exit__(self, *_):
        self._server.stop()
