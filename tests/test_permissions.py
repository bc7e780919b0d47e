"""Who may call what, cell by cell: every endpoint times every kind of caller."""

from datetime import timedelta

import pytest

from reservation_system import metrics
from scheduling import feeds, permissions, urls
from scheduling.models import Client, Provider, Reservation, Timeslot, Webhook, WebhookDelivery

from . import callers
from .factories import (
    PASSWORD,
    make_client,
    make_hold,
    make_provider,
    make_timeslot,
    make_webhook,
)

pytestmark = pytest.mark.once

NAMES = {"first_name": "Emmy", "last_name": "Noether"}
ACCOUNT = {"email": "emmy@example.org", "password": PASSWORD}
WINDOW = {"start_time": "2026-12-30T10:00:00Z", "end_time": "2026-12-30T10:15:00Z"}
LONGEST_ID = 2**63 - 1

CALLERS = ["anonymous", "client", "other client", "provider", "other provider", "service", "staff"]
TABLE = {
    # endpoint, with its method or what is set:
    #   anonymous, client, other client, provider, other provider, service, staff
    "create_provider": (401, 403, 403, 403, 403, 403, 201),
    "create_provider, open": (201, 201, 201, 409, 409, 403, 201),
    "create_client": (201, 409, 409, 201, 201, 403, 201),
    "provider_availability, GET": (401, 403, 403, 200, 403, 403, 200),
    "provider_availability, POST": (401, 403, 403, 201, 403, 403, 201),
    "provider_availability, DELETE": (401, 403, 403, 200, 403, 403, 200),
    "provider_profile, GET": (401, 403, 403, 200, 403, 403, 200),
    "provider_profile, PUT": (401, 403, 403, 200, 403, 403, 200),
    "provider_reservation": (401, 403, 403, 200, 403, 403, 200),
    "provider_reservations": (401, 403, 403, 200, 403, 403, 200),
    "provider_cancel": (401, 403, 403, 200, 403, 403, 200),
    "client_profile, GET": (401, 200, 403, 403, 403, 403, 200),
    "client_profile, PUT": (401, 200, 403, 403, 403, 403, 200),
    "client_reservation": (401, 200, 403, 403, 403, 403, 200),
    "client_reservations": (401, 200, 403, 403, 403, 403, 200),
    "client_cancel": (401, 200, 403, 403, 403, 403, 200),
    "reserve": (401, 200, 403, 403, 403, 403, 200),
    "confirm": (401, 200, 403, 403, 403, 403, 200),
    "reschedule": (401, 200, 403, 403, 403, 403, 200),
    "list_providers": (200, 200, 200, 200, 200, 200, 200),
    "list_providers, not public": (401, 200, 200, 200, 200, 403, 200),
    "list_bookable": (200, 200, 200, 200, 200, 200, 200),
    "list_bookable, not public": (401, 200, 200, 200, 200, 403, 200),
    "find_timeslots": (200, 200, 200, 200, 200, 200, 200),
    "find_timeslots, not public": (401, 200, 200, 200, 200, 403, 200),
    "provider_calendar_link, POST": (401, 403, 403, 201, 403, 403, 201),
    "provider_calendar_link, DELETE": (401, 403, 403, 204, 403, 403, 204),
    "client_calendar_link, POST": (401, 201, 403, 403, 403, 403, 201),
    "client_calendar_link, DELETE": (401, 204, 403, 403, 403, 403, 204),
    "provider_calendar": (200, 200, 200, 200, 200, 200, 200),
    "client_calendar": (200, 200, 200, 200, 200, 200, 200),
    "expire": (401, 403, 403, 403, 403, 200, 200),
    "events": (401, 403, 403, 200, 403, 403, 200),
    "webhooks, POST": (401, 403, 403, 201, 403, 403, 201),
    "webhooks, GET": (401, 403, 403, 200, 403, 403, 200),
    "webhooks, PUT": (401, 403, 403, 200, 404, 403, 200),
    "webhooks, DELETE": (401, 403, 403, 204, 404, 403, 204),
    "webhook_secret": (401, 403, 403, 200, 404, 403, 200),
    "test_webhook": (401, 403, 403, 202, 404, 403, 202),
    "webhook_deliveries": (401, 403, 403, 200, 404, 403, 200),
    "replay_webhook": (401, 403, 403, 202, 404, 403, 202),
    "metrics": (401, 403, 403, 403, 403, 403, 200),
    "sign_in": (200, 200, 200, 200, 200, 200, 200),
    "refresh": (401, 401, 401, 401, 401, 401, 401),
    "sign_out": (401, 401, 401, 401, 401, 401, 401),
}
SIGNING_IN = ("sign_in", "refresh", "sign_out")
SETTINGS = (", open", ", not public")
# Whatever is open to nobody, as the service is set up without a word.
NOT_FOR_NOBODY = [
    endpoint
    for endpoint, (anonymous, *_) in TABLE.items()
    if anonymous == 401 and not endpoint.endswith(SETTINGS) and endpoint not in SIGNING_IN
]
OF_ONE_RESERVATION = [
    *("client_reservation", "client_cancel", "reschedule"),
    *("provider_reservation", "provider_cancel"),
]
# Lists that show the caller's own when no id is given.
OWN_UNLESS_SAID = ("events", "webhooks, GET")
# Where an id may be left out.
WITHOUT_ID = [endpoint for endpoint in OF_ONE_RESERVATION if endpoint != "reschedule"]
# What one may and another of the same kind may not.
OF_ITS_OWN = [
    *((endpoint, "client") for endpoint, row in TABLE.items() if row[1] < row[2] == 403),
    *((endpoint, "provider") for endpoint, row in TABLE.items() if row[3] < row[4] == 403),
]
CELLS = [
    pytest.param(endpoint, caller, status, id=f"{endpoint}: {caller}")
    for endpoint, row in TABLE.items()
    for caller, status in zip(CALLERS, row, strict=True)
]


