"""Calendars by secret link, as calendar apps read them: GET /provider/calendar.ics and its like."""

import hashlib
import re
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
import vobject
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction
from django.utils.http import http_date

from scheduling.models import CalendarLink, Client, Provider, Reservation

from . import callers
from .concurrency import at_once
from .factories import QUARTER, make_client, make_hold, make_provider, make_timeslot
from .test_logs import lines, log  # noqa: F401  a fixture

DAY = timedelta(days=1)
LONGEST_ID = 2**63 - 1
PARTIES = ["provider", "client"]
UNKNOWN_KEY = "rsc_" + "x" * 43
of_each_party = pytest.mark.parametrize("party", PARTIES)


@pytest.fixture
def hold(clock):
    """Of Ada Lovelace with Alan Turing, made now, in two days; the clock is a minute further."""
    hold = make_hold()
    clock.shift(minutes=1)
    return hold


def make_link(api, party, pk):
    answer = api.post(f"/{party}/calendarLink", {f"{party}_id": pk})
    assert answer.status_code == 201, answer.content
    assert answer["Cache-Control"] == "no-store"
    assert list(answer.json()) == ["calendar_link"]
    return answer.json()["calendar_link"]


def link_of(api, party, reservation):
    return make_link(api, party, getattr(reservation, f"{party}_id"))


def read(api, link, **headers):
    """The calendar, by a library that had no part in making it."""
    answer = api.get(link, **headers)
    assert answer.status_code == 200, answer.content
    return vobject.readOne(answer.content.decode())


def events(api, link):
    return read(api, link).contents.get("vevent", [])


def one_event(api, link):
    [event] = events(api, link)
    return event


def is_not_found(answer):
    assert answer.status_code == 404
    assert answer["Content-Type"] == "application/problem+json"
    return answer.json()["code"] == "not_found"


@pytest.mark.parametrize(
    ("party", "calendar_of", "other"),
    [("provider", "Ada Lovelace", "Alan Turing"), ("client", "Alan Turing", "Ada Lovelace")],
)
def test_each_party_reads_what_it_has_with_the_other(api, hold, party, calendar_of, other):
    Reservation.objects.filter(pk=hold.pk).update(status="confirmed")
    make_hold()  # strangers
    link = link_of(api, party, hold)
    assert re.fullmatch(rf"http://testserver/{party}/calendar\.ics\?key=rsc_[\w-]{{43}}", link)
    calendar = read(api, link)
    assert api.get(link)["Content-Type"] == "text/calendar; charset=utf-8"
    assert calendar.version.value == "2.0"
    assert calendar.prodid.value == "-//reservation-service//calendar feed//EN"
    assert calendar.method.value == "PUBLISH"
    assert calendar.x_wr_calname.value == f"Reservations of {calendar_of}"
    assert calendar.refresh_interval.value == "PT15M"
    assert calendar.x_published_ttl.value == "PT15M"
    assert calendar.refresh_interval.params == {"VALUE": ["DURATION"]}
    [event] = calendar.vevent_list
    assert event.uid.value == f"reservation-{hold.pk}@reservation-service"
    assert event.summary.value == other
    assert (event.dtstart.value, event.dtend.value) == (hold.start_time, hold.end_time)
    assert event.created.value == hold.created_at
    assert event.dtstamp.value == event.last_modified.value == hold.changed_at
    assert event.status.value == "CONFIRMED"
    assert event.transp.value == "OPAQUE"


@of_each_party
def test_who_has_nothing_has_an_empty_calendar(api, clock, party):
    person = {"provider": make_provider, "client": make_client}[party]()
    assert events(api, make_link(api, party, person.pk)) == []


def test_it_is_written_as_rfc_5545_has_it(api, hold):
    """Lines end in CR LF and hold 75 octets at most; times are in UTC, with nothing to look up."""
    first_name = "\u6f22\u5b57" * 40
    Client.objects.filter(pk=hold.client_id).update(first_name=first_name, last_name="X" * 100)
    link = link_of(api, "provider", hold)
    content = api.get(link).content
    *whole, last = content.split(b"\r\n")
    assert last == b""
    assert b"\n" not in b"".join(whole)
    assert max(map(len, whole)) <= 75
    for line in whole:
        line.decode()  # no character is torn apart
    assert b"DTSTART:%s\r\n" % f"{hold.start_time:%Y%m%dT%H%M%SZ}".encode() in content
    assert b"VTIMEZONE" not in content
    assert one_event(api, link).summary.value == f"On hold: {first_name} {'X' * 100}"


