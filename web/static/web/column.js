/** A day of the calendar: its column, and what stands in it. */

import * as agenda from "./agenda.js";
import * as clock from "./clock.js";
import { dateInWords, fullDate, MINUTE, piecesOn } from "./days.js";
import { draggable, place } from "./drag.js";
import { fill, make, ngettext } from "./page.js";
import { clockTime, offsetInWords } from "./time.js";

const LEAST_HEIGHT = 1.5; // rem, of a timeslot: what a finger needs
const LEAST_PER_MINUTE = 0.1;
const HOURS = Array.from({ length: 23 }, (_, nth) => nth + 1);

/** The hours, beside the columns. */
export function axis() {
  const hour = (nth) => make("span", {}, clockTime(new Date(Date.UTC(2000, 0, 1, nth)), "UTC"));
  return make(
    "div",
    { class: "axis", "aria-hidden": "true" },
    HOURS.map((nth) => place(hour(nth), { from: nth * 60, until: nth * 60 })),
  );
}

/** The column of a day, empty; `drag` gets what was dragged over in it. */
export function dayColumn(day, today, drag) {
  const id = `day-${day.date}`;
  const link = make(
    "a",
    { href: `#/day/${day.date}`, "aria-current": day.date === today && "date" },
    make("span", { "aria-hidden": "true" }, dateInWords(day.date, { weekday: "short", day: "numeric" })),
    make("span", { class: "unseen" }, fullDate(day.date)),
  );
  const column = make("div", { class: "column" }, make("ol", { class: "slots" }));
  draggable(column, day, drag);
  return make(
    "section",
    { class: "day", "aria-labelledby": id },
    make("h3", { id }, link, make("small", { class: "count" })),
    column,
  );
}

/**
 * What the timeslots of a day look like. Of one that goes on after midnight or a change of the
 * clock, the first piece is the button, and the others (`isRest`) show that it does.
 */
export function looksOf(day, found, { isFirst }) {
  return found
    .filter((one) => one.start < day.end && one.end > day.start)
    .flatMap((one) =>
      piecesOn(day, one.start, one.end).map((piece, nth) => ({
        ...piece,
        id: one.id,
        isRest: nth > 0 || (one.start < day.start && !isFirst),
        kind: agenda.kindOf(one),
        isPast: agenda.isPast(one),
        begins: timeOn(day, one.start, piece),
        ends: timeOn(day, one.end, piece),
        who: agenda.whoHas(one),
        state: agenda.stateInWords(one, day.zone),
      })),
    );
}

/** Of two that show the same time, it says which: "02:00 +2" and "02:00 +1". */
function timeOn(day, moment, { lane }) {
  const time = clockTime(moment, day.zone);
  return lane ? `${time} ${offsetInWords(day.zone, moment).replace("UTC", "")}` : time;
}

export function paintDay(section, looks) {
  section.querySelector(".slots").replaceChildren(...looks.map(slot));
  const booked = looks.filter(({ kind, isRest }) => kind === "booked" && !isRest).length;
  const text = ngettext("%(count)s booked", "%(count)s booked", booked);
  section.querySelector(".count").textContent = booked ? fill(text, { count: booked }) : "";
}

function slot(look) {
  const classes = ["slot", look.kind, look.isPast && "past"].filter(Boolean).join(" ");
  if (look.isRest) {
    return place(make("li", { class: classes, "data-id": look.id, "aria-hidden": "true" }), look);
  }
  const said = (text) => make("span", { class: "unseen" }, text);
  const button = make(
    "button",
    { type: "button", tabindex: "-1", "data-id": look.id },
    make("time", {}, look.begins),
    said(` – ${look.ends} `),
    make("b", {}, look.who),
    " ",
    look.kind === "held" ? make("i", {}, look.state) : said(look.state),
  );
  return place(make("li", { class: classes }, button), look);
}

/** How high a minute is, in rem: the shortest timeslot is still large enough to be met. */
export function perMinute(found) {
  const shortest = Math.min(...found.map(({ start, end }) => (end - start) / MINUTE));
  return Math.max(LEAST_PER_MINUTE, LEAST_HEIGHT / shortest);
}

/** A line at this moment. */
export function showNow(section, day) {
  section.querySelector(".now")?.remove();
  const at = clock.now();
  for (const piece of piecesOn(day, at, at + MINUTE)) {
    section.querySelector(".column").append(place(make("div", { class: "now" }), piece));
  }
}
