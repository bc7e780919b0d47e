"""/webhooks: who is told what happened, and what became of it."""

from datetime import timedelta

import pytest
import requests

from scheduling import policy, webhooks
from scheduling.models import ReservationEvent, StoredAnswer, Webhook, WebhookDelivery

from . import callers
from .concurrency import at_once
from .factories import make_client, make_hold, make_provider, make_timeslot, make_webhook

URL = "https://example.org/hooks/reservations"
EVERY_KIND = [f"reservation.{kind}" for kind in ReservationEvent.Kind.values]


def create(api, **fields):
    return api.post("/webhooks", {"url": URL} | fields)


def make_delivery(webhook=None, status="pending", **fields):
    hold = make_hold()
    event = ReservationEvent.objects.get(reservation_id=hold.pk)
    finished_at = None if status == "pending" else event.happened_at
    return WebhookDelivery.objects.create(
        webhook=webhook or make_webhook(),
        event=event,
        reservation_id=hold.pk,
        status=status,
        created_at=event.happened_at,
        next_attempt_at=event.happened_at,
        finished_at=finished_at,
        **fields,
    )


def test_it_is_made_with_a_secret_that_is_shown_once(api, clock):
    provider = make_provider()
    answer = create(api, provider_id=provider.pk, events=["reservation.cancelled"])
    assert answer.status_code == 201, answer.content
    assert answer["Cache-Control"] == "no-store"
    webhook = Webhook.objects.get()
    assert list(answer.json().items()) == [
        (
            "webhook",
            {
                "webhook_id": webhook.pk,
                "provider_id": provider.pk,
                "url": URL,
                "events": ["reservation.cancelled"],
                "is_enabled": True,
                "disabled_because": None,
                "disabled_at": None,
                "created_at": "2026-11-30T09:00:00Z",
            },
        ),
        ("secret", webhook.secret),
    ]
    assert webhook.secret.startswith("whsec_")
    listed = api.get("/webhooks", {"provider_id": provider.pk})
    assert listed.json() == {"webhooks": [answer.json()["webhook"]]}
    assert webhook.secret not in listed.content.decode()


def test_unless_it_says_so_it_is_told_of_everything_of_everybody(api, clock):
    webhook = create(api).json()["webhook"]
    assert webhook["provider_id"] is None
    assert webhook["events"] == EVERY_KIND


@pytest.mark.parametrize(
    ("fields", "field", "code"),
    [
        ({"url": 1}, "url", "invalid"),
        ({"url": "http://example.org/"}, "url", "forbidden_url"),
        ({"url": "https://10.0.0.1/"}, "url", "forbidden_url"),
        ({"url": "https://169.254.169.254/latest"}, "url", "forbidden_url"),
        ({"url": "https://me:secret@example.org/"}, "url", "forbidden_url"),
        ({"url": "https://example.org/\0"}, "url", "forbidden_url"),
        ({"events": []}, "events", "invalid"),
        ({"events": "reservation.reserved"}, "events", "invalid"),
        ({"events": ["reserved"]}, "events", "invalid"),
        ({"events": ["reservation.reserved", 1]}, "events", "invalid"),
        ({"events": [["reservation.reserved"]]}, "events", "invalid"),
        ({"provider_id": 0}, "provider_id", "invalid"),
    ],
)
def test_it_refuses_what_cannot_be_right(api, fields, field, code):
    answer = create(api, **fields)
    assert answer.status_code == 400
    [error] = answer.json()["errors"]
    assert (error["field"], error["code"]) == (field, code)
    assert not Webhook.objects.exists()


def test_of_a_provider_that_is_none(api):
    assert create(api, provider_id=7).json()["code"] == "provider_not_found"


@pytest.mark.parametrize("is_of_a_provider", [True, False])
def test_there_are_only_so_many(api, is_of_a_provider):
    provider = make_provider() if is_of_a_provider else None
    of = {"provider_id": provider.pk} if provider else {}
    for _ in range(policy.MOST_WEBHOOKS - 1):
        make_webhook(provider)
    make_webhook(make_provider())  # another's are not counted
    assert create(api, **of).status_code == 201
    answer = create(api, **of)
    assert (answer.status_code, answer.json()["code"]) == (409, "too_many_webhooks")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("is_of_a_provider", [True, False])
def test_of_several_at_once_none_is_one_too_many(api, is_of_a_provider):
    provider = make_provider() if is_of_a_provider else None
    of = {"provider_id": provider.pk} if provider else {}
    for _ in range(policy.MOST_WEBHOOKS - 1):
        make_webhook(provider)
    answers = at_once(*[lambda: create(api, **of).status_code] * 4)
    assert sorted(answers) == [201, 409, 409, 409]


