/** A month, the days of it on which something can be booked, and the times of one of them. */

import * as api from "./api.js";
import { action, announce, fill, gettext, inOwnWords, make, ngettext, notice } from "./page.js";
import { addMonths, clockTime, dateOf, inWords, longDay, offsetInWords, startOfDay, weeksOf } from "./time.js";

const MOST_LISTED = 5000;
const STEPS = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -7, ArrowDown: 7 };

/**
 * Lets somebody choose a day and a time of a provider's. `choose` gets the timeslot, and what to do
 * when it is found to be taken; `chosen` gets each day that is looked at.
 */
export async function chooser({ providerId, zone, date, choose, chosen, signal }) {
  const calendar = make("section", { "aria-label": gettext("Days") });
  const times = make("section", { "aria-label": gettext("Times") });
  const today = dateOf(new Date(), zone);
  let month = (date ?? today).slice(0, 7);
  let onScreen = month;
  let days = new Map();
  let turns = 0;

  async function load() {
    turns += 1;
    const mine = turns;
    const found = await bookable(providerId, zone, month);
    if (mine !== turns || signal.aborted) return false;
    days = found;
    return true;
  }

  async function turn(months, focus) {
    month = addMonths(month, months);
    const mine = turns + 1;
    calendar.setAttribute("aria-busy", "true");
    try {
      if (!(await load())) return;
    } catch (refused) {
      if (!refused.code) throw refused;
      calendar.removeAttribute("aria-busy");
      if (mine !== turns) return;
      month = onScreen;
      calendar.querySelector(".complaint").replaceChildren(notice("bad", inOwnWords(refused)));
      return;
    }
    calendar.removeAttribute("aria-busy");
    look([...days.keys()][0]);
    (calendar.querySelector(`${focus}:enabled`) ?? calendar.querySelector("#next-month")).focus();
    announce(monthInWords(month));
  }

  function look(day) {
    date = day;
    onScreen = month;
    if (day) chosen(day);
    calendar.replaceChildren(...monthOf());
    times.replaceChildren(...timesOf());
  }

  function monthOf() {
    const arrow = (months, sign, label, id) =>
      make(
        "button",
        { type: "button", id, "aria-label": label, disabled: months < 0 && month <= today.slice(0, 7), onclick: () => turn(months, `#${id}`) },
        make("span", { class: "arrow" }, sign),
      );
    const table = make(
      "table",
      { class: "month" },
      make("thead", {}, make("tr", {}, weekdays())),
      make("tbody", {}, weeksOf(month).map((week) => make("tr", {}, week.map(cell)))),
    );
    table.addEventListener("keydown", step);
    return [
      make(
        "div",
        { class: "turn" },
        arrow(-1, "‹", gettext("Previous month"), "previous-month"),
        make("h2", {}, monthInWords(month)),
        arrow(1, "›", gettext("Next month"), "next-month"),
      ),
      make("div", { class: "complaint" }),
      table,
    ];
  }

  function cell(day) {
    if (!day.startsWith(month)) return make("td", {});
    const number = Number(day.slice(8));
    const slots = days.get(day);
    const mark = { class: day === today ? "today" : false };
    if (!slots) return make("td", mark, number);
    const count = slots.length;
    const said = fill(ngettext("%(day)s, %(count)s time", "%(day)s, %(count)s times", count), {
      day: longDay(new Date(slots[0].start_time), zone),
      count,
    });
    return make(
      "td",
      mark,
      make(
        "button",
        { type: "button", "data-day": day, "aria-label": said, "aria-pressed": String(day === date), onclick: () => pick(day) },
        number,
      ),
    );
  }

  function pick(day) {
    look(day);
    calendar.querySelector(`[data-day="${day}"]`).focus();
  }

  /** By arrow keys, from one bookable day to the next that way. */
  function step(event) {
    const from = event.target.dataset.day;
    if (!from || !(event.key in STEPS)) return;
    const isMirrored = getComputedStyle(calendar).direction === "rtl";
    const by = STEPS[event.key] * (isMirrored && Math.abs(STEPS[event.key]) === 1 ? -1 : 1);
    const start = Date.parse(from);
    for (let days = by; Math.abs(days) < 31; days += by) {
      const day = new Date(start + days * 86_400_000).toISOString().slice(0, 10);
      const button = calendar.querySelector(`[data-day="${day}"]`);
      if (button) {
        event.preventDefault();
        button.focus();
        return;
      }
    }
  }

  function timesOf() {
    const slots = days.get(date) ?? [];
    if (!slots.length) {
      return [
        make("p", {}, gettext("Nothing can be booked in this month.")),
        make("div", {}, action(gettext("Next bookable day"), jump)),
      ];
    }
    const labels = slots.map((slot) => clockTime(new Date(slot.start_time), zone));
    return [
      make("h2", {}, longDay(new Date(slots[0].start_time), zone)),
      make(
        "ul",
        { class: "times" },
        slots.map((slot, nth) => {
          // Of an hour that comes twice, the offset says which.
          const isTwice = labels.indexOf(labels[nth]) !== labels.lastIndexOf(labels[nth]);
          const offset = isTwice ? ` ${offsetInWords(zone, new Date(slot.start_time))}` : "";
          return make("li", {}, make("button", { type: "button", onclick: () => choose(slot) }, labels[nth], offset));
        }),
      ),
    ];
  }

  /** To the month of the next time that can be booked or, if there is none later, of the first. */
  async function jump() {
    const query = { provider_ids: providerId, limit: 1 };
    const end = startOfDay(`${addMonths(month, 1)}-01`, zone).toISOString();
    for (const from of [end, undefined]) {
      const { found } = await api.call("GET", "/client/findTimeslots", { query: { ...query, from } });
      const [slot] = found["available timeslots"];
      if (slot) {
        const day = dateOf(new Date(slot.start_time), zone);
        month = day.slice(0, 7);
        try {
          if (!(await load())) return;
          if (days.has(day)) pick(day);
          else look([...days.keys()][0]); // it was taken meanwhile
        } catch (refused) {
          month = onScreen;
          throw refused;
        }
        return;
      }
    }
    announce(gettext("Nothing can be booked here just now."));
  }

  if (await load()) look(days.has(date) ? date : [...days.keys()][0]);
  return make("div", { class: "choose" }, calendar, times);
}

/** What can be booked in a month, by day. */
async function bookable(providerId, zone, month) {
  const query = {
    provider_id: providerId,
    from: startOfDay(`${month}-01`, zone).toISOString(),
    to: startOfDay(`${addMonths(month, 1)}-01`, zone).toISOString(),
    limit: MOST_LISTED,
  };
  const days = new Map();
  const slots = await api.listed("available timeslots", "/client/getProviderAvailability", query);
  for (const slot of slots) {
    const day = dateOf(new Date(slot.start_time), zone);
    if (!days.has(day)) days.set(day, []);
    days.get(day).push(slot);
  }
  return days;
}

function weekdays() {
  return weeksOf("2026-06")[0].map((day) => {
    const noon = new Date(`${day}T12:00Z`);
    const [short, long] = ["short", "long"].map((weekday) => inWords(noon, "UTC", { weekday }));
    return make("th", { scope: "col", abbr: long }, short);
  });
}

const monthInWords = (month) =>
  inWords(new Date(`${month}-15T12:00Z`), "UTC", { month: "long", year: "numeric" });