@pytest.fixture(autouse=True)
def required(settings):
    settings.AUTHENTICATION = "required"


@pytest.fixture
def people(clock):
    """A provider with a timeslot to reserve, and a client who holds another of them."""
    provider, client = make_provider(), make_client()
    return {
        "provider": provider,
        "client": client,
        "timeslot": make_timeslot(provider),
        "webhook": make_webhook(provider),
        "hold": make_hold(make_timeslot(provider, starts_in=timedelta(days=3)), client),
    }


def become(api, caller, people):
    if caller == "service":
        callers.service(api)
    elif caller == "staff":
        callers.staff(api)
    elif caller != "anonymous":
        kind = caller.rpartition(" ")[2]
        other = {"client": make_client, "provider": make_provider}[kind]
        person = other() if caller.startswith("other") else people[kind]
        callers.signed_in(api, **{kind: person})


def call(api, endpoint, people, caller, without=(), headers=None, **others):
    """What is asked for is of these people, unless `others` says otherwise."""
    method, path, body = request(endpoint, people, caller)
    if body is not None:
        body = {name: body[name] for name in body if name not in without} | others
    return getattr(api, method)(path, body, headers=headers)


def request(endpoint, people, caller):
    provider = {"provider_id": people["provider"].pk}
    client = {"client_id": people["client"].pk}
    timeslot = {"timeslot_id": people["timeslot"].pk}
    reservation = {"reservation_id": people["hold"].pk}
    webhook = {"webhook_id": people["webhook"].pk}
    address = {"url": "https://example.org/hook"}
    withdrawn = provider | {"timeslot_ids": [people["timeslot"].pk]}
    key = {}
    if endpoint.endswith("_calendar"):  # its secret key is all that it asks for
        party = Reservation.Party(endpoint.removesuffix("_calendar"))
        key["key"] = feeds.make_link(party=party, party_id=people[party.value].pk)
    account = ACCOUNT if caller == "anonymous" else {}
    requests = {
        "create_provider": ("post", "/provider/create", NAMES | account),
        "create_client": ("post", "/client/create", NAMES | account),
        "provider_availability, GET": ("get", "/provider/availability", provider),
        "provider_availability, POST": ("post", "/provider/availability", provider | WINDOW),
        "provider_availability, DELETE": ("delete", "/provider/availability", withdrawn),
        "provider_profile, GET": ("get", "/provider/profile", provider),
        "provider_profile, PUT": ("put", "/provider/profile", provider | NAMES),
        "provider_reservation": ("get", "/provider/reservation", provider | reservation),
        "provider_reservations": ("get", "/provider/reservations", provider),
        "provider_cancel": ("put", "/provider/cancel", provider | reservation),
        "client_profile, GET": ("get", "/client/profile", client),
        "client_profile, PUT": ("put", "/client/profile", client | NAMES),
        "client_reservation": ("get", "/client/reservation", client | reservation),
        "client_reservations": ("get", "/client/reservations", client),
        "client_cancel": ("put", "/client/cancel", client | reservation),
        "reserve": ("post", "/client/reserve", client | timeslot),
        "confirm": ("put", "/client/confirm", client | reservation),
        "reschedule": ("put", "/client/reschedule", client | reservation | timeslot),
        "list_providers": ("get", "/provider/list", {}),
        "list_bookable": ("get", "/client/getProviderAvailability", provider),
        "find_timeslots": ("get", "/client/findTimeslots", {}),
        "provider_calendar_link, POST": ("post", "/provider/calendarLink", provider),
        "provider_calendar_link, DELETE": ("delete", "/provider/calendarLink", provider),
        "client_calendar_link, POST": ("post", "/client/calendarLink", client),
        "client_calendar_link, DELETE": ("delete", "/client/calendarLink", client),
        "provider_calendar": ("get", "/provider/calendar.ics", key),
        "client_calendar": ("get", "/client/calendar.ics", key),
        "expire": ("put", "/provider/expiredReservations", None),
        "events": ("get", "/events", provider),
        "webhooks, POST": ("post", "/webhooks", provider | address),
        "webhooks, GET": ("get", "/webhooks", provider),
        "webhooks, PUT": ("put", "/webhooks", webhook | address),
        "webhooks, DELETE": ("delete", "/webhooks", webhook),
        "webhook_secret": ("put", "/webhooks/secret", webhook),
        "test_webhook": ("post", "/webhooks/test", webhook),
        "webhook_deliveries": ("get", "/webhooks/deliveries", webhook),
        "replay_webhook": ("post", "/webhooks/replay", webhook),
        "metrics": ("get", "/metrics", {}),
        "sign_in": ("post", "/auth/token", ACCOUNT),
        "refresh": ("post", "/auth/token/refresh", {"refresh": "made up"}),
        "sign_out": ("post", "/auth/logout", {"refresh": "made up"}),
    }
    return requests[endpoint.removesuffix(", open").removesuffix(", not public")]