def test_the_list_has_pages(api):
    made = [make_webhook().pk for _ in range(5)]
    found, path = [], "/webhooks?limit=2"
    while path:
        answer = api.get(path)
        found += [one["webhook_id"] for one in answer.json()["webhooks"]]
        links = requests.utils.parse_header_links(answer.headers.get("Link", ""))
        path = links[0]["url"].removeprefix("http://testserver") if links else None
    assert found == made


def test_what_is_given_changes(api, clock):
    webhook = make_webhook()
    answer = api.put(
        "/webhooks",
        {"webhook_id": webhook.pk, "url": URL, "events": ["reservation.expired"]},
    )
    assert answer.status_code == 200, answer.content
    changed = Webhook.objects.get()
    assert (changed.url, changed.kinds, changed.secret) == (URL, ["expired"], webhook.secret)
    nothing = api.put("/webhooks", {"webhook_id": webhook.pk})
    assert nothing.json()["errors"][0]["code"] == "nothing_to_change"


def test_it_is_disabled_and_enabled_again(api, clock):
    pending = make_delivery(attempts_made=3)
    webhook = pending.webhook
    WebhookDelivery.objects.update(next_attempt_at=clock.now + timedelta(hours=5))

    def enable(is_enabled):
        ids = {"webhook_id": webhook.pk, "is_enabled": is_enabled}
        answer = api.put("/webhooks", ids).json()["webhook"]
        return answer["is_enabled"], answer["disabled_because"], answer["disabled_at"]

    assert enable(False) == (False, "owner", "2026-11-30T09:00:00Z")
    clock.shift(hours=1)
    assert enable(False) == (False, "owner", "2026-11-30T09:00:00Z")
    refused = api.post("/webhooks/test", {"webhook_id": webhook.pk})
    assert (refused.status_code, refused.json()["code"]) == (409, "webhook_disabled")
    refused = api.post("/webhooks/replay", {"webhook_id": webhook.pk})
    assert (refused.status_code, refused.json()["code"]) == (409, "webhook_disabled")
    assert enable(True) == (True, None, None)
    pending.refresh_from_db()
    assert (pending.attempts_made, pending.next_attempt_at) == (0, clock.now)


def test_its_secret_is_replaced_with_an_overlap(api, clock):
    webhook = make_webhook()
    answer = api.put("/webhooks/secret", {"webhook_id": webhook.pk})
    assert answer.status_code == 200
    assert answer["Cache-Control"] == "no-store"
    secret = answer.json()["secret"]
    assert secret != webhook.secret
    for hours, expected in [
        (0, [secret, webhook.secret]),
        (23.99, [secret, webhook.secret]),
        (24, [secret]),
    ]:
        moment = clock.now + timedelta(hours=hours)
        assert Webhook.objects.get().secrets(moment) == expected


def test_no_secret_is_kept_for_a_retry(api):
    headers = {"Idempotency-Key": "once"}
    first = api.post("/webhooks", {"url": URL}, headers=headers).json()
    ids = {"webhook_id": first["webhook"]["webhook_id"]}
    api.put("/webhooks/secret", ids, headers=headers)
    assert not StoredAnswer.objects.exists()


def test_the_other_calls_have_their_effect_once(api):
    webhook = make_webhook()
    for _ in range(2):
        answer = api.post(
            "/webhooks/test", {"webhook_id": webhook.pk}, headers={"Idempotency-Key": "once"}
        )
        assert answer.status_code == 202
    assert WebhookDelivery.objects.count() == 1


@pytest.mark.parametrize("in_the_query", [True, False])
def test_it_is_deleted_with_what_is_known_of_its_deliveries(api, in_the_query):
    webhook = make_delivery().webhook
    if in_the_query:
        answer = api.delete(f"/webhooks?webhook_id={webhook.pk}")
    else:
        answer = api.delete("/webhooks", {"webhook_id": webhook.pk})
    assert (answer.status_code, answer.content) == (204, b"")
    assert not Webhook.objects.exists()
    assert not WebhookDelivery.objects.exists()


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("put", "/webhooks/secret"),
        ("post", "/webhooks/test"),
        ("get", "/webhooks/deliveries"),
        ("post", "/webhooks/replay"),
        ("delete", "/webhooks"),
    ],
)
def test_one_that_is_not_there(api, method, path):
    answer = getattr(api, method)(path, {"webhook_id": 7})
    assert (answer.status_code, answer.json()["code"]) == (404, "webhook_not_found")


