"""/events."""

from rest_framework.request import Request

from scheduling import history, openapi, permissions
from scheduling.fields import CursorField
from scheduling.serializers import EventsQuery
from scheduling.shapes import event_shape
from scheduling.wire import Response

from .endpoint import endpoint


@openapi.events.events
@endpoint(["GET", "HEAD"])
def events(request: Request) -> Response:
    query = EventsQuery.read(request.query_params.dict())
    provider_id, client_id = permissions.whose(
        request, provider_id=query.pop("provider_id"), client_id=query.pop("client_id")
    )
    page = history.events(**query, provider_id=provider_id, client_id=client_id)
    position = CursorField.encode(*page.position) if page.position else None
    return Response(
        {
            "events": [event_shape(event) for event in page.events],
            "after": position,
            "has_more": page.has_more,
        }
    )
