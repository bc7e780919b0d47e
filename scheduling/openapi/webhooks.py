"""/webhooks."""

from drf_spectacular.utils import inline_serializer
from rest_framework import serializers

from scheduling import errors
from scheduling.serializers import (
    DeliveriesQuery,
    ReplayInput,
    WebhookChangeInput,
    WebhookInput,
    WebhookQuery,
    WebhooksQuery,
)

from .answers import Delivery, Webhook
from .operation import operation

EXAMPLE = {
    **{"webhook_id": 1, "provider_id": 1, "url": "https://example.org/hooks/reservations"},
    **{"events": ["reservation.confirmed", "reservation.cancelled"], "is_enabled": True},
    **{"disabled_because": None, "disabled_at": None, "created_at": "2026-12-28T09:00:00Z"},
}
SECRET = {"secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}
DELIVERY = {
    **{"delivery_id": 1, "message_id": "msg_5d3f0c1e9a6b4c0f8f2d7b1a3c5e7f90"},
    **{"event": "reservation.confirmed", "event_id": 2, "reservation_id": 1},
    **{"status": "delivered", "created_at": "2026-12-28T09:00:02Z", "next_attempt_at": None},
    "finished_at": "2026-12-28T09:00:02Z",
    "attempts": [
        {
            **{"attempted_at": "2026-12-28T09:00:02Z", "milliseconds": 87, "status": 200},
            **{"failure": None, "detail": None, "body": "ok"},
        }
    ],
}
ABOUT_SECRETS = "Shown only now. An Idempotency-Key has no effect, as its answer is not stored."
WITH_SECRET = inline_serializer(
    "WebhookAndSecretAnswer", {"webhook": Webhook(), "secret": serializers.CharField()}
)
ONE_DELIVERY = inline_serializer("DeliveryAnswer", {"delivery": Delivery()})

create = operation(
    "createWebhook",
    "Have an address told of events.",
    method="POST",
    description=(
        "By the Standard Webhooks specification: signed with the secret, at least once, in order "
        "for each reservation, retried for three days. A provider's own events; without "
        f"`provider_id`, everybody's for staff. {ABOUT_SECRETS}"
    ),
    tag="webhooks",
    request=WebhookInput,
    requests={"request": {name: EXAMPLE[name] for name in ("provider_id", "url", "events")}},
    status=201,
    answer=WITH_SECRET,
    example={"webhook": EXAMPLE, **SECRET},
    refusals=(errors.ProviderNotFound, errors.TooManyWebhooks),
    stores_answer=False,
)

list_webhooks = operation(
    "listWebhooks",
    "A provider's webhooks; all of them for staff.",
    method="GET",
    tag="webhooks",
    query=WebhooksQuery,
    answer=inline_serializer("WebhooksAnswer", {"webhooks": Webhook(many=True)}),
    example={"webhooks": [EXAMPLE]},
    is_paged=True,
)

change = operation(
    "changeWebhook",
    "Change, disable or enable a webhook: what is given.",
    method="PUT",
    description="Enabled again, it is sent what it was being sent, and not what happened since.",
    tag="webhooks",
    request=WebhookChangeInput,
    requests={"request": {"webhook_id": 1, "events": ["reservation.expired"]}},
    answer=inline_serializer("WebhookAnswer", {"webhook": Webhook()}),
    example={"webhook": EXAMPLE | {"events": ["reservation.expired"]}},
    refusals=(errors.WebhookNotFound,),
)

delete = operation(
    "deleteWebhook",
    "Delete a webhook, and what is known of its deliveries.",
    method="DELETE",
    description="The same member is taken from a JSON body too.",
    tag="webhooks",
    query=WebhookQuery,
    status=204,
    answer=None,
    example=None,
    refusals=(errors.WebhookNotFound,),
)

rotate_secret = operation(
    "rotateWebhookSecret",
    "Make a new secret.",
    description=f"For 24 hours the former one signs as well. {ABOUT_SECRETS}",
    tag="webhooks",
    request=WebhookQuery,
    requests={"request": {"webhook_id": 1}},
    answer=WITH_SECRET,
    example={"webhook": EXAMPLE, **SECRET},
    refusals=(errors.WebhookNotFound,),
    stores_answer=False,
)

test = operation(
    "testWebhook",
    "Have a webhook sent a message of the type `webhook.test`.",
    description="It is sent like any other; look at the deliveries for what came of it.",
    tag="webhooks",
    request=WebhookQuery,
    requests={"request": {"webhook_id": 1}},
    status=202,
    answer=ONE_DELIVERY,
    example={
        "delivery": {
            **DELIVERY,
            **{"event": "webhook.test", "event_id": None, "reservation_id": None},
            **{"status": "pending", "next_attempt_at": DELIVERY["created_at"]},
            **{"finished_at": None, "attempts": []},
        }
    },
    refusals=(errors.WebhookNotFound, errors.WebhookDisabled),
)

list_deliveries = operation(
    "listDeliveries",
    "What a webhook was sent, newest first, with every attempt.",
    description="What is finished is kept for 30 days.",
    tag="webhooks",
    query=DeliveriesQuery,
    answer=inline_serializer("DeliveriesAnswer", {"deliveries": Delivery(many=True)}),
    example={"deliveries": [DELIVERY]},
    refusals=(errors.WebhookNotFound,),
    is_paged=True,
)

replay = operation(
    "replayDeliveries",
    "Send a delivery anew; without `delivery_id`, all that failed.",
    description="Under the same `webhook-id`, whatever became of it.",
    tag="webhooks",
    request=ReplayInput,
    requests={"request": {"webhook_id": 1, "delivery_id": 1}},
    status=202,
    answer=inline_serializer("ReplayedAnswer", {"replayed": serializers.IntegerField()}),
    example={"replayed": 1},
    refusals=(errors.WebhookNotFound, errors.WebhookDisabled, errors.DeliveryNotFound),
)
