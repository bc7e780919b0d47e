/** Publishing a range of one day, and what all publishing has in common. */

import * as api from "./api.js";
import { asTime, MINUTE, minutesIn, timesInWords } from "./days.js";
import { atFields, dateField, lengthField, timeField } from "./fields.js";
import { action, announce, dialog, fill, form, gettext, make, ngettext, notice } from "./page.js";
import { addDays, dateOf, longDay, minutesOf, momentOf } from "./time.js";

/** Ask what to publish, beginning with a range; `done` is called when it is published. */
export function askToPublish(mine, [start, end], done) {
  const zone = mine.time_zone;
  const first = {
    date: dateOf(start, zone),
    from: asTime(minutesOf(start, zone)),
    to: asTime(minutesOf(end, zone)),
  };
  // On a day on which an hour comes twice, what was dragged says which one is meant.
  const rangeOf = (given) =>
    ["date", "from", "to"].every((name) => given[name] === first[name])
      ? [start, end]
      : rangeIn(given, zone);
  const overlap = make("div", {});
  const preview = make("output", { class: "quiet" });

  const body = form(
    [
      dateField(gettext("Date"), "date", first.date, { autofocus: true }),
      make(
        "div",
        { class: "pair" },
        timeField(gettext("From"), "from", first.from),
        timeField(gettext("To"), "to", first.to),
      ),
      lengthField(),
      make("p", {}, preview),
      overlap,
    ],
    gettext("Publish"),
    async (given) => {
      const [start_time, end_time] = rangeOf(given);
      const asked = {
        provider_id: mine.provider_id,
        start_time,
        end_time,
        slot_minutes: Number(given.slot_minutes),
      };
      try {
        await publish(asked, overlap, async (count) => {
          box.close();
          announce(publishedInWords(count));
          await done(start_time);
        });
      } catch (refused) {
        throw atFields(body, refused, { start_time: "from", end_time: "to" });
      }
    },
  );
  const tell = () => {
    overlap.replaceChildren();
    const given = Object.fromEntries(new FormData(body));
    preview.textContent = Object.values(given).every(Boolean)
      ? previewInWords(rangeOf(given), Number(given.slot_minutes), zone)
      : "";
  };
  body.addEventListener("input", tell);
  tell();
  const box = dialog(gettext("Publish hours"), body);
}

/** From and to on a date; what ends no later than it starts ends on the next day. */
function rangeIn({ date, from, to }, zone) {
  const [start, end] = [minutesIn(from), minutesIn(to)];
  const endDate = end > start ? date : addDays(date, 1);
  return [momentOf(date, start, zone), momentOf(endDate, end, zone, { last: true })];
}

function previewInWords([start, end], minutes, zone) {
  const count = Math.floor((end - start) / MINUTE / minutes);
  const values = { day: longDay(start, zone), range: timesInWords({ start, end }, zone), count };
  const text = ngettext(
    "%(day)s, %(range)s: %(count)s appointment",
    "%(day)s, %(range)s: %(count)s appointments",
    count,
  );
  return fill(text, values);
}

/**
 * Publish; `done` gets how many timeslots that made. Where some of it is published already, nothing
 * is, and `place` gets a button to publish what is missing.
 */
export async function publish(body, place, done) {
  try {
    const { found } = await api.call("POST", "/provider/availability", { body });
    place.replaceChildren();
    await done(found["available timeslots"].length);
  } catch (refused) {
    if (refused.code !== "timeslots_overlap") throw refused;
    const again = () => publish({ ...body, on_overlap: "skip" }, place, done);
    place.replaceChildren(
      notice(
        "bad",
        make("p", {}, gettext("Some of this time is published already, so nothing was done.")),
        action(gettext("Publish what is missing"), again),
      ),
    );
  }
}

export function publishedInWords(count) {
  if (!count) return gettext("All of it was published already.");
  const text = ngettext(
    "%(count)s appointment can be booked from now on.",
    "%(count)s appointments can be booked from now on.",
    count,
  );
  return fill(text, { count });
}
