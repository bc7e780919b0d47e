"""Letters: what people are told of their reservations by e-mail, in their own time zone."""

import unicodedata
from datetime import datetime
from email.utils import parseaddr
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.core.mail.message import utf8_charset_qp
from django.template import Context, Engine
from django.utils import timezone
from django.utils.encoding import punycode

from . import calendars, ics
from .models import Person, Reservation, Webhook

TEMPLATES = "scheduling/letters"
PARAGRAPH_BREAK = "\n\n"
# They turn around what stands behind a name, up to the end of the line.
TURNING = {"LRE", "RLE", "PDF", "LRO", "RLO", "LRI", "RLI", "FSI", "PDI"}
Status = Reservation.Status
# How the reservation stands after it. A reminder tells calendars nothing.
STATUS = {
    "reserved": Status.HELD,
    "confirmed": Status.CONFIRMED,
    "expired": Status.EXPIRED,
    "cancelled": Status.CANCELLED,
    "moved_away": Status.CANCELLED,
}


class Letter(NamedTuple):
    """What a person is told."""

    # reserved, confirmed, expired, cancelled, rescheduled, reminder, or to a provider moved_away:
    # the reservation is with another one now.
    kind: str
    party: Reservation.Party
    address: str
    recipient: Person
    other: Person
    # The same whenever it is sent, so that who gets it twice can tell.
    message_id: str
    reservation_id: int
    start_time: datetime
    end_time: datetime
    happened_at: datetime
    caused_by: str
    reason: str
    version: int
    # Of what was rescheduled: whether it is firm, or a hold still.
    is_confirmed: bool
    expires_at: datetime | None
    unsubscribe_url: str


class Name(NamedTuple):
    """As it can stand in a line."""

    first_name: str
    last_name: str

    def __str__(self) -> str:
        return f"{self.first_name} {self.last_name}"


def compose(letter: Letter) -> EmailMultiAlternatives:
    zone = calendars.zone_named(letter.recipient.time_zone)
    variables = _variables(letter, zone)
    # Templates show the moments they are given on the recipient's clock.
    with timezone.override(zone):
        subject, *paragraphs = _words(letter.kind, variables)
        variables |= {"subject": subject, "paragraphs": paragraphs}
        text = _render("letter.txt", variables, is_html=False)
        html = _render("letter.html", variables, is_html=True)
    message = EmailMultiAlternatives(
        subject,
        text,
        settings.EMAIL_FROM,
        [letter.address],
        headers=_headers(letter.message_id, letter.unsubscribe_url),
    )
    # Mail servers that take seven bits alone need not write it anew.
    message.encoding = utf8_charset_qp
    message.attach_alternative(html, "text/html")
    if letter.kind != "reminder":
        _attach_invite(message, letter, variables, zone)
    return message


def compose_notice(*, webhook: Webhook, address: str, message_id: str) -> EmailMultiAlternatives:
    """To the owner of a webhook that was disabled for what it answered, or did not answer."""
    why = {
        Webhook.Reason.GONE: "It answered 410 Gone.",
        Webhook.Reason.FAILING: "A message could not be delivered to it for three days.",
    }[Webhook.Reason(webhook.disabled_because)]
    text = (
        f"Webhook {webhook.pk} is told nothing any more:\n\n{webhook.url}\n\n{why} The deliveries"
        f" (GET /webhooks/deliveries?webhook_id={webhook.pk}) say what came of each attempt. Enable"
        " it again once it works (PUT /webhooks); what happened meanwhile is in GET /events.\n"
    )
    headers = _headers(message_id, "")
    subject = f"Webhook {webhook.pk} was disabled"
    return EmailMultiAlternatives(subject, text, settings.EMAIL_FROM, [address], headers=headers)


