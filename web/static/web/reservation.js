/** One reservation: a hold that runs out, an appointment that is booked, or what became of it. */

import { whoAreYou } from "./account.js";
import * as api from "./api.js";
import * as clock from "./clock.js";
import { zone, zonePicker } from "./header.js";
import { download } from "./ics.js";
import { action, announce, dialog, field, fill, form, gettext, make, ngettext, notice } from "./page.js";
import { facts, OVERTAKEN, reserving } from "./reserving.js";
import { reload } from "./router.js";
import * as session from "./session.js";
import { clockTime } from "./time.js";

const SECOND = 1000;
const ANNOUNCED = [5 * 60, 60]; // seconds before the deadline

const VIEWS = { held, confirmed, expired, cancelled };

export async function reservation(signal, reservationId) {
  const { client } = session.parties();
  if (!client) return [gettext("Whose appointment is it?"), whoAreYou("client", gettext("Go on"), again)];
  const query = { client_id: client.client_id, reservation_id: reservationId };
  const { found, tag } = await api.call("GET", "/client/reservation", { query });
  const one = found.reservation;
  const look = keepUpToDate(one, query, signal);
  const [title, ...shown] = VIEWS[one.status]({ one, tag, provider: await providerOf(one), look, signal });
  return [title, ...shown, zonePicker(again, new Date(one.start_time))];
}

const again = () => reload("client");

/** What belongs to a reservation as long as it is good: where it is listed, it does not say it. */
export function actions(one, { tag } = {}) {
  const off = make("button", { type: "button", class: "danger" }, gettext("Cancel it"));
  off.addEventListener("click", () => cancelling(one, tag));
  return [
    make("a", { class: "button", href: `#/move/${one.reservation_id}` }, gettext("Move it")),
    off,
  ];
}

function held({ one, tag, provider, look, signal }) {
  const confirm = () => overtaking(async () => {
    const body = { client_id: one.client_id, reservation_id: one.reservation_id };
    await api.call("PUT", "/client/confirm", { body });
    await again();
  });
  const until = clockTime(new Date(one.expires_at), zone());
  return [
    gettext("Confirm your appointment"),
    make(
      "div",
      { class: "card" },
      facts(one, provider),
      make("p", {}, fill(gettext("It is held for you until %(time)s. Unless you confirm it by then, others can have it."), { time: until })),
      countdown(one, look, signal),
      action(gettext("Confirm"), confirm, { class: "primary" }),
    ),
    make("p", { class: "row" }, actions(one, { tag })),
  ];
}

function confirmed({ one, tag, provider }) {
  const isOver = Date.parse(one.start_time) <= clock.now();
  const save = make("button", { type: "button", class: "primary" }, gettext("Add to calendar"));
  save.addEventListener("click", () => download(one, provider));
  return [
    isOver ? gettext("Your appointment") : gettext("Your appointment is booked"),
    make("div", { class: "card" }, facts(one, provider)),
    isOver ? null : make("p", { class: "row" }, save, actions(one, { tag })),
    toTheList(),
  ];
}

function expired({ one, provider }) {
  const retry = () => reserving({ ...one, ...provider });
  return [
    gettext("The hold has lapsed"),
    notice("held", gettext("It was not confirmed in time, so others can have this time again.")),
    make("div", { class: "card" }, facts(one, provider)),
    make("p", {}, make("button", { type: "button", class: "primary", onclick: retry }, gettext("Reserve it again"))),
    toTheList(),
  ];
}

function cancelled({ one, provider }) {
  const by = {
    client: gettext("You have cancelled it."),
    provider: gettext("The provider has cancelled it."),
  }[one.cancelled_by];
  return [
    gettext("This appointment was cancelled"),
    make("div", { class: "card" }, facts(one, provider), make("p", {}, by ?? "", " ", one.reason ? fill(gettext("“%(reason)s”"), one) : "")),
    make("p", {}, make("a", { class: "button primary", href: `#/provider/${one.provider_id}` }, gettext("Choose another time"))),
    toTheList(),
  ];
}

const toTheList = () => make("p", {}, make("a", { href: "#/appointments" }, gettext("All my appointments")));

/** How long a hold is good yet, by the service's clock, whatever this device's says or did. */
function countdown(one, look, signal) {
  const deadline = Date.parse(one.expires_at);
  const shown = make("p", { class: "countdown", role: "timer", "aria-label": gettext("Time left to confirm") });
  let before = Infinity;
  const tick = () => {
    const left = Math.max(0, Math.ceil((deadline - clock.now()) / SECOND));
    const text = `${Math.floor(left / 60)}:${String(left % 60).padStart(2, "0")}`;
    if (shown.textContent !== text) shown.textContent = text;
    shown.classList.toggle("soon", left <= ANNOUNCED[1]);
    const passed = ANNOUNCED.findLast((seconds) => left <= seconds && before > seconds);
    if (passed && before !== Infinity) {
      const minutes = passed / 60;
      announce(fill(ngettext("%(minutes)s minute left to confirm.", "%(minutes)s minutes left to confirm.", minutes), { minutes }));
    }
    if (clock.hasJumped()) look();
    // Asked once a second from then on: it is the service that says when it has lapsed.
    if (left === 0 && before !== 0) setTimeout(() => signal.aborted || again(), SECOND);
    before = left;
  };
  tick();
  const ticking = setInterval(tick, SECOND / 4);
  signal.addEventListener("abort", () => clearInterval(ticking));
  return shown;
}

/** What looks again; it does when somebody comes back to this tab, or the device wakes up or is online again. */
function keepUpToDate(one, query, signal) {
  const look = async () => {
    if (document.visibilityState !== "visible") return;
    const { found } = await api.call("GET", "/client/reservation", { query }).catch(() => ({}));
    const isOther = found && (found.reservation.status !== one.status || found.reservation.timeslot_id !== one.timeslot_id);
    if (isOther && !signal.aborted && !document.querySelector("dialog[open]")) again();
  };
  document.addEventListener("visibilitychange", look, { signal });
  addEventListener("focus", look, { signal });
  addEventListener("online", look, { signal });
  return look;
}

function cancelling(one, match) {
  const box = form(
    [field(gettext("Reason (may be left out)"), { name: "reason", maxlength: 500 })],
    gettext("Cancel this appointment"),
    ({ reason }) =>
      overtaking(async () => {
        const body = { client_id: one.client_id, reservation_id: one.reservation_id };
        if (reason.trim()) body.reason = reason;
        await api.call("PUT", "/client/cancel", { body, match });
        await again();
      }),
  );
  box.querySelector(".primary").classList.replace("primary", "danger");
  dialog(gettext("Cancel this appointment?"), facts(one, one.provider), box);
}

async function overtaking(work) {
  try {
    await work();
  } catch (refused) {
    if (!OVERTAKEN.includes(refused.code)) throw refused;
    await again();
  }
}

/** The provider's name stands in the list alone. */
async function providerOf(one) {
  const { found } = await api.call("GET", "/client/reservations", {
    query: {
      client_id: one.client_id,
      from: one.start_time,
      to: new Date(Date.parse(one.start_time) + SECOND).toISOString(),
    },
  });
  return found.reservations.find((listed) => listed.reservation_id === one.reservation_id)?.provider;
}