def rows():
    return [
        list(model.objects.values_list())
        for model in (Provider, Client, Timeslot, Reservation, Webhook, WebhookDelivery)
    ]


@pytest.mark.parametrize(("endpoint", "caller", "status"), CELLS)
def test_each_cell(api, people, settings, endpoint, caller, status):
    settings.OPEN_PROVIDER_SIGNUP = endpoint.endswith(", open")
    settings.PUBLIC_AVAILABILITY = not endpoint.endswith(", not public")
    if endpoint == "sign_in":
        api.post("/client/create", NAMES | ACCOUNT)
    become(api, caller, people)
    before = rows()
    answer = call(api, endpoint, people, caller)
    assert answer.status_code == status, answer.content
    if status == 403:
        assert answer.json()["code"] == "not_permitted"
    if status == 401 and endpoint not in SIGNING_IN:
        assert answer.json()["code"] == "not_authenticated"
        assert answer["WWW-Authenticate"] == "Bearer"
    if status >= 400:
        assert rows() == before


def test_every_endpoint_has_its_row():
    views = [pattern.callback.view_class for pattern in urls.urlpatterns]
    views.append(metrics.metrics.cls)
    wanted = set()
    for view in views:
        methods = set(view.http_method_names) - {"head", "options"}
        several = {f"{view.__name__}, {method.upper()}" for method in methods}
        wanted |= several if len(methods) > 1 else {view.__name__}
    assert {endpoint for endpoint in TABLE if not endpoint.endswith(SETTINGS)} == wanted
    by_what_is_sent = {*SIGNING_IN, "provider_calendar", "client_calendar"}
    assert set(permissions.TABLE) == {view.__name__ for view in views} - by_what_is_sent


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/schema", "/docs", "/problems", "/"])
def test_what_is_no_business_is_open_to_everybody(api, path):
    assert api.get(path).status_code in (200, 302)


