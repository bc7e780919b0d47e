/** Blocking time off: first what it takes is shown, then it is done. */

import * as agenda from "./agenda.js";
import * as api from "./api.js";
import * as clock from "./clock.js";
import { asTime, minutesIn, timesInWords } from "./days.js";
import { asDanger, complain, dateField, reasonField, timeField } from "./fields.js";
import { action, announce, dialog, fill, form, gettext, make, ngettext } from "./page.js";
import { dateOf, inWords, minutesOf, momentOf } from "./time.js";

const CHANGED = ["timeslots_reserved", "timeslot_not_found"];
// Of a reservation that keeps the time from nobody any more.
const GONE = ["cancelled", "hold_expired"];

/** Ask what to block off, beginning with a range; `changed` is called when it was done. */
export function askToBlock(mine, [start, end], changed) {
  const zone = mine.time_zone;
  const said = make("p", { role: "status", class: "said" });
  const offered = make("div", {});
  const first = { ...edge("from", start, zone), ...edge("to", end, zone) };
  const body = form(
    [
      make(
        "div",
        { class: "pair" },
        dateField(gettext("From date"), "from_date", first.from_date, { autofocus: true }),
        timeField(gettext("From time"), "from_time", first.from_time, { step: 60 }),
      ),
      make(
        "div",
        { class: "pair" },
        dateField(gettext("To date"), "to_date", first.to_date),
        timeField(gettext("To time"), "to_time", first.to_time, { step: 60 }),
      ),
    ],
    gettext("Show what it takes"),
    async (given) => {
      const isUntouched = Object.keys(first).every((name) => given[name] === first[name]);
      const range = isUntouched ? [start, end] : rangeIn(given, zone);
      const isOver = range[1] <= clock.now();
      if (range[0] < range[1] && !isOver) return tell(range);
      complain(
        body.elements.to_time,
        isOver ? gettext("This time is over.") : gettext("The end comes after the start."),
      );
      return body.elements.to_time.focus();
    },
  );
  let edits = 0;
  body.addEventListener("input", () => {
    edits += 1;
    said.replaceChildren();
    offered.replaceChildren();
  });
  const box = dialog(gettext("Block time off"), body, said, offered);

  /** What would go; `news` says why it is said again. */
  const tell = async (range, news = "") => {
    const present = edits;
    // Whoever has been there is not cancelled.
    range = [new Date(Math.max(range[0], clock.now())), range[1]];
    const found = await agenda.look(mine, ...range);
    if (present !== edits) return; // another range is asked for by now
    const taken = found.filter(agenda.isReserved);
    const free = found.length - taken.length;
    const block = async ({ reason }) => {
      try {
        await withdraw(mine, range, taken, reason);
      } catch (refused) {
        if (!CHANGED.includes(refused.code)) throw refused;
        return tell(range, gettext("This has changed meanwhile:"));
      }
      box.close();
      announce(gettext("The time is blocked off."));
      return changed();
    };
    said.textContent = `${news} ${summary(free, taken.length)}`.trim();
    offered.replaceChildren(...offer(free, taken, zone, block));
  };
}

/** How many would go, and of whom: what is read out, too. */
function summary(free, taken) {
  if (!free && !taken) return gettext("Nothing is published in this time.");
  const going = ngettext("%(count)s free time would go.", "%(count)s free times would go.", free);
  const cancelled = ngettext(
    "%(count)s appointment would be cancelled:",
    "%(count)s appointments would be cancelled:",
    taken,
  );
  return [
    free > 0 && fill(going, { count: free }),
    taken > 0 ? fill(cancelled, { count: taken }) : gettext("Nobody is cancelled."),
  ]
    .filter(Boolean)
    .join(" ");
}

/** Who would be cancelled, and the button that does it. */
function offer(free, taken, zone, block) {
  if (!free && !taken.length) return [];
  if (!taken.length) return action(gettext("Block off"), () => block({}), { class: "danger" });
  const button = ngettext(
    "Block off and cancel %(count)s appointment",
    "Block off and cancel %(count)s appointments",
    taken.length,
  );
  return [
    make(
      "ul",
      { class: "victims" },
      taken.map((one) => make("li", {}, victim(one, zone))),
    ),
    asDanger(
      form(
        [reasonField(gettext("They are told; you need not give one."))],
        fill(button, { count: taken.length }),
        block,
      ),
    ),
  ];
}

function victim(one, zone) {
  const day = inWords(one.start, zone, { weekday: "short", day: "numeric", month: "short" });
  const values = {
    who: agenda.whoHas(one) || gettext("Somebody"),
    time: `${day}, ${timesInWords(one, zone)}`,
    state: agenda.stateInWords(one, zone),
  };
  return fill(gettext("%(who)s: %(time)s (%(state)s)"), values);
}

/**
 * Cancel those who were shown, and then take back what nobody has reserved: a reservation made
 * meanwhile is refused (timeslots_reserved), and nobody is cancelled unseen.
 */
async function withdraw({ provider_id }, [start, end], taken, reason) {
  for (const { reservation } of taken.filter((one) => one.reservation)) {
    const body = { provider_id, reservation_id: reservation.reservation_id };
    if (reason) body.reason = reason;
    await api.call("PUT", "/provider/cancel", { body }).catch((refused) => {
      if (!GONE.includes(refused.code)) throw refused;
    });
  }
  const query = { provider_id, start_time: start.toISOString(), end_time: end.toISOString() };
  await api.call("DELETE", "/provider/availability", { query });
}

const edge = (name, moment, zone) => ({
  [`${name}_date`]: dateOf(moment, zone),
  [`${name}_time`]: asTime(minutesOf(moment, zone)),
});

const rangeIn = (given, zone) => [
  momentOf(given.from_date, minutesIn(given.from_time), zone),
  momentOf(given.to_date, minutesIn(given.to_time), zone, { last: true }),
];
