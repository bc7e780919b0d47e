"""What people are told by e-mail: scheduling/letters.py composes it, calendars take it in."""

import email
import email.policy
import re
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from html.parser import HTMLParser

import pytest
import vobject
from django.core.checks import run_checks
from django.core.mail import get_connection
from django.template import engines

from scheduling import calendars, ics, letters
from scheduling.models import Client, Provider, Reservation

from .mailbox import Mailbox
from .server import ROOT

pytestmark = pytest.mark.once

CLIENT, PROVIDER = Reservation.Party.CLIENT, Reservation.Party.PROVIDER
README = (ROOT / "README.md").read_text()
START = datetime(2026, 12, 2, 9, 0, tzinfo=UTC)
HAPPENED = datetime(2026, 11, 30, 9, 0, tzinfo=UTC)
QUARTER, HOUR = timedelta(minutes=15), timedelta(hours=1)
ADDRESS = "alan@example.org"
UNSUBSCRIBE = f"https://reservations.example/unsubscribe?key={'k' * 90}"
KINDS = ["reserved", "confirmed", "expired", "cancelled", "rescheduled", "moved_away", "reminder"]
NAMES = [
    'Turing, "Al" Alan; A.',
    "<script>alert(1)</script>&amp;",
    "Al\u2028Bcc: eve@example.org\u2029Turing\x85x",
    "Al\r\nBcc: eve@example.org",
    r"back\slash \n ^n {{ other }} {% now 'Y' %}",
    "\U0001f9ea\u00e9t\u00e9",
    "\u0645\u062d\u0645\u062f",
    "END:VEVENT",
    "\u6f22" * 100,
    "a" * 100,
]


@pytest.fixture(autouse=True)
def _sender(settings):
    settings.EMAIL_FROM = "Praxis B\u00fccher <desk@practice.example>"


def make_letter(kind="reserved", party=CLIENT, zone="UTC", **given):
    recipient = (Client if party == CLIENT else Provider)(
        first_name="Alan", last_name="Turing", time_zone=zone
    )
    other = (Provider if party == CLIENT else Client)(first_name="Ada", last_name="Lovelace")
    start_time = given.get("start_time", START)
    return letters.Letter(
        **{
            "kind": kind,
            "party": party,
            "address": ADDRESS,
            "recipient": recipient,
            "other": other,
            "message_id": "event-17-client",
            "reservation_id": 17,
            "start_time": start_time,
            "end_time": start_time + QUARTER,
            "happened_at": HAPPENED,
            "caused_by": "client",
            "reason": "",
            "version": 3,
            "is_confirmed": False,
            "expires_at": HAPPENED + timedelta(minutes=30, seconds=59),
            "unsubscribe_url": "",
        }
        | given
    )


def compose(*args, **given):
    """As it arrives: bytes on the wire, read by the standard library's strict reader."""
    message = letters.compose(make_letter(*args, **given)).message()
    return parse(message.as_bytes(linesep="\r\n"))


def parse(content):
    message = email.message_from_bytes(content, policy=email.policy.default)
    for part in message.walk():
        assert part.defects == []
        assert [header.defects for header in part.values() if header.defects] == []
    return message


def text_of(message):
    return message.get_body(("plain",)).get_content().replace("\r\n", "\n")


def html_of(message):
    return message.get_body(("html",)).get_content().replace("\r\n", "\n")


def calendars_of(message):
    parts = [part for part in message.walk() if part.get_content_type() == "text/calendar"]
    return [part.get_content().replace("\r\n", "\n") for part in parts]


def invite_of(message):
    """The calendar, by a library that had no part in making it."""
    [invite] = calendars_of(message)
    return read(invite)


def read(invite):
    # It would read each time zone as it was in the first calendar that ever named it.
    for name in re.findall(r"(?m)^TZID:(\S+)", invite):
        vobject.icalendar.registerTzid(name, None)
    return vobject.readOne(invite)