@pytest.mark.parametrize(
    "name",
    [
        *(
            "Turing, Alan; A.",
            r"back\slash \n",
            "\u00e9t\u00e9 \U0001f9ea",
            '"quoted": x',
            "END:VEVENT",
        ),
        *("\u0645\u062d\u0645\u062f", "a" * 100),
    ],
)
def test_a_name_comes_through_as_it_is(api, clock, name):
    ids = {"first_name": name, "last_name": "Turing"}
    client = Client.objects.get(pk=api.post("/client/create", ids).json()["client_id"])
    hold = make_hold(client=client, status="confirmed")
    assert one_event(api, link_of(api, "provider", hold)).summary.value == f"{name} Turing"
    assert read(api, link_of(api, "client", hold)).x_wr_calname.value == (
        f"Reservations of {name} Turing"
    )


@of_each_party
@pytest.mark.parametrize("is_swept", [False, True])
@pytest.mark.parametrize(
    ("after", "status", "summary", "transparency", "version"),
    [
        (timedelta(minutes=30), "TENTATIVE", "On hold: ", "OPAQUE", "1"),
        (timedelta(minutes=30, microseconds=1), "CANCELLED", "Expired: ", "TRANSPARENT", "2"),
        (timedelta(hours=9), "CANCELLED", "Expired: ", "TRANSPARENT", "2"),
    ],
)
def test_a_hold_is_tentative_until_its_deadline_whoever_swept(
    api, clock, party, is_swept, after, status, summary, transparency, version
):
    hold = make_hold()
    link = link_of(api, party, hold)
    clock.shift(seconds=after.total_seconds())
    if is_swept:
        call_command("expire_reservations")
    event = one_event(api, link)
    assert event.status.value == status
    assert event.summary.value.startswith(summary)
    assert event.transp.value == transparency
    assert event.sequence.value == version
    changed_at = hold.created_at if version == "1" else hold.expires_at
    assert event.dtstamp.value == event.last_modified.value == changed_at


def test_the_sweep_changes_nothing_of_it(api, hold, clock):
    link = link_of(api, "client", hold)
    clock.shift(hours=1)
    before = api.get(link)
    clock.shift(minutes=5)
    call_command("expire_reservations")
    after = api.get(link)
    assert after.content == before.content
    assert (
        after["Last-Modified"] == before["Last-Modified"] == http_date(hold.expires_at.timestamp())
    )


@of_each_party
def test_a_reservation_keeps_its_uid_and_each_change_raises_its_sequence(api, hold, clock, party):
    link = link_of(api, party, hold)
    other = make_timeslot(hold.provider, 4 * DAY)
    ids = {"client_id": hold.client_id, "reservation_id": hold.pk}
    steps = [
        lambda: None,
        lambda: api.put("/client/confirm", ids),
        lambda: api.put("/client/reschedule", ids | {"timeslot_id": other.pk}),
        lambda: api.put("/provider/cancel", {"reservation_id": hold.pk}),
    ]
    seen = []
    for step in steps:
        clock.shift(minutes=1)
        step()
        event = one_event(api, link)
        seen.append((int(event.sequence.value), event.status.value, event.dtstart.value))
        assert event.uid.value == f"reservation-{hold.pk}@reservation-service"
    assert seen == [
        (1, "TENTATIVE", hold.start_time),
        (2, "CONFIRMED", hold.start_time),
        (3, "CONFIRMED", other.start_time),
        (4, "CANCELLED", other.start_time),
    ]
    assert event.summary.value.startswith("Cancelled: ")
    assert event.transp.value == "TRANSPARENT"
    assert event.dtstamp.value == clock.now


def test_its_uid_is_the_same_by_whatever_host_it_is_asked(api, hold, settings):
    settings.ALLOWED_HOSTS = ["one.example", "other.example"]
    api.defaults["HTTP_HOST"] = "one.example"
    path = link_of(api, "client", hold)
    assert path.startswith("http://one.example/client/calendar.ics?key=")
    contents = {api.get(path, HTTP_HOST=host).content for host in ("one.example", "other.example")}
    assert len(contents) == 1


