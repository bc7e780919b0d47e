"""Under /auth."""

from rest_framework import exceptions

from scheduling import errors
from scheduling.serializers import RefreshInput, SignInInput

from .answers import ACCOUNT, Tokens
from .operation import operation

PAIR = {"access": "eyJhbGciOi...", "refresh": "eyJhbGciOi..."}

sign_in = operation(
    "signIn",
    "Sign in: e-mail address and password for an access and a refresh token.",
    tag="auth",
    request=SignInInput,
    requests={"request": ACCOUNT},
    answer=Tokens,
    example=PAIR,
    refusals=(errors.WrongCredentials, errors.TooManyAttempts, exceptions.Throttled),
    by_the_table=False,
)

refresh = operation(
    "refreshTokens",
    "Spend a refresh token for a new pair.",
    description="Each is good once. Whoever sends a spent one ends the sign-in it belongs to.",
    tag="auth",
    request=RefreshInput,
    requests={"request": {"refresh": PAIR["refresh"]}},
    answer=Tokens,
    example=PAIR,
    refusals=(errors.TokenInvalid, errors.TokenExpired),
    by_the_table=False,
)

sign_out = operation(
    "signOut",
    "Sign out: end the sign-in that this refresh token belongs to.",
    description="An access token that is about already is good until it ends.",
    tag="auth",
    request=RefreshInput,
    requests={"request": {"refresh": PAIR["refresh"]}},
    status=204,
    answer=None,
    example=None,
    refusals=(errors.TokenInvalid, errors.TokenExpired),
    by_the_table=False,
)