def moments_of(event):
    """In UTC: with its clock on it, a time that comes twice equals none in another zone."""
    return tuple(moment.value.astimezone(UTC) for moment in (event.dtstart, event.dtend))


class Shown(HTMLParser):
    """What somebody sees of a page, and which elements it has."""

    def __init__(self, page):
        super().__init__()
        self.text, self.elements = "", []
        self.feed(page)

    def handle_data(self, data):
        self.text += data

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))


# --- What it says --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "party", "given", "subject", "words"),
    [
        (
            *("reserved", CLIENT, {}, "Please confirm by 09:30: {}"),
            [
                "This time with Ada Lovelace is held for you:",
                "Please confirm it by 09:30 on Monday, 30 November 2026 (UTC). Otherwise it lapses",
            ],
        ),
        (
            *("reserved", PROVIDER, {}, "On hold: {}"),
            ["It lapses unless Ada Lovelace confirms it by 09:30 on Monday, 30 November 2026"],
        ),
        ("confirmed", CLIENT, {}, "Confirmed: {}", ["with Ada Lovelace is confirmed:"]),
        ("confirmed", PROVIDER, {}, "Confirmed: {}", ["with Ada Lovelace is confirmed:"]),
        ("expired", CLIENT, {}, "Not confirmed in time: {}", ["You did not confirm", "again."]),
        ("expired", PROVIDER, {}, "Not confirmed in time: {}", ["Ada Lovelace did not confirm"]),
        ("cancelled", CLIENT, {}, "Cancelled: {}", ["You have cancelled this", "nothing more"]),
        (
            *("cancelled", CLIENT, {"caused_by": "provider", "reason": "Ill, & sorry."}),
            "Cancelled: {}",
            ["Ada Lovelace has cancelled", "Reason given: Ill, & sorry.", "Please do not come."],
        ),
        ("cancelled", CLIENT, {"caused_by": "service"}, "Cancelled: {}", ["was cancelled:"]),
        ("cancelled", PROVIDER, {}, "Cancelled: {}", ["Ada Lovelace has cancelled"]),
        (
            *("rescheduled", CLIENT, {"is_confirmed": True}, "Rescheduled: {}"),
            ["You have moved your appointment with Ada Lovelace. It is now:", "It is confirmed."],
        ),
        (
            *("rescheduled", CLIENT, {}, "Rescheduled, please confirm by 09:30: {}"),
            ["Please confirm it by 09:30 on Monday, 30 November 2026 (UTC). Otherwise it lapses"],
        ),
        (
            *("rescheduled", PROVIDER, {}, "On hold, rescheduled: {}"),
            ["Ada Lovelace has moved", "It lapses unless Ada Lovelace confirms it by 09:30"],
        ),
        (
            "moved_away",
            PROVIDER,
            {},
            "No longer with you: {}",
            ["moved this appointment to another"],
        ),
        (
            "reminder",
            CLIENT,
            {},
            "Reminder: {}",
            ["remind you", "If you cannot come, please cancel"],
        ),
        ("reminder", PROVIDER, {}, "Reminder: {}", ["remind you"]),
    ],
)
def test_it_says_what_happened_and_what_to_do(kind, party, given, subject, words):
    message = compose(kind, party, **given)
    about = "Wednesday, 2 December 2026, 09:00, with Ada Lovelace"
    assert message["Subject"] == subject.format(about)
    shown = Shown(html_of(message)).text
    for phrase in [
        *("Hello Alan Turing,", "Wednesday, 2 December 2026, 09:00 to 09:15 (UTC)"),
        *words,
    ]:
        assert phrase in text_of(message)
        assert phrase in shown
    assert ("Reason given" in shown) is ("reason" in given)
    assert "None" not in shown


LORD_HOWE = "Australia/Lord_Howe"


