/** A provider's week: seven days by the hours of the clock, with what is free, held and booked. */

import * as agenda from "./agenda.js";
import { showTimeslot } from "./appointment.js";
import { focusedId, keepFocus, makeTabbable, neighbour } from "./arrows.js";
import { askToBlock } from "./block.js";
import * as clock from "./clock.js";
import { axis, dayColumn, looksOf, paintDay, perMinute, showNow } from "./column.js";
import { dateInWords, datesInWords, dayOn, fullDate, momentAt, piecesOn } from "./days.js";
import { arrow, fill, gettext, make, nameOf, show } from "./page.js";
import { askToPublish } from "./publish.js";
import { addDays, dateOf, startOfWeek, weekFrom } from "./time.js";

const EARLY = 6 * 60;
const MORNING = 8 * 60;

/** Show the week of a date; `go` shows another, `refresh` what has changed. */
export async function week(mine, given, above) {
  const zone = mine.time_zone;
  const today = () => dateOf(clock.now(), zone);
  const parts = frame();
  let days = [];
  let found = [];
  let painted = []; // what each day shows, as a text to compare
  let asked = 0;
  let shown = 0; // where there is room for one day only, the nth

  const changed = () => refresh();
  const open = (id) =>
    showTimeslot(
      mine,
      found.find((one) => one.id === id),
      changed,
    );
  const publish = (range) => askToPublish(mine, range, seePublished);
  const block = (range) => askToBlock(mine, range, changed);
  const drag = (start, end) => (parts.blocks.checked ? block : publish)([start, end]);

  async function go(date) {
    const first = startOfWeek(date ?? today());
    const nth = date ? weekFrom(first).indexOf(date) : Math.max(weekFrom(first).indexOf(today()), 0);
    days = weekFrom(first).map((one) => dayOn(one, zone));
    [found, painted] = [[], []];
    parts.title.textContent = datesInWords(first, addDays(first, 6));
    parts.before.href = `#/week/${addDays(first, -7)}`;
    parts.after.href = `#/week/${addDays(first, 7)}`;
    parts.grid.replaceChildren(axis(), ...days.map((day) => dayColumn(day, today(), drag)));
    parts.strip.replaceChildren(...days.map((day, at) => dayButton(day, () => showDay(at))));
    showDay(nth);
    parts.grid.setAttribute("aria-busy", "true");
    await refresh();
  }

  function showDay(nth) {
    shown = nth;
    const columns = parts.grid.querySelectorAll(".day");
    columns.forEach((column, at) => column.classList.toggle("shown", at === nth));
    parts.strip.querySelectorAll("button").forEach((button, at) => {
      button.setAttribute("aria-pressed", at === nth);
    });
  }

  /** It may be on another day than those that are shown. */
  async function seePublished(start) {
    const date = dateOf(start, zone);
    const nth = days.findIndex((day) => day.date === date);
    if (nth >= 0) showDay(nth);
    else location.hash = `#/week/${date}`;
    await refresh();
  }

  async function refresh() {
    asked += 1;
    const present = asked;
    const answer = await agenda.look(mine, days[0].start, days.at(-1).end);
    if (present !== asked) return; // another week is shown by now
    found = answer;
    paint();
  }

  function paint() {
    const columns = parts.grid.querySelectorAll(".day");
    const focused = focusedId(parts.grid);
    parts.grid.style.setProperty("--minute", `${perMinute(found)}rem`);
    days.forEach((day, nth) => {
      const looks = looksOf(day, found, { isFirst: nth === 0 });
      const text = JSON.stringify(looks);
      if (painted[nth] !== text) paintDay(columns[nth], looks);
      painted[nth] = text;
      showNow(columns[nth], day);
    });
    keepFocus(parts.grid, focused, found);
    parts.grid.removeAttribute("aria-busy");
  }

  parts.grid.addEventListener("click", (event) => {
    const slot = event.target.closest("[data-id]");
    if (slot) open(Number(slot.dataset.id));
  });
  parts.grid.addEventListener("keydown", (event) => {
    const next = neighbour(parts.grid, event);
    if (!next) return;
    event.preventDefault();
    showDay([...parts.grid.querySelectorAll(".day")].indexOf(next.closest(".day")));
    makeTabbable(parts.grid, next);
    next.focus();
  });
  parts.blocks.form.addEventListener("change", () => {
    parts.grid.classList.toggle("blocking", parts.blocks.checked);
  });
  /** What the buttons begin with: a morning of the one day that is shown or, of a week, ahead. */
  const suggested = () => {
    const isWeek = parts.strip.offsetParent === null;
    const day = (isWeek && days.find(({ date }) => date > today())) || days[shown];
    return [momentAt(day, 9 * 60, 1, false), momentAt(day, 12 * 60, 1, true)];
  };
  parts.publish.addEventListener("click", () => publish(suggested()));
  parts.block.addEventListener("click", () => block(suggested()));

  const title = fill(gettext("Calendar of %(name)s"), { name: nameOf(mine) });
  show(title, above, parts.bar, legend(), parts.strip, parts.grid);
  await go(given);
  scrollToWork(parts.grid, days, found);
  return { refresh, go, title: parts.title };
}

