/** What a provider has in some stretch of time: timeslots, and who has reserved them. */

import * as api from "./api.js";
import * as clock from "./clock.js";
import { fill, gettext, nameOf } from "./page.js";
import { clockTime } from "./time.js";

const LONGEST = 480 * 60_000; // of a timeslot
const MOST = 5000; // on a page
const notice = Number(document.querySelector("meta[name='notice-seconds']").content) * 1000;

/**
 * The timeslots that share a moment with a stretch of time, oldest first, as `{id, start, end,
 * state, reservation}`; the state is free, held, booked or, where nobody knows by whom, taken.
 */
export async function look(mine, start, end) {
  const query = {
    provider_id: mine.provider_id,
    // They are found by their starts.
    from: new Date(start - LONGEST).toISOString(),
    to: new Date(end).toISOString(),
    limit: MOST,
  };
  const [timeslots, reservations] = await Promise.all([
    api.listed("timeslots", "/provider/availability", query),
    api.listed("reservations", "/provider/reservations", query),
  ]);
  const live = new Map(reservations.filter(isLive).map((one) => [one.timeslot_id, one]));
  return timeslots.map((one) => entry(one, live.get(one.timeslot_id))).filter((one) => one.end > start);
}

/** By the clock of the service. */
export const isPast = ({ end }) => end <= clock.now();

/** Free, and nobody can book it any more: it starts too soon. */
export const isLate = (one) => one.state === "free" && !isPast(one) && one.start < clock.now() + notice;

/** Its state as it looks. */
export const kindOf = (one) => (isLate(one) ? "late" : one.state);

export const isReserved = ({ state }) => state !== "free";

/** Who comes, or nobody. */
export const whoHas = ({ reservation }) => (reservation ? nameOf(reservation.client) : "");

/** Its state as people call it. */
export function stateInWords(one, zone) {
  if (one.state === "held") {
    const time = clockTime(new Date(one.reservation.expires_at), zone);
    return fill(gettext("held until %(time)s"), { time });
  }
  if (one.state === "booked") return gettext("booked");
  if (one.state === "taken") return gettext("reserved");
  if (isPast(one)) return gettext("not booked");
  return isLate(one) ? gettext("free, too late to book") : gettext("free");
}

/** With free ones that follow each other as one: `{..., end, count}`. */
export function merged(entries) {
  const rows = [];
  for (const one of entries) {
    const last = rows.at(-1);
    const goesOn = last && last.end.getTime() === one.start.getTime() && isAlike(last, one);
    if (goesOn) Object.assign(last, { end: one.end, count: last.count + 1 });
    else rows.push({ ...one, count: 1 });
  }
  return rows;
}

const isAlike = (one, other) =>
  [one, other].every(({ state }) => state === "free") &&
  isLate(one) === isLate(other) &&
  isPast(one) === isPast(other);

const isLive = ({ status, expires_at }) =>
  status === "confirmed" || (status === "held" && Date.parse(expires_at) >= clock.now());

function entry({ timeslot_id, start_time, end_time, is_available }, reservation) {
  return {
    id: timeslot_id,
    start: new Date(start_time),
    end: new Date(end_time),
    state: stateOf(is_available, reservation),
    reservation: is_available ? undefined : reservation,
  };
}

/** The two lists are not of the same moment: one may know already what the other does not. */
function stateOf(isAvailable, reservation) {
  if (isAvailable) return "free";
  if (!reservation) return "taken";
  return reservation.is_confirmed ? "booked" : "held";
}