@pytest.mark.parametrize(
    ("zone", "start_time", "length", "when"),
    [
        ("UTC", START, QUARTER, "Wednesday, 2 December 2026, 09:00 to 09:15 (UTC)"),
        (
            *("Europe/Paris", START, QUARTER),
            "Wednesday, 2 December 2026, 10:00 to 10:15 (Europe/Paris, UTC+01:00)",
        ),
        (
            *("America/New_York", datetime(2026, 12, 1, 4, 50, tzinfo=UTC), QUARTER),
            "Monday, 30 November 2026, 23:50 to Tuesday, 1 December 2026, 00:05 "
            "(America/New_York, UTC-05:00)",
        ),
        (
            *("Pacific/Kiritimati", START + 2 * HOUR, QUARTER),
            "Thursday, 3 December 2026, 01:00 to 01:15 (Pacific/Kiritimati, UTC+14:00)",
        ),
        (
            *("Asia/Kathmandu", START, QUARTER),
            "Wednesday, 2 December 2026, 14:45 to 15:00 (Asia/Kathmandu, UTC+05:45)",
        ),
        # Put forward: 02:00 is 03:00.
        (
            *("Europe/Paris", datetime(2027, 3, 28, 0, 45, tzinfo=UTC), QUARTER),
            "Sunday, 28 March 2027, 01:45 (UTC+01:00) to 03:00 (UTC+02:00), Europe/Paris",
        ),
        (
            *("Europe/Paris", datetime(2027, 3, 28, 1, 0, tzinfo=UTC), QUARTER),
            "Sunday, 28 March 2027, 03:00 to 03:15 (Europe/Paris, UTC+02:00)",
        ),
        # Put back: 02:30 comes twice.
        (
            *("Europe/Paris", datetime(2026, 10, 25, 0, 30, tzinfo=UTC), QUARTER),
            "Sunday, 25 October 2026, 02:30 to 02:45 (Europe/Paris, UTC+02:00)",
        ),
        (
            *("Europe/Paris", datetime(2026, 10, 25, 1, 30, tzinfo=UTC), QUARTER),
            "Sunday, 25 October 2026, 02:30 to 02:45 (Europe/Paris, UTC+01:00)",
        ),
        # By half an hour: at 02:00 it is 01:30 again, or 02:30 at once.
        (
            *(LORD_HOWE, datetime(2027, 4, 3, 14, 45, tzinfo=UTC), 2 * QUARTER),
            "Sunday, 4 April 2027, 01:45 (UTC+11:00) to 01:45 (UTC+10:30), Australia/Lord_Howe",
        ),
        (
            *(LORD_HOWE, datetime(2027, 10, 2, 15, 15, tzinfo=UTC), 2 * QUARTER),
            "Sunday, 3 October 2027, 01:45 (UTC+10:30) to 02:45 (UTC+11:00), Australia/Lord_Howe",
        ),
    ],
)
def test_times_are_those_of_the_recipients_clock(zone, start_time, length, when):
    given = {"start_time": start_time, "end_time": start_time + length}
    message = compose("confirmed", zone=zone, **given)
    assert when in text_of(message).split("\n\n")
    assert when in Shown(html_of(message)).text
    [event] = invite_of(message).vevent_list
    assert moments_of(event) == (start_time, start_time + length)


# --- What stands around it -----------------------------------------------------------------------


def test_its_headers_say_what_it_is(clock):
    message = compose(unsubscribe_url=UNSUBSCRIBE)
    assert message["From"] == "Praxis B\u00fccher <desk@practice.example>"
    assert message["To"] == ADDRESS
    assert message["Message-ID"] == "<event-17-client@practice.example>"
    assert parsedate_to_datetime(message["Date"]).replace(tzinfo=UTC) == clock.now
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["List-Unsubscribe"].strip() == f"<{UNSUBSCRIBE}>"
    assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert UNSUBSCRIBE in text_of(message)
    assert ("a", UNSUBSCRIBE) in [
        (tag, attributes.get("href")) for tag, attributes in Shown(html_of(message)).elements
    ]


