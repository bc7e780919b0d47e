/** The list of a day: who comes when, to print on one page. */

import * as agenda from "./agenda.js";
import { showTimeslot } from "./appointment.js";
import * as clock from "./clock.js";
import { dayOn, fullDate, isDate, timesOn } from "./days.js";
import { arrow, fill, gettext, make, nameOf, ngettext, show } from "./page.js";
import { addDays, dateOf, zoneInWords } from "./time.js";

// So many rows of a printed page fit into one column, into two, and into three.
const ROWS = [36, 100, 200];

/** Show the list of a date; `go` shows another, `refresh` what has changed. */
export async function dayList(mine, given, above) {
  const zone = mine.time_zone;
  const parts = frame();
  let day;
  let painted;
  let asked = 0;

  async function go(date) {
    day = dayOn(date ?? dateOf(clock.now(), zone), zone);
    painted = undefined;
    parts.title.textContent = fullDate(day.date);
    parts.before.href = `#/day/${addDays(day.date, -1)}`;
    parts.after.href = `#/day/${addDays(day.date, 1)}`;
    parts.week.href = `#/week/${day.date}`;
    parts.date.value = day.date;
    parts.printed.textContent = fill(gettext("%(name)s, times of %(zone)s"), {
      name: nameOf(mine),
      zone: zoneInWords(zone, new Date(day.start)),
    });
    await refresh();
  }

  async function refresh() {
    asked += 1;
    const present = asked;
    const found = await agenda.look(mine, day.start, day.end);
    if (present !== asked) return; // another day is shown by now
    const rows = agenda.merged(found).map((one) => rowOf(one, day));
    const text = JSON.stringify(rows);
    if (text === painted) return;
    painted = text;
    const focused = parts.list.contains(document.activeElement) && document.activeElement.dataset.id;
    const open = (id) =>
      showTimeslot(
        mine,
        found.find((one) => one.id === id),
        refresh,
      );
    parts.list.dataset.columns = 1 + ROWS.filter((most) => rows.length > most).length;
    parts.list.replaceChildren(listOf(rows, open));
    if (focused) parts.list.querySelector(`[data-id="${focused}"]`)?.focus({ preventScroll: true });
  }

  const choose = () => {
    const { value } = parts.date;
    if (isDate(value) && value !== day.date) location.hash = `#/day/${value}`;
  };
  // Whoever types a date has not chosen it with the first digit; a click in the calendar has.
  let isTyping = false;
  parts.date.addEventListener("keydown", ({ key }) => {
    isTyping = key !== "Enter";
    if (!isTyping) choose();
  });
  parts.date.addEventListener("pointerdown", () => (isTyping = false));
  parts.date.addEventListener("change", () => isTyping || choose());
  parts.date.addEventListener("blur", choose);
  show(gettext("List of the day"), above, parts.bar, parts.title, parts.printed, parts.list);
  await go(given);
  return { refresh, go, title: parts.title };
}

function frame() {
  const parts = {
    title: make("h2", { class: "date" }),
    before: arrow("‹", gettext("Previous day")),
    after: arrow("›", gettext("Next day")),
    week: make("a", { class: "button" }, gettext("Its week")),
    date: make("input", { type: "date", "aria-label": gettext("Date") }),
    printed: make("p", { class: "printed" }),
    list: make("div", { class: "day-list" }),
  };
  const print = make("button", { type: "button", onclick: () => window.print() }, gettext("Print"));
  parts.bar = make(
    "div",
    { class: "bar" },
    make("div", { class: "row" }, parts.before, parts.date, parts.after, parts.week),
    make("div", { class: "row" }, print),
  );
  return parts;
}

function rowOf(one, day) {
  const times = fill(ngettext("%(count)s time", "%(count)s times", one.count), { count: one.count });
  const state = agenda.stateInWords(one, day.zone);
  return {
    id: one.count === 1 ? one.id : undefined,
    time: timesOn(day, one),
    who: agenda.whoHas(one),
    kind: agenda.kindOf(one),
    state: one.count === 1 ? state : fill(gettext("%(state)s, %(times)s"), { state, times }),
  };
}

function listOf(rows, open) {
  if (!rows.length) return make("p", {}, gettext("Nothing is published on this day."));
  const heads = [gettext("Time"), gettext("Who"), gettext("State")];
  return make(
    "table",
    {},
    make("caption", { class: "unseen" }, gettext("Times of this day")),
    make(
      "thead",
      {},
      make(
        "tr",
        {},
        heads.map((head) => make("th", { scope: "col" }, head)),
      ),
    ),
    make(
      "tbody",
      {},
      rows.map((row) => rowElement(row, open)),
    ),
  );
}

function rowElement({ id, time, who, kind, state }, open) {
  const shown = id
    ? make("button", { type: "button", class: "plain", "data-id": id, onclick: () => open(id) }, time)
    : time;
  return make(
    "tr",
    { class: kind },
    make("th", { scope: "row" }, shown),
    make("td", {}, who),
    make("td", {}, state),
  );
}
