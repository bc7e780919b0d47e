"""/webhooks."""

from django.http import HttpResponse
from rest_framework.request import Request

from scheduling import authentication, idempotency, openapi, permissions
from scheduling import webhooks as hooks
from scheduling.models import Reservation, Webhook
from scheduling.serializers import (
    DeliveriesQuery,
    ReplayInput,
    WebhookChangeInput,
    WebhookInput,
    WebhookQuery,
    WebhooksQuery,
)
from scheduling.shapes import delivery_shape, webhook_shape
from scheduling.wire import Response

from . import answering
from .endpoint import endpoint

Party = Reservation.Party


@openapi.webhooks.create
@openapi.webhooks.list_webhooks
@openapi.webhooks.change
@openapi.webhooks.delete
@endpoint(["POST", "GET", "HEAD", "PUT", "DELETE"])
def webhooks(request: Request) -> HttpResponse:
    if request.method == "POST":
        return _create_webhook(request)
    if request.method in ("GET", "HEAD"):
        return _list_webhooks(request)
    return _change_webhook(request) if request.method == "PUT" else _delete_webhook(request)


@openapi.webhooks.rotate_secret
@endpoint(["PUT"])
def webhook_secret(request: Request) -> Response:
    asked = WebhookQuery.read(request.data)
    return _with_secret(
        hooks.rotate_secret(provider_id=_own_provider(request), **asked), status=200
    )


@openapi.webhooks.test
@endpoint(["POST"])
@idempotency.once
def test_webhook(request: Request) -> Response:
    asked = WebhookQuery.read(request.data)
    delivery = hooks.test(provider_id=_own_provider(request), **asked)
    return Response({"delivery": delivery_shape(delivery)}, status=202)


@openapi.webhooks.list_deliveries
@endpoint(["GET", "HEAD"])
def webhook_deliveries(request: Request) -> Response:
    query = DeliveriesQuery.read(request.query_params.dict())
    [goes_on_at] = query.pop("cursor") or (None,)
    page = hooks.list_deliveries(provider_id=_own_provider(request), **query, goes_on_at=goes_on_at)
    shapes = [delivery_shape(delivery) for delivery in page.rows]
    return answering.page(request, {"deliveries": shapes}, page.goes_on_at)


@openapi.webhooks.replay
@endpoint(["POST"])
@idempotency.once
def replay_webhook(request: Request) -> Response:
    asked = ReplayInput.read(request.data)
    return Response(
        {"replayed": hooks.replay(provider_id=_own_provider(request), **asked)}, status=202
    )


def _create_webhook(request: Request) -> Response:
    """Not `once`, as a rotation is not: their answers would be stored, and with them the secret."""
    asked = WebhookInput.read(request.data)
    caller = authentication.caller_of(request)
    webhook = hooks.create(
        provider_id=permissions.acting_as(request, Party.PROVIDER, asked["provider_id"]),
        owner_id=caller.user_id if caller else None,
        url=asked["url"],
        kinds=asked["events"],
    )
    return _with_secret(webhook, status=201)


def _with_secret(webhook: Webhook, status: int) -> Response:
    return Response(
        {"webhook": webhook_shape(webhook), "secret": webhook.secret},
        status=status,
        headers={"Cache-Control": "no-store"},
    )


def _list_webhooks(request: Request) -> Response:
    query = WebhooksQuery.read(request.query_params.dict())
    [goes_on_at] = query["cursor"] or (0,)
    page = hooks.list_webhooks(
        provider_id=permissions.acting_as(request, Party.PROVIDER, query["provider_id"]),
        goes_on_at=goes_on_at,
        limit=query["limit"],
    )
    shapes = [webhook_shape(webhook) for webhook in page.rows]
    return answering.page(request, {"webhooks": shapes}, page.goes_on_at)


@idempotency.once
def _change_webhook(request: Request) -> Response:
    changes = WebhookChangeInput.read(request.data)
    webhook_id = changes.pop("webhook_id")
    if "events" in changes:
        changes["kinds"] = changes.pop("events")
    webhook = hooks.change(
        provider_id=_own_provider(request), webhook_id=webhook_id, changes=changes
    )
    return Response({"webhook": webhook_shape(webhook)})


@idempotency.once
def _delete_webhook(request: Request) -> Response:
    asked = WebhookQuery.read(request.data or request.query_params.dict())
    hooks.delete(provider_id=_own_provider(request), **asked)
    return Response(status=204)


def _own_provider(request: Request) -> int | None:
    """Whose webhooks the caller has to do with; None: anyone's, of staff and on an open service."""
    return permissions.acting_as(request, Party.PROVIDER, None)
