"""Callers of each kind: they sign in as people do, and send their token from then on."""

from scheduling import accounts

from .factories import make_account


def signed_in(api, **account):
    """An account made with these fields; `api` acts as it. Costs no password hashed."""
    user = make_account(**account)
    authorize(api, accounts.start_session(user=user).access)
    return user


def staff(api):
    return signed_in(api, email="staff@example.org", is_staff=True)


def service(api, scope="expire"):
    authorize(api, accounts.create_service_token(name="cron", scope=scope, days=90))


def authorize(api, token):
    api.credentials(HTTP_AUTHORIZATION=f"Bearer {token}")