def test_it_names_no_way_to_unsubscribe_where_there_is_none():
    message = compose()
    assert "List-Unsubscribe" not in message
    assert "List-Unsubscribe-Post" not in message
    assert "No more such messages" not in text_of(message) + html_of(message)


def test_it_is_the_same_message_when_it_is_sent_again(clock):
    def comparable(message):
        content = message.as_string()
        for boundary in re.findall(r'boundary="(.+)"', content):
            content = content.replace(boundary, "")
        return content

    first, second = compose(), compose()
    assert comparable(first) == comparable(second)
    clock.shift(hours=2)
    later = compose()
    assert later["Message-ID"] == first["Message-ID"]
    assert calendars_of(later) == calendars_of(first)


def test_a_sender_of_another_script_still_makes_an_id(settings):
    settings.EMAIL_FROM = "desk@b\u00fccher.example"
    assert compose()["Message-ID"] == "<event-17-client@xn--bcher-kva.example>"


@pytest.mark.parametrize("kind", KINDS)
def test_it_fetches_nothing_from_elsewhere(kind):
    page = html_of(compose(kind))
    loading = {"img", "script", "link", "iframe", "object", "video", "audio", "form", "base"}
    assert loading.isdisjoint(tag for tag, _ in Shown(page).elements)
    assert not re.search(r"(?i)url\(|@import|src=|https?:", page)
    assert "prefers-color-scheme: dark" in page


# --- Names ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
@pytest.mark.parametrize("kind", KINDS)
def test_a_name_is_text_wherever_it_stands(kind, name):
    parties = {
        "recipient": Client(first_name=name, last_name=name, time_zone="Europe/Paris"),
        "other": Provider(first_name=name, last_name=name),
    }
    message = compose(kind, caused_by="provider", reason=name, **parties)
    plain = compose(kind, caused_by="provider", reason="x")
    assert message.keys() == plain.keys()
    assert message["To"] == ADDRESS
    shown_name = " ".join(f"{name} {name}".split())
    assert message["Subject"].endswith(f", with {shown_name}")
    text, page = text_of(message), html_of(message)
    assert f"Hello {shown_name}," in text.split("\n\n")
    assert len(text.split("\n\n")) == len(text_of(plain).split("\n\n"))
    assert f"Hello {shown_name}," in Shown(page).text
    assert [tag for tag, _ in Shown(page).elements] == [
        tag for tag, _ in Shown(html_of(plain)).elements
    ]
    for part in message.walk():
        assert max(map(len, part.as_bytes().splitlines())) <= 998
    if kind == "reminder":
        return
    invite = invite_of(message)
    [event] = invite.vevent_list
    assert event.summary.value.endswith(shown_name)
    assert [len(lines) for lines in invite.vevent.contents.values()] == [
        len(lines) for lines in invite_of(plain).vevent.contents.values()
    ]
    assert (event.attendee.value, event.organizer.value) == (
        *(f"mailto:{ADDRESS}", "mailto:desk@practice.example"),
    )


def test_what_turns_a_line_around_is_left_out():
    other = Provider(first_name="Ada\u202e", last_name="\u2067Lovelace\u2069")
    message = compose("confirmed", other=other)
    assert message["Subject"].endswith(", with Ada Lovelace")
    assert not set("\u202e\u2067\u2069") & set(text_of(message) + html_of(message))


@pytest.mark.parametrize(
    ("address", "uri"),
    [
        ("o'brien+x@example.org", "mailto:o'brien+x@example.org"),
        ("50%#1?@example.org", "mailto:50%25%231%3F@example.org"),
        ('"a:b;c,d"@example.org', "mailto:%22a%3Ab%3Bc%2Cd%22@example.org"),
    ],
)
def test_an_address_is_one_address(address, uri):
    message = compose(address=address)
    [recipient] = message["To"].addresses
    assert recipient.addr_spec == address
    assert invite_of(message).vevent.attendee.value == uri