@of_each_party
def test_it_goes_back_90_whole_days_and_forward_without_end(api, clock, party):
    """From midnight on, so that it does not change by the minute."""
    provider, client = make_provider(), make_client()
    first = clock.now.replace(hour=0) - 90 * DAY
    starts = [first - timedelta(microseconds=1), first, clock.now, clock.now + 4000 * DAY]
    for start, length in zip(starts, [timedelta(microseconds=1), *[QUARTER] * 3], strict=True):
        timeslot = make_timeslot(provider, start - clock.now, length)
        make_hold(timeslot, client, status="confirmed")
    person = {"provider": provider, "client": client}[party]
    link = make_link(api, party, person.pk)
    assert [event.dtstart.value for event in events(api, link)] == starts[1:]


@of_each_party
def test_a_new_link_takes_the_place_of_the_one_before(api, hold, party):
    first, second = (link_of(api, party, hold) for _ in range(2))
    assert first != second
    assert is_not_found(api.get(first))
    assert one_event(api, second)
    assert CalendarLink.objects.count() == 1


@of_each_party
@pytest.mark.parametrize("where", ["body", "query"])
def test_a_link_can_be_revoked_and_again(api, hold, party, where):
    kept = {each: link_of(api, each, hold) for each in PARTIES}
    link = kept[party]
    pk = getattr(hold, f"{party}_id")
    path, body = f"/{party}/calendarLink", {f"{party}_id": pk}
    if where == "query":
        path, body = f"{path}?{party}_id={pk}", None
    for _ in range(2):
        answer = api.delete(path, body)
        assert (answer.status_code, answer.content) == (204, b"")
        assert is_not_found(api.get(link))
    [other] = set(PARTIES) - {party}
    assert one_event(api, kept[other])


@of_each_party
@pytest.mark.parametrize("method", ["post", "delete"])
def test_there_is_no_link_of_nobody(api, clock, party, method):
    answer = getattr(api, method)(f"/{party}/calendarLink", {f"{party}_id": LONGEST_ID})
    assert (answer.status_code, answer.json()["code"]) == (404, f"{party}_not_found")


@of_each_party
def test_a_key_opens_one_calendar_alone(api, hold, party):
    [other] = set(PARTIES) - {party}
    link, of_other = link_of(api, party, hold), link_of(api, other, hold)
    answers = [
        api.get(link.replace(f"/{party}/", f"/{other}/")),
        api.get(of_other.replace(f"/{other}/", f"/{party}/")),
        api.get(f"/{party}/calendar.ics", {"key": UNKNOWN_KEY}),
        api.get(f"/{party}/calendar.ics", {"key": ""}),
        api.get(f"/{party}/calendar.ics", {"key": CalendarLink.objects.first().digest}),
        api.get(link[:-1]),
    ]
    assert all(is_not_found(answer) for answer in answers)
    assert len({answer.content for answer in answers}) == 1
    answer = api.get(f"/{party}/calendar.ics")
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (400, "required")


def test_the_key_is_kept_as_its_digest_alone(api, hold):
    key = link_of(api, "client", hold).partition("key=")[2]
    [row] = CalendarLink.objects.values()
    assert row["digest"] == hashlib.sha256(key.encode()).hexdigest()
    assert key not in repr(row)


def test_an_idempotency_key_does_not_keep_the_link(api, hold):
    """What is stored for it would hold the key itself."""
    api.credentials(HTTP_IDEMPOTENCY_KEY="one")
    first, second = (link_of(api, "client", hold) for _ in range(2))
    assert first != second
    assert one_event(api, second)
    with connection.cursor() as cursor:
        cursor.execute("SELECT COUNT(*) FROM scheduling_storedanswer")
        assert cursor.fetchone() == (0,)


@of_each_party
def test_only_the_key_counts_not_who_asks(api, hold, settings, party):
    settings.AUTHENTICATION = "required"
    callers.staff(api)
    link = link_of(api, party, hold)
    for token in ("", "Bearer made-up", "Basic x"):
        api.credentials(HTTP_AUTHORIZATION=token)
        assert one_event(api, link)


