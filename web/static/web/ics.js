/** A reservation as a file for calendars (RFC 5545). */

import { fill, gettext, make, nameOf } from "./page.js";

/** Its UID is that of the service's own calendars, so no app has it twice. */
export function download(one, provider) {
  const url = URL.createObjectURL(new Blob([asCalendar(one, provider)], { type: "text/calendar" }));
  const link = make("a", { href: url, download: `appointment-${one.reservation_id}.ics` });
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

function asCalendar(one, provider) {
  const summary = provider
    ? fill(gettext("Appointment with %(name)s"), { name: nameOf(provider) })
    : gettext("Appointment");
  const lines = [
    "BEGIN:VCALENDAR",
    "VERSION:2.0",
    "PRODID:-//reservation-service//booking page//EN",
    "METHOD:PUBLISH",
    "BEGIN:VEVENT",
    `UID:reservation-${one.reservation_id}@reservation-service`,
    `DTSTAMP:${stamp(new Date())}`,
    `DTSTART:${stamp(new Date(one.start_time))}`,
    `DTEND:${stamp(new Date(one.end_time))}`,
    `SUMMARY:${escaped(summary)}`,
    "STATUS:CONFIRMED",
    "END:VEVENT",
    "END:VCALENDAR",
  ];
  return lines.map((line) => `${folded(line)}\r\n`).join("");
}

const stamp = (moment) => moment.toISOString().replace(/[-:]|\.\d+/g, "");

const escaped = (text) => text.replace(/[\\;,]/g, "\\$&").replace(/\s+/g, " ");

/** At 75 octets (RFC 5545, 3.1), and never inside of a character. */
function folded(line) {
  const encoder = new TextEncoder();
  let [written, room] = ["", 75];
  for (const character of line) {
    const size = encoder.encode(character).length;
    if (size > room) [written, room] = [`${written}\r\n `, 74];
    written += character;
    room -= size;
  }
  return written;
}