def test_a_test_waits_to_be_sent(api, clock):
    webhook = make_webhook()
    answer = api.post("/webhooks/test", {"webhook_id": webhook.pk})
    assert answer.status_code == 202
    delivery = answer.json()["delivery"]
    assert delivery.pop("delivery_id") == WebhookDelivery.objects.get().pk
    assert delivery.pop("message_id").startswith("msg_")
    assert delivery == {
        "event": "webhook.test",
        "event_id": None,
        "reservation_id": None,
        "status": "pending",
        "created_at": "2026-11-30T09:00:00Z",
        "next_attempt_at": "2026-11-30T09:00:00Z",
        "finished_at": None,
        "attempts": [],
    }


def test_its_deliveries_are_listed_newest_first_in_pages(api, clock, django_assert_num_queries):
    webhook = make_webhook()
    made = [make_delivery(webhook, status).pk for status in ["failed", "pending", "delivered"] * 2]
    make_delivery()  # another webhook's

    def listed(**query):
        answer = api.get("/webhooks/deliveries", {"webhook_id": webhook.pk} | query)
        return answer, [one["delivery_id"] for one in answer.json()["deliveries"]]

    with django_assert_num_queries(3):
        assert listed()[1] == made[::-1]
    assert listed(status="failed")[1] == [made[3], made[0]]
    answer, first = listed(limit=4)
    [link] = requests.utils.parse_header_links(answer["Link"])
    second = api.get(link["url"].removeprefix("http://testserver")).json()["deliveries"]
    assert first + [one["delivery_id"] for one in second] == made[::-1]


def test_one_delivery_is_replayed_whatever_became_of_it(api, clock):
    delivery = make_delivery(status="delivered", attempts_made=2)
    clock.shift(hours=1)
    ids = {"webhook_id": delivery.webhook_id, "delivery_id": delivery.pk}
    answer = api.post("/webhooks/replay", ids)
    assert (answer.status_code, answer.json()) == (202, {"replayed": 1})
    delivery.refresh_from_db()
    assert (delivery.status, delivery.attempts_made) == ("pending", 0)
    assert (delivery.next_attempt_at, delivery.finished_at) == (clock.now, None)


def test_all_that_failed_is_replayed(api, clock):
    webhook = make_webhook()
    for status in ["failed", "delivered", "failed"]:
        make_delivery(webhook, status)
    make_delivery(status="failed")
    assert api.post("/webhooks/replay", {"webhook_id": webhook.pk}).json() == {"replayed": 2}
    assert webhook.deliveries.filter(status="pending").count() == 2


def test_a_delivery_of_another_webhook_is_none_of_this_one(api, clock):
    other = make_delivery()
    ids = {"webhook_id": make_webhook().pk, "delivery_id": other.pk}
    answer = api.post("/webhooks/replay", ids)
    assert (answer.status_code, answer.json()["code"]) == (404, "delivery_not_found")


def test_a_provider_sees_and_makes_its_own(api, clock, settings):
    settings.AUTHENTICATION = "required"
    provider = make_provider()
    account = callers.signed_in(api, provider=provider)
    theirs = make_webhook(make_provider())
    make_webhook()  # everybody's
    mine = create(api).json()["webhook"]
    assert mine["provider_id"] == provider.pk
    assert Webhook.objects.get(pk=mine["webhook_id"]).owner_id == account.pk
    assert api.get("/webhooks").json() == {"webhooks": [mine]}
    refused = api.put("/webhooks", {"webhook_id": theirs.pk, "is_enabled": False})
    unknown = api.put("/webhooks", {"webhook_id": 2**62, "is_enabled": False})
    assert refused.status_code == unknown.status_code == 404
    assert refused.content == unknown.content


def test_staff_see_and_make_everybodys(api, clock, settings):
    settings.AUTHENTICATION = "required"
    provider = make_provider()
    make_webhook(provider)
    callers.staff(api)
    assert create(api).json()["webhook"]["provider_id"] is None
    assert create(api, provider_id=provider.pk).json()["webhook"]["provider_id"] == provider.pk
    assert len(api.get("/webhooks").json()["webhooks"]) == 3
    assert len(api.get("/webhooks", {"provider_id": provider.pk}).json()["webhooks"]) == 2


def test_nothing_is_sent_while_a_caller_waits(api, clock, monkeypatch):
    monkeypatch.setattr(webhooks, "_send", None)
    webhook = make_webhook()
    asked = {"client_id": make_client().pk, "timeslot_id": make_timeslot().pk}
    assert api.post("/client/reserve", asked).status_code == 200
    assert api.post("/webhooks/test", {"webhook_id": webhook.pk}).status_code == 202
