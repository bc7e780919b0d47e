"""Calendars as RFC 5545 has them, for the apps that people keep theirs in."""

from datetime import datetime, timedelta
from typing import NamedTuple
from urllib.parse import quote
from zoneinfo import ZoneInfo

from icalendar import (
    Calendar,
    Event,
    Timezone,
    TimezoneDaylight,
    TimezoneStandard,
    vCalAddress,
    vDuration,
    vText,
)

from . import calendars, feeds, policy
from .models import Reservation

MEDIA_TYPE = "text/calendar"
REFRESH = timedelta(minutes=15)
IN_ADDRESSES = "@!$&'*+=_.~-"  # RFC 6068 has the others written as %XX
Status = Reservation.Status

STATUS = {
    Status.HELD: "TENTATIVE",
    Status.CONFIRMED: "CONFIRMED",
    Status.EXPIRED: "CANCELLED",
    Status.CANCELLED: "CANCELLED",
}
# Not every app shows the status of an event.
SUMMARY = {
    Status.HELD: "On hold: {name}",
    Status.CONFIRMED: "{name}",
    Status.EXPIRED: "Expired: {name}",
    Status.CANCELLED: "Cancelled: {name}",
}


class Entry(NamedTuple):
    """A reservation as one of its parties has it in a calendar."""

    reservation_id: int
    version: int
    status: Reservation.Status
    settled_at: datetime
    start_time: datetime
    end_time: datetime
    other: str


class Contact(NamedTuple):
    name: str
    address: str


def uid(reservation_id: int) -> str:
    """The same for either party, by whatever host the service was asked, and for good."""
    return f"reservation-{reservation_id}@reservation-service"


def encode(calendar: feeds.Calendar) -> bytes:
    document = _calendar("PUBLISH", "calendar feed")
    # As text: the library escapes nothing in a name of which it does not know the type.
    document.add("X-WR-CALNAME", vText(f"Reservations of {calendar.person}"))
    document.add("REFRESH-INTERVAL", REFRESH, parameters={"VALUE": "DURATION"})
    document.add("X-PUBLISHED-TTL", vDuration(REFRESH))
    for reservation in calendar.reservations:
        is_providers = calendar.party == Reservation.Party.PROVIDER
        other = reservation.client if is_providers else reservation.provider
        event = _event(
            Entry(
                reservation_id=reservation.pk,
                version=reservation.version,
                status=Status(reservation.status),
                settled_at=reservation.settled_at,
                start_time=reservation.start_time,
                end_time=reservation.end_time,
                other=str(other),
            )
        )
        event.add("CREATED", reservation.created_at)
        document.add_component(event)
    return _encoded(document)


def method(status: Reservation.Status) -> str:
    """What an invitation to a reservation in this status asks of a calendar."""
    return "CANCEL" if STATUS[status] == "CANCELLED" else "REQUEST"


def invite(entry: Entry, zone: ZoneInfo, organizer: Contact, attendee: Contact) -> bytes:
    """By which a calendar that gets mail (RFC 6047) enters, changes or strikes out a reservation.

    Nobody is asked for an answer: nobody would read it.
    """
    event = _event(entry)
    event.add("ORGANIZER", _address(organizer))
    answered = {"PARTSTAT": "ACCEPTED", "RSVP": "FALSE", "ROLE": "REQ-PARTICIPANT"}
    event.add("ATTENDEE", _address(attendee), parameters=answered)
    document = _calendar(method(entry.status), "invitations")
    start, end = (moment.astimezone(zone) for moment in (entry.start_time, entry.end_time))
    # Of an hour that comes twice, RFC 5545 has a word for the first only: then it stays in UTC.
    if zone.key != "UTC" and not (start.fold or end.fold):
        document.add_component(_time_zone(zone, entry.start_time))
        event.DTSTART, event.DTEND = start, end
    document.add_component(event)
    return _encoded(document)


def _calendar(method: str, product: str) -> Calendar:
    document = Calendar()
    document.add("PRODID", f"-//reservation-service//{product}//EN")
    document.add("VERSION", "2.0")
    document.add("METHOD", method)
    return document


def _encoded(document: Calendar) -> bytes:
    encoded: bytes = document.to_ical()
    return encoded


def _event(entry: Entry) -> Event:
    is_off = STATUS[entry.status] == "CANCELLED"
    event = Event()
    event.add("UID", uid(entry.reservation_id))
    event.add("SEQUENCE", entry.version)
    event.add("DTSTAMP", entry.settled_at)
    event.add("LAST-MODIFIED", entry.settled_at)
    event.add("DTSTART", entry.start_time)
    event.add("DTEND", entry.end_time)
    event.add("SUMMARY", SUMMARY[entry.status].format(name=entry.other))
    event.add("STATUS", STATUS[entry.status])
    event.add("TRANSP", "TRANSPARENT" if is_off else "OPAQUE")
    return event


def _address(contact: Contact) -> vCalAddress:
    address = vCalAddress(f"mailto:{quote(contact.address, safe=IN_ADDRESSES)}")
    if contact.name:
        address.params["CN"] = contact.name
    return address


def _time_zone(zone: ZoneInfo, moment: datetime) -> Timezone:
    """The clock around a moment: as it was changed last, and as it is changed next.

    The library's own has summer begin an hour late, and later changes as RDATEs, which not
    everybody reads.
    """
    last, upcoming = calendars.changes_around(moment, zone)
    document = Timezone()
    document.add("TZID", zone.key)
    if last is None:
        ever = moment.astimezone(zone)
        document.add_component(_observance(policy.EPOCH, ever, ever))
    for change in filter(None, (last, upcoming)):
        before, after = (change - timedelta(seconds=1)).astimezone(zone), change.astimezone(zone)
        document.add_component(_observance(change, before, after))
    return document


def _observance(
    since: datetime, before: datetime, after: datetime
) -> TimezoneStandard | TimezoneDaylight:
    observance = TimezoneDaylight() if after.dst() else TimezoneStandard()
    # As the clock shows it that nobody has changed yet.
    observance.DTSTART = (since + (before.utcoffset() or timedelta(0))).replace(tzinfo=None)
    observance.TZOFFSETFROM = before.utcoffset()
    observance.TZOFFSETTO = after.utcoffset()
    observance.add("TZNAME", after.tzname())
    return observance