@of_each_party
def test_no_log_line_holds_a_key(api, hold, log, party):  # noqa: F811
    link = link_of(api, party, hold)
    api.get(link)
    api.get(link, HTTP_HOST="evil.example")
    api.post(link)
    api.delete(f"/{party}/calendarLink", {f"{party}_id": getattr(hold, f"{party}_id")})
    assert is_not_found(api.get(link))
    written = lines(log)
    assert {line["path"] for line in written if line["message"] == "request"} == {
        *(f"/{party}/calendarLink", f"/{party}/calendar.ics"),
    }
    made = [line for line in written if line["message"].startswith("calendar link")]
    assert [line["message"] for line in made] == ["calendar link made", "calendar link revoked"]
    digest = hashlib.sha256(link.partition("key=")[2].encode()).hexdigest()
    for secret in (link.partition("key=")[2], digest):
        assert secret not in log.getvalue()


def test_operators_see_no_links(admin_client):
    assert admin_client.get("/admin/scheduling/").status_code == 200
    assert admin_client.get("/admin/scheduling/calendarlink/").status_code == 404


@of_each_party
def test_head_answers_as_get_without_a_body(api, hold, party):
    link = link_of(api, party, hold)
    get, head = api.get(link), api.head(link)
    assert (head.status_code, head.content) == (200, b"")
    for name in ("Content-Type", "Content-Length", "ETag", "Last-Modified", "Cache-Control"):
        assert head[name] == get[name]
    assert get["Cache-Control"] == "private, max-age=60"
    assert re.fullmatch(r'"[0-9a-f]{32}"', get["ETag"])


@of_each_party
@pytest.mark.parametrize("method", ["get", "head"])
def test_what_a_caller_has_already_is_a_304(api, hold, party, method):
    link = link_of(api, party, hold)
    whole = api.get(link)

    def ask(**headers):
        answer = getattr(api, method)(link, **headers)
        if answer.status_code == 304:
            assert answer.content == b""
            assert not answer.has_header("Content-Type")
            for name in ("ETag", "Last-Modified", "Cache-Control"):
                assert answer[name] == whole[name]
        return answer.status_code

    tag, changed_at = whole["ETag"], whole["Last-Modified"]
    before = http_date(
        datetime.strptime(changed_at, "%a, %d %b %Y %H:%M:%S GMT").replace(tzinfo=UTC).timestamp()
        - 1
    )
    for seen in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        assert ask(HTTP_IF_NONE_MATCH=seen) == 304
    assert ask(HTTP_IF_NONE_MATCH='"other"') == 200
    assert ask(HTTP_IF_MODIFIED_SINCE=changed_at) == 304
    assert ask(HTTP_IF_MODIFIED_SINCE=before) == 200
    assert ask(HTTP_IF_MODIFIED_SINCE="yesterday") == 200
    # The tag is more exact than the time.
    assert ask(HTTP_IF_NONE_MATCH='"other"', HTTP_IF_MODIFIED_SINCE=changed_at) == 200
    assert ask(HTTP_IF_NONE_MATCH=tag, HTTP_IF_MODIFIED_SINCE=before) == 304


def cancel(api, hold):
    api.put("/provider/cancel", {"reservation_id": hold.pk})


def confirm(api, hold):
    api.put("/client/confirm", {"client_id": hold.client_id, "reservation_id": hold.pk})


def reserve_another(api, hold):
    timeslot = make_timeslot(hold.provider, 3 * DAY)
    asked = {"client_id": hold.client_id, "timeslot_id": timeslot.pk}
    assert api.post("/client/reserve", asked).status_code == 200


@pytest.mark.parametrize("change", [cancel, confirm, reserve_another])
def test_a_change_is_seen_by_tag_and_by_time(api, hold, clock, change):
    link = link_of(api, "client", hold)
    clock.shift(minutes=1)
    before = api.get(link)
    change(api, hold)
    clock.shift(minutes=1)
    for headers in (
        {"HTTP_IF_NONE_MATCH": before["ETag"]},
        {"HTTP_IF_MODIFIED_SINCE": before["Last-Modified"]},
    ):
        after = api.get(link, **headers)
        assert after.status_code == 200
        assert after["ETag"] != before["ETag"]