@pytest.mark.parametrize("endpoint", NOT_FOR_NOBODY)
@pytest.mark.parametrize("caller", ["anonymous", "client", "provider"])
def test_who_may_not_call_is_told_so_before_what_is_wrong_with_the_call(
    api, people, endpoint, caller
):
    become(api, caller, people)
    status = TABLE[endpoint][CALLERS.index(caller)]
    if endpoint == "events" and caller != "anonymous":
        status = 200
    method, path, _ = request(endpoint, people, caller)
    for body in ({}, {"client_id": "x"}, []):
        answer = getattr(api, method)(path, body)
        is_understood = endpoint in OWN_UNLESS_SAID and "client_id" not in body
        is_understood |= endpoint == "webhooks, GET"  # which knows of no client
        assert answer.status_code == (status if status >= 400 or is_understood else 400)


@pytest.mark.parametrize(("endpoint", "kind"), OF_ITS_OWN)
@pytest.mark.parametrize("pk", [LONGEST_ID, 0, "other"])
def test_acting_for_another_answers_alike_whether_there_is_one(api, people, endpoint, kind, pk):
    """Nobody finds out which ids are people's."""
    make = {"client": make_client, "provider": make_provider}[kind]
    other = {"other": make().pk, 0: make().pk + 1}.get(pk, pk)
    become(api, kind, people)
    answer = call(api, endpoint, people, kind, **{f"{kind}_id": other})
    assert (answer.status_code, answer.json()["code"]) == (403, "not_permitted")
    expected = call(api, endpoint, people, kind, **{f"{kind}_id": LONGEST_ID - 1})
    assert answer.content == expected.content


def test_confirming_a_strangers_reservation_is_the_contracts_403(api, people):
    other = make_client()
    callers.signed_in(api, client=other)
    ids = {"client_id": other.pk, "reservation_id": people["hold"].pk}
    answer = api.put("/client/confirm", ids)
    assert (answer.status_code, answer.json()["code"]) == (403, "not_your_reservation")
    answer = api.put("/client/confirm", ids | {"reservation_id": LONGEST_ID})
    assert (answer.status_code, answer.json()["code"]) == (404, "reservation_not_found")


@pytest.mark.parametrize("endpoint", OF_ONE_RESERVATION)
@pytest.mark.parametrize("mode", ["required", "open"])
@pytest.mark.parametrize("headers", [{}, {"If-Match": '"1"'}, {"If-Match": '"7"'}])
def test_a_strangers_reservation_answers_as_one_that_does_not_exist(
    api, people, settings, endpoint, mode, headers
):
    settings.AUTHENTICATION = mode
    kind = "client" if endpoint == "reschedule" else endpoint.partition("_")[0]
    stranger = {"client": make_client, "provider": make_provider}[kind]()
    callers.signed_in(api, **{kind: stranger})
    before = rows()
    own = {f"{kind}_id": stranger.pk}
    answer = call(api, endpoint, people, kind, headers=headers, **own)
    assert (answer.status_code, answer.json()["code"]) == (404, "reservation_not_found")
    for pk in (LONGEST_ID, people["hold"].pk + 1):
        of_nobody = {"reservation_id": pk} | own
        expected = call(api, endpoint, people, kind, headers=headers, **of_nobody)
        assert (answer.status_code, answer.content) == (expected.status_code, expected.content)
        assert set(answer.headers) == set(expected.headers)
    assert rows() == before


