"""Tokens of machines: made and revoked by commands, kept as digests, good for one thing."""

import io
from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission, User
from django.core.management import CommandError, call_command

from scheduling.models import ServiceToken

from .callers import authorize

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def required(settings):
    settings.AUTHENTICATION = "required"


def create(name="cron", **options):
    printed = io.StringIO()
    call_command("create_service_token", name, stdout=printed, **{"scope": "expire"} | options)
    return printed.getvalue()


def sweep(api, token):
    authorize(api, token)
    return api.put("/provider/expiredReservations")


def test_it_prints_the_token_alone(api):
    printed = create()
    token = printed.removesuffix("\n")
    assert token.startswith("rst_")
    assert len(token) == 47
    assert len(token.split()) == 1
    assert sweep(api, token).status_code == 200


def test_the_token_is_not_kept(api):
    token = create().strip()
    [row] = ServiceToken.objects.values_list()
    assert not any(token.removeprefix("rst_") in str(value) for value in row)


def test_it_costs_one_statement_more(api, settings, django_assert_num_queries):
    authorize(api, create().strip())
    with django_assert_num_queries(2):
        api.put("/provider/expiredReservations")
    settings.AUTHENTICATION = "open"
    with django_assert_num_queries(1):
        api.put("/provider/expiredReservations")


@pytest.mark.parametrize(
    ("age", "status"),
    [(timedelta(days=90, seconds=-1), 200), (timedelta(days=90), 401)],
)
def test_it_ends_after_its_days(api, clock, age, status):
    token = create(days=90).strip()
    clock.shift(seconds=age.total_seconds())
    answer = sweep(api, token)
    assert answer.status_code == status
    if status == 401:
        assert answer.json()["code"] == "token_expired"


def test_one_made_for_something_else_does_not_sweep(api):
    answer = sweep(api, create(scope="events").strip())
    assert (answer.status_code, answer.json()["code"]) == (403, "not_permitted")


def test_a_revoked_one_is_refused_at_once(api):
    token, other = create("cron").strip(), create("other").strip()
    assert sweep(api, token).status_code == 200
    call_command("revoke_service_token", "cron", stdout=io.StringIO())
    answer = sweep(api, token)
    assert (answer.status_code, answer.json()["code"]) == (401, "token_invalid")
    assert sweep(api, other).status_code == 200
    with pytest.raises(CommandError, match="no such service token"):
        call_command("revoke_service_token", "cron", stdout=io.StringIO())


def test_a_name_is_used_once(api):
    token = create("cron").strip()
    with pytest.raises(CommandError, match="of this name"):
        create("cron")
    assert sweep(api, token).status_code == 200
    assert ServiceToken.objects.count() == 1


@pytest.mark.parametrize("name", ["", "  ", "x" * 101, "a\nb", "a\x00b"])
def test_a_name_that_is_none_is_refused(name):
    with pytest.raises(CommandError, match="name"):
        create(name)


@pytest.mark.parametrize(
    "days", ["0", "-1", "1.5", "many", "3651", "9" * 50, "", "003650999", "\u0661"]
)
def test_days_that_are_none_are_refused(days):
    with pytest.raises(CommandError, match="days"):
        call_command("create_service_token", "cron", "--scope", "expire", "--days", days)
    assert not ServiceToken.objects.exists()


def test_a_scope_that_is_none_is_refused():
    with pytest.raises(CommandError, match="scope"):
        call_command("create_service_token", "cron", "--scope", "everything")


def test_who_may_only_look_revokes_none(api, client):
    token = create("cron").strip()
    viewer = User.objects.create(username="viewer", is_staff=True)
    viewer.user_permissions.add(Permission.objects.get(codename="view_servicetoken"))
    client.force_login(viewer)
    revoke = {"action": "revoke", "_selected_action": [ServiceToken.objects.get().pk]}
    assert client.get("/admin/scheduling/servicetoken/").status_code == 200
    client.post("/admin/scheduling/servicetoken/", revoke)
    assert sweep(api, token).status_code == 200


def test_an_operator_sees_and_revokes_it_in_the_admin(api, admin_client):
    token = create("cron").strip()
    [row] = ServiceToken.objects.all()
    page = admin_client.get(f"/admin/scheduling/servicetoken/{row.pk}/change/").content.decode()
    assert "cron" in page
    assert row.digest not in page
    admin_client.post(
        "/admin/scheduling/servicetoken/", {"action": "revoke", "_selected_action": [row.pk]}
    )
    assert sweep(api, token).status_code == 401
