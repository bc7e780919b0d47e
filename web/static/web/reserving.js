/** From a time that was chosen to a reservation of it, and what is offered when it is taken. */

import { whoAreYou } from "./account.js";
import * as api from "./api.js";
import { zone } from "./header.js";
import { action, dialog, fill, gettext, inOwnWords, make, nameOf, notice, settings } from "./page.js";
import { reload } from "./router.js";
import * as session from "./session.js";
import { clockRange, longDay, zoneInWords } from "./time.js";

const WEEK = 7 * 24 * 3600 * 1000;
const MOST_OFFERED = 6;
// Another tab, or the clock, was faster: what is the case now is shown.
export const OVERTAKEN = ["already_confirmed", "hold_expired", "cancelled", "changed_meanwhile"];
// There is no use in trying again: this time is gone.
const GONE = ["timeslot_taken", "timeslot_not_found", "notice_too_short"];

/** When and with whom, as it is named everywhere. */
export function facts(slot, provider) {
  const [start, end] = [new Date(slot.start_time), new Date(slot.end_time)];
  const row = (name, value) => [make("dt", {}, name), make("dd", {}, value)];
  return make(
    "dl",
    { class: "facts" },
    row(gettext("Day"), longDay(start, zone())),
    row(gettext("Time"), clockRange(start, end, zone())),
    row(gettext("Time zone"), zoneInWords(zone(), start)),
    provider ? row(gettext("With"), nameOf(provider)) : null,
  );
}

/** Ask whether this timeslot is meant and, of somebody unknown, for whom; then reserve it. */
export function reserving(slot) {
  let key;
  const box = make("div", {});
  const attempt = async () => {
    const { client } = session.parties();
    if (!client) return ask(); // the sign-in has ended, or is no client's
    const body = { client_id: client.client_id, timeslot_id: slot.timeslot_id };
    try {
      const { found } = await api.call("POST", "/client/reserve", { body, key });
      location.hash = `#/reservation/${found["Reservation scheduled"].reservation_id}`;
    } catch (refused) {
      if (refused.code === "client_not_found" && !settings.mustSignIn) {
        // This browser remembers somebody whom the service does not know any more.
        session.actFor("client", undefined);
        ask();
      } else if (refused.status === 401) ask();
      else if (GONE.includes(refused.code)) {
        await offerNearest(box, slot, refused, reserving);
      } else throw refused;
    }
  };
  const ask = () => {
    key = api.newKey(); // one for this choice and client: clicked twice, it is reserved once
    const { client } = session.parties();
    box.replaceChildren(
      facts(slot, slot),
      ...(client
        ? [forWhom(client, ask), action(gettext("Reserve"), attempt, { class: "primary", autofocus: true })].flat()
        : [whoAreYou("client", gettext("Reserve"), known)]),
    );
    box.querySelector(".primary, input")?.focus();
  };
  /** From here on it is tried again for the same client. */
  const known = () => {
    ask();
    if (session.parties().client) box.querySelector(".primary").click();
  };
  ask();
  dialog(gettext("Reserve this time?"), box);
}

/** On an open service the browser remembers a name, which may not be that of who sits there now. */
function forWhom(client, ask) {
  if (settings.mustSignIn) return "";
  const other = make("button", { type: "button", class: "plain" }, gettext("Somebody else"));
  other.addEventListener("click", () => {
    session.actFor("client", undefined);
    ask();
  });
  return make("p", {}, fill(gettext("For %(name)s."), { name: nameOf(client) }), " ", other);
}

/** What a reservation that is to be moved is called, and what happens to a time that is chosen. */
export async function moving(reservationId) {
  const { found, tag } = await api.call("GET", "/client/reservation", {
    query: { client_id: session.parties().client?.client_id, reservation_id: reservationId },
  });
  const { provider_id: providerId, client_id, start_time, end_time } = found.reservation;
  const startsAt = new Date(start_time);
  const present = fill(gettext("It is on %(day)s at %(time)s now, and stays so until you choose."), {
    day: longDay(startsAt, zone()),
    time: clockRange(startsAt, new Date(end_time), zone()),
  });
  const choose = (slot) => {
    const key = api.newKey();
    const box = make("div", {});
    const attempt = async () => {
      const body = { client_id, reservation_id: Number(reservationId), timeslot_id: slot.timeslot_id };
      try {
        await api.call("PUT", "/client/reschedule", { body, key, match: tag });
        location.hash = `#/reservation/${reservationId}`;
      } catch (refused) {
        if (OVERTAKEN.includes(refused.code)) location.hash = `#/reservation/${reservationId}`;
        else if (!GONE.includes(refused.code)) throw refused;
        else await offerNearest(box, slot, refused, choose);
      }
    };
    box.append(facts(slot, slot), ...action(gettext("Move it here"), attempt, { class: "primary", autofocus: true }));
    dialog(gettext("Move your appointment?"), box);
  };
  return { title: gettext("Choose another time"), note: notice("", present), providerId, startsAt, choose };
}

/** In the place of a time that is gone, the free ones nearest to it. */
async function offerNearest(box, slot, refused, choose) {
  const wanted = Date.parse(slot.start_time);
  const distance = (other) => Math.abs(Date.parse(other.start_time) - wanted);
  const around = await api.listed("available timeslots", "/client/getProviderAvailability", {
    provider_id: slot.provider_id,
    from: new Date(wanted - WEEK).toISOString(),
    to: new Date(wanted + WEEK).toISOString(),
    limit: 5000,
  });
  const nearest = around
    .sort((one, other) => distance(one) - distance(other))
    .slice(0, MOST_OFFERED)
    .sort((one, other) => Date.parse(one.start_time) - Date.parse(other.start_time));
  const offer = (other) => {
    const [start, end] = [new Date(other.start_time), new Date(other.end_time)];
    const label = `${longDay(start, zone())}, ${clockRange(start, end, zone())}`;
    const take = make("button", { type: "button" }, label);
    take.addEventListener("click", () => {
      box.closest("dialog")?.close();
      choose(other);
    });
    return make("li", {}, take);
  };
  const all = make("button", { type: "button", class: "plain" }, gettext("See all times"));
  all.addEventListener("click", () => {
    // Where the time was chosen, be it to reserve or to move to; a lapsed hold is no such place.
    if (location.hash.startsWith("#/reservation/")) location.hash = `#/provider/${slot.provider_id}`;
    else reload("client");
  });
  box.replaceChildren(
    notice("bad", inOwnWords(refused)),
    make(
      "p",
      {},
      nearest.length
        ? gettext("These are the free times nearest to it:")
        : gettext("Nothing is free within a week of it."),
    ),
    make("ul", { class: "list offers" }, nearest.map(offer)),
    make("p", {}, all),
  );
  box.querySelector(".offers button, button").focus();
}
