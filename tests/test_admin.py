"""The admin: operators look things up, quickly, and correct people's names only."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from scheduling.models import Provider, Reservation, Timeslot

from .factories import make_account, make_client, make_hold, make_provider, make_timeslot

TABLES = ["provider", "client", "timeslot", "reservation"]
READ_ONLY = ["timeslot", "reservation"]


def make_rows(count):
    for nth in range(count):
        hold = make_hold(make_timeslot(starts_in=timedelta(days=2 + nth)))
    return {
        "provider": hold.provider_id,
        "client": hold.client_id,
        "timeslot": hold.timeslot_id,
        "reservation": hold.pk,
    }


@pytest.mark.parametrize("page", ["", "?q=Ada", "?q=1", "?o=1", "?p=1"])
@pytest.mark.parametrize("table", TABLES)
def test_a_list_costs_the_same_statements_however_many_rows(admin_client, table, page):
    counts = []
    # The first page of a process also learns the content types.
    admin_client.get(f"/admin/scheduling/{table}/")
    for rows in (2, 9):
        make_rows(rows)
        with CaptureQueriesContext(connection) as statements:
            assert admin_client.get(f"/admin/scheduling/{table}/{page}").status_code == 200
        counts.append(len(statements))
    assert counts[0] == counts[1] < 10


@pytest.mark.parametrize("table", TABLES)
def test_a_detail_page_costs_the_same_statements_however_many_rows(admin_client, table):
    counts = []
    # The first page of a process also learns the content types.
    admin_client.get(f"/admin/scheduling/{table}/{make_rows(1)[table]}/change/")
    for rows in (2, 9):
        pk = make_rows(rows)[table]
        with CaptureQueriesContext(connection) as statements:
            answer = admin_client.get(f"/admin/scheduling/{table}/{pk}/change/")
        assert answer.status_code == 200
        counts.append(len(statements))
    assert counts[0] == counts[1] < 12


def test_a_reservation_is_found_by_ids_names_and_status(admin_client):
    pk = make_rows(1)["reservation"]
    hold = Reservation.objects.get(pk=pk)
    make_hold(
        make_timeslot(make_provider("Grace", "Hopper"), starts_in=timedelta(days=9)),
        make_client("Emmy", "Noether"),
        status="confirmed",
    )
    for query in (f"q={pk}", "q=Turing", "q=Lovelace", "status__exact=held", "q=alan+turing"):
        page = admin_client.get(f"/admin/scheduling/reservation/?{query}").content.decode()
        assert f"/admin/scheduling/reservation/{hold.pk}/change/" in page, query
        if not query.startswith(f"q={pk}"):
            assert "Noether" not in page, query


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize(
    "page",
    [
        f"?q={'9' * 40}",
        "?q=%00",
        "?q=%F0%9F%92%A9",
        "?p=999",
        "?p=x",
        "?o=99",
        "?nothing=1",
        "?id__exact=x",
        f"?id__exact={'9' * 40}",
        "?start_time__gte=soon",
        f"{2**63}/change/",
        "0/change/",
        "x/change/",
        "%00/change/",
    ],
)
def test_no_address_breaks_it(admin_client, table, page):
    admin_client.raise_request_exception = False
    make_rows(1)
    assert admin_client.get(f"/admin/scheduling/{table}/{page}").status_code < 500


@pytest.mark.parametrize("table", READ_ONLY)
def test_timeslots_and_reservations_are_read_only(admin_client, table):
    pk = make_rows(2)[table]
    before = [list(model.objects.values_list()) for model in (Timeslot, Reservation)]
    change = {"status": "confirmed", "start_time_0": "2030-01-01", "start_time_1": "10:00"}
    refused = [
        admin_client.post(f"/admin/scheduling/{table}/{pk}/change/", change),
        admin_client.post(f"/admin/scheduling/{table}/{pk}/delete/", {"post": "yes"}),
        admin_client.get(f"/admin/scheduling/{table}/{pk}/delete/"),
        admin_client.post(f"/admin/scheduling/{table}/add/", change),
        admin_client.get(f"/admin/scheduling/{table}/add/"),
    ]
    assert [answer.status_code for answer in refused] == [403] * 5
    assert {answer.json()["code"] for answer in refused} == {"not_permitted"}
    admin_client.post(
        f"/admin/scheduling/{table}/",
        {"action": "delete_selected", "_selected_action": [pk], "post": "yes"},
    )
    assert [list(model.objects.values_list()) for model in (Timeslot, Reservation)] == before


def test_a_name_can_be_corrected_and_a_person_not_deleted(admin_client):
    provider = make_provider("Ada", "Lovelase")
    page = f"/admin/scheduling/provider/{provider.pk}/"
    names = {"first_name": "Ada", "last_name": "Lovelace", "time_zone": "Asia/Tokyo"}
    assert admin_client.post(f"{page}change/", names).status_code == 302
    provider.refresh_from_db()
    assert (provider.last_name, provider.time_zone) == ("Lovelace", "Asia/Tokyo")
    assert provider.version == 2
    assert admin_client.post(f"{page}change/", names | {"time_zone": "Mars"}).status_code == 200
    assert admin_client.post(f"{page}delete/", {"post": "yes"}).status_code == 403
    assert Provider.objects.exists()


@pytest.mark.parametrize("name", ["", "   ", "x" * 101, "A\x00da"])
def test_a_name_that_is_none_is_refused_with_a_reason(admin_client, name):
    provider = make_provider()
    answer = admin_client.post(
        f"/admin/scheduling/provider/{provider.pk}/change/",
        {"first_name": name, "last_name": "Lovelace"},
    )
    assert answer.status_code == 200
    assert "errorlist" in answer.content.decode()
    provider.refresh_from_db()
    assert provider.first_name == "Ada"


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["", *(f"scheduling/{table}/" for table in TABLES)])
def test_a_stranger_is_sent_to_the_login(client, path):
    answer = client.get(f"/admin/{path}")
    assert answer.status_code == 302
    assert answer["Location"] == f"/admin/login/?next=/admin/{path}"
    assert client.get(answer["Location"]).status_code == 200


def test_an_operator_can_log_in(client, admin_user):
    answer = client.post(
        "/admin/login/?next=/admin/", {"username": "admin", "password": "password"}
    )
    assert (answer.status_code, answer["Location"]) == (302, "/admin/")
    page = client.get("/admin/")
    assert page.status_code == 200
    assert all(f"/admin/scheduling/{table}/" in page.content.decode() for table in TABLES)


@pytest.mark.parametrize("page", ["", "?q=ada", "?is_staff__exact=1", "?o=1", "?o=3"])
def test_accounts_are_listed_at_the_same_cost_however_many(admin_client, page):
    counts = []
    admin_client.get("/admin/auth/user/")
    for first in (0, 3):
        for nth in range(first, first + 3):
            make_account(f"ada{nth}@example.org", make_provider(), make_client())
        with CaptureQueriesContext(connection) as statements:
            answer = admin_client.get(f"/admin/auth/user/{page}")
        assert answer.status_code == 200
        counts.append(len(statements))
    assert counts[0] == counts[1] < 12


def account_form(user, **changes):
    joined = {"date_joined_0": "2026-11-30", "date_joined_1": "09:00:00"}
    return {"username": user.username, "email": user.email, "is_active": "on", **joined, **changes}


@pytest.mark.parametrize("given", ["grace@example.org", "GRACE@Example.org"])
def test_an_email_that_is_taken_is_refused_with_a_reason(admin_client, given):
    make_account("grace@example.org")
    user = make_account("ada@example.org")
    page = f"/admin/auth/user/{user.pk}/change/"
    answer = admin_client.post(page, account_form(user, email=given))
    assert answer.status_code == 200
    assert "Another account has this e-mail address" in answer.content.decode()
    assert admin_client.post(page, account_form(user, email="Ada.L@example.org")).status_code == 302
    user.refresh_from_db()
    assert user.email == "ada.l@example.org"


def test_an_account_can_be_deactivated_and_linked_to_a_person(admin_client):
    user, provider = make_account(), make_provider()
    names = {"first_name": "Ada", "last_name": "Lovelace", "user": user.pk, "time_zone": "UTC"}
    page = f"/admin/scheduling/provider/{provider.pk}/change/"
    assert admin_client.post(page, names).status_code == 302
    assert admin_client.post(page, names | {"user": 2**62}).status_code == 200
    form = account_form(user)
    del form["is_active"]
    assert admin_client.post(f"/admin/auth/user/{user.pk}/change/", form).status_code == 302
    user.refresh_from_db()
    assert (user.is_active, user.provider) == (False, provider)


def test_operators_see_no_digest_and_make_no_service_token(admin_client):
    assert admin_client.get("/admin/scheduling/servicetoken/").status_code == 200
    assert admin_client.get("/admin/scheduling/servicetoken/add/").status_code == 403