@pytest.mark.parametrize("endpoint", WITHOUT_ID)
@pytest.mark.parametrize(("whose", "status"), [("", 200), ("other ", 404)])
def test_without_an_id_the_caller_acts_for_their_own(api, people, endpoint, whose, status):
    kind = endpoint.partition("_")[0]
    become(api, whose + kind, people)
    before = rows()
    answer = call(api, endpoint, people, kind, without=[f"{kind}_id"])
    assert answer.status_code == status, answer.content
    if status == 404:
        assert answer.json()["code"] == "reservation_not_found"
        assert rows() == before
    elif endpoint.endswith("cancel"):
        people["hold"].refresh_from_db()
        assert (people["hold"].status, people["hold"].cancelled_by) == ("cancelled", kind)


@pytest.mark.parametrize("endpoint", WITHOUT_ID)
def test_without_an_id_an_account_that_is_both_acts_as_the_one_that_is_asked(api, people, endpoint):
    """Of its own reservation as a provider it is no client."""
    kind = endpoint.partition("_")[0]
    [other] = {"client", "provider"} - {kind}
    strangers = {"client": make_client(), "provider": make_provider()}
    callers.signed_in(api, **{other: people[other], kind: strangers[kind]})
    answer = call(api, endpoint, people, "both", without=[f"{kind}_id"])
    assert (answer.status_code, answer.json()["code"]) == (404, "reservation_not_found")


@pytest.mark.parametrize("endpoint", WITHOUT_ID)
def test_staff_need_not_say_for_whom(api, people, endpoint):
    """Not even those who are a client or a provider themselves."""
    callers.signed_in(api, is_staff=True, client=make_client(), provider=make_provider())
    kind = endpoint.partition("_")[0]
    assert call(api, endpoint, people, "staff", without=[f"{kind}_id"]).status_code == 200


@pytest.mark.parametrize(("endpoint", "kind"), OF_ITS_OWN)
def test_staff_may_act_for_anybody_and_get_the_verbs_own_refusals(api, people, endpoint, kind):
    callers.staff(api)
    answer = call(api, endpoint, people, "staff", **{f"{kind}_id": LONGEST_ID})
    if endpoint in OWN_UNLESS_SAID:
        assert next(iter(answer.json().values())) == []
        return
    codes = {"confirm": "not_your_reservation"}
    codes |= dict.fromkeys(OF_ONE_RESERVATION, "reservation_not_found")
    assert answer.json()["code"] == codes.get(endpoint, f"{kind}_not_found")


@pytest.mark.parametrize("endpoint", NOT_FOR_NOBODY)
def test_an_account_that_is_both_may_do_what_either_may(api, people, endpoint):
    callers.signed_in(api, client=people["client"], provider=people["provider"])
    _, client, _, provider, *_ = TABLE[endpoint]
    assert call(api, endpoint, people, "both").status_code == min(client, provider)


@pytest.mark.parametrize("endpoint", NOT_FOR_NOBODY)
def test_an_account_that_is_neither_may_do_what_anybody_may(api, people, endpoint):
    callers.signed_in(api)
    assert call(api, endpoint, people, "neither").status_code == 403
    for open_to_all in ("list_providers", "list_bookable", "find_timeslots"):
        assert call(api, open_to_all, people, "neither").status_code == 200
    assert call(api, "create_client", people, "neither").status_code == 201


@pytest.mark.parametrize(
    "endpoint",
    [name for name in TABLE if name not in SIGNING_IN and not name.endswith(SETTINGS)],
)
def test_an_open_service_asks_nobody(api, people, settings, endpoint):
    settings.AUTHENTICATION = "open"
    assert call(api, endpoint, people, "nobody").status_code < 300