# --- What calendars take in ----------------------------------------------------------------------


@pytest.mark.parametrize("party", [CLIENT, PROVIDER])
@pytest.mark.parametrize(
    ("kind", "is_confirmed", "method", "status"),
    [
        ("reserved", False, "REQUEST", "TENTATIVE"),
        ("reserved", True, "REQUEST", "TENTATIVE"),  # as it was: the news is in the next
        ("confirmed", True, "REQUEST", "CONFIRMED"),
        ("rescheduled", True, "REQUEST", "CONFIRMED"),
        ("rescheduled", False, "REQUEST", "TENTATIVE"),
        ("expired", False, "CANCEL", "CANCELLED"),
        ("cancelled", False, "CANCEL", "CANCELLED"),
        ("moved_away", True, "CANCEL", "CANCELLED"),
    ],
)
def test_calendars_are_told_the_same(party, kind, is_confirmed, method, status):
    message = compose(kind, party, "Europe/Paris", is_confirmed=is_confirmed)
    assert message.get_content_type() == "multipart/mixed"
    alternatives, attached = message.iter_parts()
    assert alternatives.get_content_type() == "multipart/alternative"
    types = [part.get_content_type() for part in alternatives.iter_parts()]
    assert types == ["text/plain", "text/html", "text/calendar"]
    *_, inline = alternatives.iter_parts()
    assert inline["Content-Type"].params["method"] == method
    assert inline.get_content_charset() == "utf-8"
    assert inline.get_content_disposition() is None
    assert (attached.get_content_type(), attached.get_filename()) == (
        *("application/ics", "invite.ics"),
    )
    assert attached.get_content() == inline.get_content().encode()

    invite = invite_of(message)
    assert invite.method.value == method
    [event] = invite.vevent_list
    assert event.uid.value == ics.uid(17) == "reservation-17@reservation-service"
    assert event.sequence.value == "3"
    assert event.status.value == status
    assert event.transp.value == ("OPAQUE" if method == "REQUEST" else "TRANSPARENT")
    assert event.dtstamp.value == HAPPENED
    assert moments_of(event) == (START, START + QUARTER)
    assert event.dtstart.params["X-VOBJ-ORIGINAL-TZID"] == ["Europe/Paris"]
    assert event.summary.value.endswith("Ada Lovelace")
    assert event.organizer.value == "mailto:desk@practice.example"
    assert event.organizer.params == {"CN": ["Praxis B\u00fccher"]}
    assert event.attendee.value == f"mailto:{ADDRESS}"
    assert event.attendee.params == {
        "CN": ["Alan Turing"],
        "PARTSTAT": ["ACCEPTED"],
        "ROLE": ["REQ-PARTICIPANT"],
        "RSVP": ["FALSE"],
    }


def test_a_reminder_tells_calendars_nothing():
    message = compose("reminder")
    assert message.get_content_type() == "multipart/alternative"
    assert calendars_of(message) == []


def test_an_invite_is_written_as_rfc_5545_has_it():
    other = Provider(first_name="\u6f22\u5b57" * 40, last_name="X" * 100)
    _, attached = compose(other=other, zone="Asia/Tokyo").iter_parts()
    *whole, last = attached.get_content().split(b"\r\n")
    assert last == b""
    assert b"\n" not in b"".join(whole)
    assert max(map(len, whole)) <= 75
    for line in whole:
        line.decode()  # no character is torn apart


def test_utc_needs_no_clock_of_its_own():
    [invite] = calendars_of(compose())
    assert "VTIMEZONE" not in invite
    assert "\nDTSTART:20261202T090000Z\n" in invite


