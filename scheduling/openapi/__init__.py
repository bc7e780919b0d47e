"""What /schema says of each endpoint: shapes, examples, refusals. It decides nothing."""

from . import auth, client, events, provider, sent, webhooks

__all__ = ["auth", "client", "events", "provider", "sent", "webhooks"]
