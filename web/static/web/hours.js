/** Publishing by weekly hours, from one date to another. */

import * as clock from "./clock.js";
import { dateInWords, fullDate } from "./days.js";
import { atFields, dateField, lengthField } from "./fields.js";
import { field, fill, form, gettext, make, show } from "./page.js";
import { publish, publishedInWords } from "./publish.js";
import { addDays, dateOf, startOfWeek, weekFrom } from "./time.js";

const WEEKDAYS = ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"];
const WORKDAYS = WEEKDAYS.slice(1, 6);
const REACH = 12 * 7; // days, unless another date is chosen

/** Show the form; what it publishes is seen in the week. */
export async function hours(mine, _, above) {
  const tomorrow = addDays(dateOf(clock.now(), mine.time_zone), 1);
  const overlap = make("div", {});
  const done = make("div", { role: "status" });
  const except = exceptions();
  const body = form(
    [
      weekdays(),
      make(
        "div",
        { class: "pair" },
        dateField(gettext("From"), "from_date", tomorrow),
        dateField(gettext("Until"), "until_date", addDays(tomorrow, REACH)),
      ),
      except.element,
      lengthField(),
      overlap,
    ],
    gettext("Publish"),
    async (given) => {
      done.replaceChildren();
      const asked = {
        provider_id: mine.provider_id,
        weekly: weekIn(given),
        from_date: given.from_date,
        until_date: given.until_date,
        except_dates: except.dates(),
        time_zone: mine.time_zone,
        slot_minutes: Number(given.slot_minutes),
      };
      try {
        await publish(asked, overlap, (count) => {
          const text = publishedInWords(count);
          const link = make("a", { href: `#/week/${given.from_date}` }, gettext("See the first week"));
          done.replaceChildren(make("div", { class: "notice" }, make("p", {}, text), link));
        });
      } catch (refused) {
        throw atFields(body, refused, NAMES);
      }
    },
  );
  body.addEventListener("input", () => overlap.replaceChildren());
  body.classList.add("hours");
  show(gettext("Weekly hours"), above, body, done);
}

// By the names of the service.
const NAMES = Object.fromEntries(WEEKDAYS.map((day) => [`weekly.${day}`, day]));

/** A field for each weekday, beginning with the one that the page's language begins with. */
function weekdays() {
  const dates = weekFrom(startOfWeek("2026-11-30"));
  const fields = dates.map((date) => {
    const name = WEEKDAYS[new Date(`${date}T00:00Z`).getUTCDay()];
    const label = dateInWords(date, { weekday: "long" });
    return field(label, {
      name,
      autocomplete: "off",
      "aria-describedby": "hours-hint",
    });
  });
  const copy = make("button", { type: "button" }, gettext("Copy Monday to the workdays"));
  const copied = make("span", { class: "unseen", role: "status" });
  copy.addEventListener("click", () => {
    const inputs = copy.form.elements;
    for (const day of WORKDAYS) inputs[day].value = inputs.monday.value;
    tellChange(copy);
    copied.textContent = gettext("Copied.");
  });
  return make(
    "fieldset",
    {},
    make("legend", {}, gettext("Hours of each weekday")),
    make(
      "p",
      { class: "hint", id: "hours-hint" },
      gettext("Such as 9:00-12:00, 13:00-17:00. Leave free what is no workday."),
    ),
    make("div", { class: "weekdays" }, fields),
    make("p", {}, copy, copied),
  );
}

/** What is changed by a script tells nobody by itself. */
const tellChange = (element) => element.dispatchEvent(new Event("input", { bubbles: true }));

/** The weekdays that have hours, as the service reads them. */
function weekIn(given) {
  const filled = WEEKDAYS.filter((day) => given[day].trim());
  return Object.fromEntries(filled.map((day) => [day, windowsIn(given[day])]));
}

/** "9-12, 13:00 – 17:00" as ["09:00-12:00", "13:00-17:00"]; what is unreadable is sent as it is. */
function windowsIn(text) {
  const windows = text
    .split(/[,;]/)
    .map((one) => one.replace(/\s/g, "").replace(/[–—]/g, "-").toLowerCase());
  return windows.filter(Boolean).map((window) => window.split("-").map(timeIn).join("-"));
}

/** Only "24:00" is a time of the service's, and "9" and "9:00" are none. */
function timeIn(text) {
  const [, hours, minutes = "00"] = /^(\d{1,2})(?:[:.](\d\d))?$/.exec(text) ?? [];
  return hours ? `${hours.padStart(2, "0")}:${minutes}` : text;
}

/** Dates that are left out, such as holidays: chosen one by one, each to be taken away again. */
function exceptions() {
  const chosen = new Set();
  const list = make("ul", { class: "list row" });
  const said = make("span", { class: "unseen", role: "status" });
  const input = make("input", { type: "date", id: "field-except" });
  const add = make("button", { type: "button" }, gettext("Leave out"));
  const paint = () => {
    list.replaceChildren(...[...chosen].sort().map(item));
    tellChange(list);
  };
  const item = (date) => {
    const label = fill(gettext("No more leave out %(date)s"), { date: fullDate(date) });
    const away = make(
      "button",
      { type: "button", class: "chip", "aria-label": label },
      fullDate(date),
      " ×",
    );
    away.addEventListener("click", () => {
      chosen.delete(date);
      paint();
      input.focus();
    });
    return make("li", {}, away);
  };
  add.addEventListener("click", () => {
    if (!input.value) return input.focus();
    chosen.add(input.value);
    said.textContent = fill(gettext("%(date)s is left out."), { date: fullDate(input.value) });
    input.value = "";
    return paint();
  });
  const element = make(
    "div",
    { class: "field" },
    make("label", { for: "field-except" }, gettext("Except on (holidays)")),
    make("div", { class: "row" }, input, add, said),
    list,
  );
  return { element, dates: () => [...chosen].sort() };
}