def test_the_second_time_of_an_hour_that_comes_twice_is_said_in_utc():
    first, second = (
        calendars_of(compose(zone="Europe/Paris", start_time=start))[0]
        for start in (
            datetime(2026, 10, 25, 0, 30, tzinfo=UTC),
            datetime(2026, 10, 25, 1, 30, tzinfo=UTC),
        )
    )
    assert "\nDTSTART;TZID=Europe/Paris:20261025T023000\n" in first
    assert "\nDTSTART:20261025T013000Z\n" in second


def test_the_clock_is_told_from_one_change_to_the_next():
    [invite] = calendars_of(compose(zone=LORD_HOWE))
    clock = invite[invite.index("BEGIN:VTIMEZONE") : invite.index("BEGIN:VEVENT")]
    assert clock.split() == [
        *("BEGIN:VTIMEZONE", "TZID:Australia/Lord_Howe"),
        *("BEGIN:DAYLIGHT", "DTSTART:20261004T020000", "TZNAME:+11"),
        *("TZOFFSETFROM:+1030", "TZOFFSETTO:+1100", "END:DAYLIGHT"),
        *("BEGIN:STANDARD", "DTSTART:20270404T020000", "TZNAME:+1030"),
        *("TZOFFSETFROM:+1100", "TZOFFSETTO:+1030", "END:STANDARD"),
        "END:VTIMEZONE",
    ]


def read_by_others(zone, start_time):
    entry = ics.Entry(
        *(17, 1, Reservation.Status.CONFIRMED, HAPPENED),
        *(start_time, start_time + QUARTER, "Ada Lovelace"),
    )
    contact = ics.Contact("", ADDRESS)
    event = read(ics.invite(entry, zone, contact, contact).decode()).vevent
    return moments_of(event)


@pytest.mark.parametrize("start_time", [START, datetime(2027, 7, 1, 12, 0, tzinfo=UTC)])
def test_other_readers_find_the_same_moment_in_every_zone(start_time):
    for name in sorted(calendars.zone_names()):
        found = read_by_others(calendars.zone_named(name), start_time)
        assert found == (start_time, start_time + QUARTER), name


@pytest.mark.parametrize(
    "zone",
    [
        *("Europe/Paris", "Europe/Dublin", "America/New_York", "America/Santiago", LORD_HOWE),
        *("Africa/Casablanca", "Asia/Gaza", "America/Nuuk", "Africa/Cairo"),
    ],
)
def test_other_readers_find_the_same_moment_while_the_clock_changes(zone):
    zone = calendars.zone_named(zone)
    changes = list(filter(None, calendars.changes_around(START, zone)))
    assert changes
    for change in changes:
        before, after = ((change + step).astimezone(zone) for step in (-QUARTER, QUARTER))
        assert before.utcoffset() != after.utcoffset()
        for nth in range(-14, 15):
            start_time = change + nth * QUARTER
            assert read_by_others(zone, start_time) == (start_time, start_time + QUARTER)


# --- What a deployer says otherwise --------------------------------------------------------------


@pytest.fixture
def folder(settings, tmp_path):
    """A deployer's own templates."""
    folder = tmp_path / "scheduling" / "letters"
    folder.mkdir(parents=True)
    [engine] = settings.TEMPLATES
    settings.TEMPLATES = [engine | {"DIRS": [tmp_path]}]
    assert engines["django"].dirs == [tmp_path]
    return folder


def test_a_deployer_says_it_in_other_words(folder):
    (folder / "confirmed.txt").write_text(
        "  Bestätigt:\t{{ start_time|date:'d.m.Y H:i' }}, {{ other.last_name }}\n\n\n"
        "Guten Tag {{ recipient.first_name }}\n{{ when }}\n\n{% if reason %}{{ reason }}{% endif %}"
        "\n\nIhre Praxis\nam Markt {{ reservation_id }}\n"
    )
    other = Provider(first_name="Ada", last_name="<Lovelace> & Co.")
    message = compose("confirmed", zone="Europe/Berlin", other=other)
    assert message["Subject"].strip() == "Bestätigt: 02.12.2026 10:00, <Lovelace> & Co."
    assert text_of(message).startswith("Guten Tag Alan\nWednesday, 2 December")
    assert "\n\nIhre Praxis\nam Markt 17\n\n-- \n" in text_of(message)
    page = html_of(message)
    assert "Ihre Praxis<br>am Markt 17</p>" in page
    assert "&lt;Lovelace&gt; &amp; Co." in page
    assert compose("expired")["Subject"].startswith("Not confirmed in time")