def _attach_invite(
    message: EmailMultiAlternatives, letter: Letter, variables: dict[str, Any], zone: ZoneInfo
) -> None:
    status = STATUS.get(letter.kind) or (Status.CONFIRMED if letter.is_confirmed else Status.HELD)
    entry = ics.Entry(
        reservation_id=letter.reservation_id,
        version=letter.version,
        status=status,
        settled_at=letter.happened_at,
        start_time=letter.start_time,
        end_time=letter.end_time,
        other=str(variables["other"]),
    )
    organizer = ics.Contact(*parseaddr(settings.EMAIL_FROM))
    attendee = ics.Contact(str(variables["recipient"]), letter.address)
    invite = ics.invite(entry, zone, organizer, attendee)
    # Twice, as Google's own invitations have it. Outlook goes by the alternative and its method,
    # and so does Gmail to change an event that is there; Apple Mail, and who enters it by hand, by
    # the file, which is of another type, so that nobody takes it for a second invitation.
    message.attach_alternative(invite.decode(), f"{ics.MEDIA_TYPE}; method={ics.method(status)}")
    message.attach("invite.ics", invite, "application/ics")


def _headers(message_id: str, unsubscribe_url: str) -> dict[str, str]:
    _, sender = parseaddr(settings.EMAIL_FROM)
    headers = {
        "Message-ID": f"<{message_id}@{punycode(sender.rpartition('@')[2])}>",
        "Auto-Submitted": "auto-generated",  # RFC 3834: no notes of absence in return
    }
    if unsubscribe_url:  # RFC 8058
        headers["List-Unsubscribe"] = f"<{unsubscribe_url}>"
        headers["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    return headers


def _variables(letter: Letter, zone: ZoneInfo) -> dict[str, Any]:
    """What templates get; README.md lists it."""
    start, end = letter.start_time.astimezone(zone), letter.end_time.astimezone(zone)
    deadline = letter.expires_at and letter.expires_at.astimezone(zone)
    return {
        "kind": letter.kind,
        "party": str(letter.party),
        "recipient": _name(letter.recipient),
        "other": _name(letter.other),
        "when": _span(start, end, zone),
        "starts": f"{_day(start)}, {start:%H:%M}",
        "confirm_by": deadline
        and f"{deadline:%H:%M} on {_day(deadline)} ({_zone(deadline, zone)})",
        "confirm_by_time": deadline and f"{deadline:%H:%M}",
        "is_confirmed": letter.is_confirmed,
        "caused_by": letter.caused_by,
        "reason": _line(letter.reason),
        "reservation_id": letter.reservation_id,
        "start_time": letter.start_time,
        "end_time": letter.end_time,
        "expires_at": letter.expires_at,
        "happened_at": letter.happened_at,
        "time_zone": zone.key,
        "public_url": settings.PUBLIC_URL,
        "unsubscribe_url": letter.unsubscribe_url,
        "paragraph_break": PARAGRAPH_BREAK,
    }


def _words(kind: str, variables: dict[str, Any]) -> list[str]:
    """The subject, which is the first line, and each paragraph."""
    subject, _, text = _render(f"{kind}.txt", variables, is_html=False).strip().partition("\n")
    paragraphs = (paragraph.strip() for paragraph in text.split(PARAGRAPH_BREAK))
    return [_line(subject), *(paragraph for paragraph in paragraphs if paragraph)]


def _render(name: str, variables: dict[str, Any], *, is_html: bool) -> str:
    template = Engine.get_default().get_template(f"{TEMPLATES}/{name}")
    return template.render(Context(variables, autoescape=is_html))


def _name(person: Person) -> Name:
    return Name(_line(person.first_name), _line(person.last_name))


def _line(text: str) -> str:
    """Without what would end the line (U+2028 too) or turn its rest around."""
    harmless = (sign for sign in text if unicodedata.bidirectional(sign) not in TURNING)
    return " ".join("".join(harmless).split())


def _span(start: datetime, end: datetime, zone: ZoneInfo) -> str:
    until = f"{end:%H:%M}" if end.date() == start.date() else f"{_day(end)}, {end:%H:%M}"
    if start.utcoffset() == end.utcoffset():
        return f"{_day(start)}, {start:%H:%M} to {until} ({_zone(start, zone)})"
    # The clock changes in between.
    return (
        f"{_day(start)}, {start:%H:%M} ({_offset(start)}) to {until} ({_offset(end)}), {zone.key}"
    )


def _day(moment: datetime) -> str:
    return f"{moment:%A}, {moment.day} {moment:%B %Y}"


def _zone(moment: datetime, zone: ZoneInfo) -> str:
    return zone.key if zone.key == "UTC" else f"{zone.key}, {_offset(moment)}"


def _offset(moment: datetime) -> str:
    offset = f"{moment:%z}"
    return f"UTC{offset[:3]}:{offset[3:5]}"