def test_a_hold_that_lapses_is_seen_by_tag_and_by_time(api, hold, clock):
    link = link_of(api, "client", hold)
    before = api.get(link)
    clock.shift(hours=1)
    assert api.get(link, HTTP_IF_NONE_MATCH=before["ETag"]).status_code == 200
    assert api.get(link, HTTP_IF_MODIFIED_SINCE=before["Last-Modified"]).status_code == 200


def test_a_new_name_is_seen_at_once_by_tag_and_the_next_day_by_time(api, hold, clock):
    link = link_of(api, "client", hold)
    clock.shift(hours=1)
    before = api.get(link)
    Provider.objects.filter(pk=hold.provider_id).update(last_name="Byron")
    assert api.get(link, HTTP_IF_NONE_MATCH=before["ETag"]).status_code == 200
    clock.shift(hours=24)
    assert api.get(link, HTTP_IF_MODIFIED_SINCE=before["Last-Modified"]).status_code == 200


def test_in_the_second_of_a_change_it_names_no_time(api, clock):
    """Another change in that second would go by the same time."""
    hold = make_hold()
    link = link_of(api, "client", hold)
    clock.shift(microseconds=999_999)
    assert not api.get(link).has_header("Last-Modified")
    clock.shift(microseconds=1)
    assert api.get(link)["Last-Modified"] == http_date(hold.created_at.timestamp())


def make_a_crowd():
    holds = [make_hold(make_timeslot(make_provider(), DAY)) for _ in range(3)]
    for hold in holds:
        hold.pk, hold.status = None, Reservation.Status.EXPIRED
    Reservation.objects.bulk_create(
        Reservation(
            **{
                field.attname: getattr(hold, field.attname)
                for field in Reservation._meta.concrete_fields
                if not field.primary_key
            }
        )
        for hold in holds
        for _ in range(300)
    )


@of_each_party
def test_it_takes_two_statements_for_any_number(
    api, clock, django_assert_num_queries, is_postgresql, party
):
    provider, client = make_provider(), make_client()
    for nth in range(30):
        make_hold(make_timeslot(provider, (nth + 1) * DAY), client)
    make_a_crowd()  # of others, so that nothing but the right index is worth a look
    link = make_link(api, party, {"provider": provider, "client": client}[party].pk)
    with django_assert_num_queries(2) as asked:
        assert len(events(api, link)) == 30
    with connection.cursor() as cursor:
        if is_postgresql:
            cursor.execute("ANALYZE scheduling_reservation")
            cursor.execute("SET LOCAL enable_seqscan = off")
        explain = "EXPLAIN" if is_postgresql else "EXPLAIN QUERY PLAN"
        cursor.execute(f"{explain} {asked.captured_queries[1]['sql']}")
        assert f"scheduling_of_{party}" in str(cursor.fetchall())
    with django_assert_num_queries(1):
        assert is_not_found(api.get(f"/{party}/calendar.ics", {"key": UNKNOWN_KEY}))


@pytest.mark.django_db(transaction=True)
@of_each_party
def test_of_links_made_at_once_exactly_one_is_good(api, party):
    hold = make_hold()
    links = at_once(*[partial(link_of, api, party, hold)] * 4)
    assert len(set(links)) == 4
    assert sorted(api.get(link).status_code for link in links) == [200, 404, 404, 404]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("constraint", "of"),
    [
        ("scheduling_calendarlink_one_of_provider", ["provider"]),
        ("scheduling_calendarlink_one_of_client", ["client"]),
        ("scheduling_calendarlink_of_one_party", []),
        ("scheduling_calendarlink_of_one_party", ["provider", "client"]),
    ],
)
def test_the_database_holds_one_link_for_each(clock, constraint, of):
    persons = {"provider": make_provider(), "client": make_client()}

    def make(digest, parties):
        CalendarLink.objects.create(
            digest=digest, created_at=clock.now, **{party: persons[party] for party in parties}
        )

    if len(of) == 1:
        make("a", of)
    with pytest.raises(IntegrityError) as refused, transaction.atomic():
        make("b", of)
    named = {constraint, *(f"scheduling_calendarlink.{party}_id" for party in of)}
    assert any(name in str(refused.value) for name in named)