/** All that stays when another week is shown. */
function frame() {
  const radio = (attributes) => make("input", { type: "radio", name: "mode", ...attributes });
  const blocks = radio({ value: "block" });
  const parts = {
    title: make("h2", {}),
    before: arrow("‹", gettext("Previous week")),
    after: arrow("›", gettext("Next week")),
    publish: make("button", { type: "button", class: "primary" }, gettext("Publish hours")),
    block: make("button", { type: "button" }, gettext("Block time off")),
    blocks,
    strip: make("div", { class: "strip", role: "group", "aria-label": gettext("Day") }),
    grid: make("div", {
      class: "week",
      role: "region",
      tabindex: "0",
      "aria-label": gettext("Week; arrow keys lead from one time to the next"),
    }),
  };
  const { before, after, title, publish, block } = parts;
  const now = make("a", { class: "button", href: "#/week" }, gettext("Today"));
  const modes = make(
    "form",
    { class: "modes" },
    make(
      "fieldset",
      {},
      make("legend", {}, gettext("Dragging")),
      make("label", {}, radio({ value: "publish", checked: true }), gettext("publishes hours")),
      make("label", {}, blocks, gettext("blocks time off")),
    ),
  );
  parts.bar = make(
    "div",
    { class: "bar" },
    make("div", { class: "row" }, before, now, after, title),
    make("div", { class: "row" }, modes, publish, block),
  );
  return parts;
}

function legend() {
  const kinds = [
    ["free", gettext("free")],
    ["late", gettext("free, too late to book")],
    ["held", gettext("held: not confirmed yet")],
    ["booked", gettext("booked")],
  ];
  return make(
    "ul",
    { class: "legend", "aria-label": gettext("What the patterns mean") },
    kinds.map(([kind, text]) => make("li", {}, make("span", { class: `swatch ${kind}` }), text)),
  );
}

function dayButton(day, onclick) {
  return make(
    "button",
    { type: "button", onclick, "aria-label": fullDate(day.date) },
    make("span", {}, dateInWords(day.date, { weekday: "narrow" })),
    make("span", {}, dateInWords(day.date, { day: "numeric" })),
  );
}

/** To where the week's first timeslot begins, or to the morning. */
function scrollToWork(grid, days, found) {
  const starts = days.flatMap((day) =>
    found.flatMap((one) => piecesOn(day, one.start, one.end).map(({ from }) => from)),
  );
  const first = Math.min(...starts);
  const minutes = first >= EARLY && first < 24 * 60 ? first : MORNING;
  const { height } = grid.querySelector(".axis").getBoundingClientRect();
  grid.scrollTop = (height * (minutes - 30)) / (24 * 60);
}