def test_a_deployer_gives_it_another_look(folder):
    (folder / "letter.html").write_text("<h1>{{ subject }}</h1>{{ paragraphs|join:'|' }}{{ kind }}")
    (folder / "letter.txt").write_text("{{ paragraphs.0 }} {{ public_url }}")
    message = compose("confirmed", other=Provider(first_name="<b>", last_name="X"))
    assert html_of(message).startswith("<h1>Confirmed: ")
    assert "&lt;b&gt; X|" not in html_of(message)
    assert "&lt;b&gt; X is confirmed:|" in html_of(message)
    assert text_of(message).strip() == "Hello Alan Turing,"


@pytest.mark.parametrize(
    "content", [b"{% if %}", b"{{ when|shout }}", b"Gr\xfc\xdfe", b"{% load x %}"]
)
@pytest.mark.parametrize("name", ["confirmed.txt", "letter.html"])
def test_a_template_that_cannot_be_read_is_named_at_the_start(folder, name, content):
    (folder / name).write_bytes(content)
    [found] = [found for found in run_checks() if found.id == "scheduling.E003"]
    assert found.msg.startswith(f"EMAIL_TEMPLATES: {name}: ")


def test_the_readme_names_every_template_and_variable():
    section = README.partition("## Messages to people")[2].partition("\n## ")[0]
    templates, variables = section.split("\n| variable |")
    folder = ROOT / "scheduling" / "templates" / "scheduling" / "letters"
    named = set(re.findall(r"`(\w+\.(?:txt|html))`", templates))
    assert named == {path.name for path in folder.iterdir()}
    assert named == {f"{kind}.txt" for kind in KINDS} | {"letter.txt", "letter.html"}
    rows = re.findall(r"(?m)^\| (`.*?) \|", variables)
    given = set(letters._variables(make_letter(), calendars.UTC_ZONE)) - {"paragraph_break"}
    assert {name for row in rows for name in re.findall(r"`(\w+)`", row)} == given


# --- By SMTP -------------------------------------------------------------------------------------


def test_it_arrives_by_smtp_as_it_was_composed():
    backend = "django.core.mail.backends.smtp.EmailBackend"
    other = Provider(first_name="\u0645\u062d\u0645\u062f", last_name="\U0001f9ea" * 100)
    letter = make_letter(zone="Europe/Paris", other=other, unsubscribe_url=UNSUBSCRIBE)
    with (
        Mailbox() as mailbox,
        get_connection(backend, host="127.0.0.1", port=mailbox.port) as connection,
    ):
        assert connection.send_messages([letters.compose(letter)]) == 1
    [envelope] = mailbox.envelopes
    assert (envelope.mail_from, envelope.rcpt_tos) == ("desk@practice.example", [ADDRESS])
    assert envelope.content.isascii()
    message = parse(envelope.content)
    assert message["Subject"].endswith(f", with {other}")
    assert message["Message-ID"] == "<event-17-client@practice.example>"
    assert message["List-Unsubscribe"].strip() == f"<{UNSUBSCRIBE}>"
    assert f"This time with {other} is held for you:" in text_of(message)
    invite = invite_of(message)
    assert invite.vevent.summary.value == f"On hold: {other}"
    assert invite.vevent.dtstart.value == START
    [attached] = message.iter_attachments()
    assert read(attached.get_content().decode()).vevent.uid.value == ics.uid(17)
