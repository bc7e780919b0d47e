/** One timeslot of a provider: who comes, cancelling that, and taking the time back. */

import * as agenda from "./agenda.js";
import * as api from "./api.js";
import { timesInWords } from "./days.js";
import { asDanger, reasonField } from "./fields.js";
import { action, announce, dialog, form, gettext, inOwnWords, make } from "./page.js";
import { inWords, longDay } from "./time.js";

/** Show it; `changed` is called when something was done to it. */
export function showTimeslot(mine, one, changed) {
  const zone = mine.time_zone;
  const finish = async (said) => {
    box.close();
    announce(said);
    await changed();
  };
  const box = dialog(
    longDay(one.start, zone),
    facts(one, zone),
    one.reservation ? cancelling(mine, one, finish) : takingBack(mine, one, finish),
  );
}

function facts(one, zone) {
  const made = one.reservation && new Date(one.reservation.created_at);
  const shown = [
    [gettext("Time"), timesInWords(one, zone)],
    [gettext("Who"), agenda.whoHas(one)],
    [gettext("State"), agenda.stateInWords(one, zone)],
    [gettext("Made"), made && inWords(made, zone, { dateStyle: "medium", timeStyle: "short" })],
  ];
  return make(
    "dl",
    { class: "facts" },
    shown.filter(([, said]) => said).map(([name, said]) => [make("dt", {}, name), make("dd", {}, said)]),
  );
}

function takingBack(mine, one, finish) {
  const work = async () => {
    await withdraw(mine, one);
    await finish(gettext("The time is taken back."));
  };
  return [
    make("p", {}, one.state === "free" ? gettext("Nobody has booked this time.") : gettext("It was just reserved.")),
    action(gettext("Take back"), work, { class: "danger" }),
  ];
}

function cancelling(mine, one, finish) {
  const too = make("input", { type: "checkbox", name: "too" });
  const body = form(
    [
      make("h3", {}, gettext("Cancel it")),
      reasonField(gettext("Who comes is told; you need not give one.")),
      make("label", { class: "check" }, too, gettext("Take the time back as well")),
    ],
    gettext("Cancel this appointment"),
    async ({ reason, too }) => {
      const { reservation_id } = one.reservation;
      const body = { provider_id: mine.provider_id, reservation_id, reason };
      await api.call("PUT", "/provider/cancel", { body });
      if (!too) return finish(gettext("It is cancelled, and the time is free again."));
      // If somebody is so fast as to book it in between, it is theirs.
      const failed = await withdraw(mine, one).catch(inOwnWords);
      return finish(failed ?? gettext("It is cancelled, and the time is taken back."));
    },
  );
  return asDanger(body);
}

async function withdraw({ provider_id }, { id }) {
  await api.call("DELETE", "/provider/availability", { query: { provider_id, timeslot_ids: id } });
}
