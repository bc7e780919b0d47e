"""Under /auth."""

from rest_framework.decorators import authentication_classes, permission_classes
from rest_framework.request import Request

from scheduling import accounts, authentication, openapi, permissions
from scheduling.serializers import RefreshInput, SignInInput
from scheduling.shapes import pair_shape
from scheduling.wire import Response

from .endpoint import endpoint


@openapi.auth.sign_in
@endpoint(["POST"])
@authentication_classes([])
@permission_classes([permissions.WhereAccountsAreOurs])
def sign_in(request: Request) -> Response:
    given = SignInInput.read(request.data)
    user = authentication.sign_in(request, **given)
    return _tokens(accounts.start_session(user=user))


@openapi.auth.refresh
@endpoint(["POST"])
@authentication_classes([])
@permission_classes([permissions.WhereAccountsAreOurs])
def refresh(request: Request) -> Response:
    given = RefreshInput.read(request.data)
    return _tokens(accounts.refresh(token=given["refresh"]))


@openapi.auth.sign_out
@endpoint(["POST"])
@authentication_classes([])
@permission_classes([permissions.WhereAccountsAreOurs])
def sign_out(request: Request) -> Response:
    given = RefreshInput.read(request.data)
    accounts.sign_out(token=given["refresh"])
    return Response(status=204)


def _tokens(pair: accounts.Pair) -> Response:
    # RFC 6749, 5.1: tokens are for the caller alone.
    return Response(pair_shape(pair), headers={"Cache-Control": "no-store"})
