/** Booking: find a provider, choose a day and a time, and see what became of it. */

import * as api from "./api.js";
import { appointments } from "./appointments.js";
import * as header from "./header.js";
import { chooser } from "./month.js";
import { announce, field, fill, gettext, make, nameOf, ngettext } from "./page.js";
import { reservation } from "./reservation.js";
import { moving, reserving } from "./reserving.js";
import { reload, route } from "./router.js";
import { dateOf } from "./time.js";

const MOST_FOUND = 30;
const AFTER_TYPING = 200;

async function providers(signal) {
  const all = await find("");
  if (all.found.providers.length === 1) return times(signal, all.found.providers[0].provider_id);
  const list = make("div", {}, cards(all));
  const search = field(gettext("Find a provider"), {
    name: "provider",
    type: "search",
    autocomplete: "off",
    placeholder: gettext("First or last name"),
  });
  let waiting;
  search.addEventListener("input", ({ target }) => {
    clearTimeout(waiting);
    waiting = setTimeout(async () => {
      const name = target.value.trim();
      const found = await find(name).catch(() => null);
      if (!found || signal.aborted || name !== target.value.trim()) return;
      list.replaceChildren(...cards(found));
      const count = found.found.providers.length;
      announce(fill(ngettext("%(count)s provider found", "%(count)s providers found", count), { count }));
    }, AFTER_TYPING);
  });
  return [gettext("Book an appointment"), search, list];
}

const find = (name) => api.call("GET", "/provider/list", { query: { name, limit: MOST_FOUND } });

function cards({ found, next }) {
  const links = found.providers.map((provider) =>
    make(
      "li",
      {},
      make(
        "a",
        { href: `#/provider/${provider.provider_id}` },
        make("span", { class: "initials", "aria-hidden": "true" }, initials(provider)),
        make("span", {}, nameOf(provider)),
      ),
    ),
  );
  return [
    links.length
      ? make("ul", { class: "list people" }, links)
      : make("p", { class: "quiet" }, gettext("Nobody by that name.")),
    next ? make("p", { class: "quiet" }, gettext("There are more: type a name.")) : "",
  ];
}

const initials = ({ first_name, last_name }) =>
  [first_name, last_name].map((name) => Array.from(name)[0].toUpperCase()).join("");

/** Of one provider: the days and times that can be booked. */
async function times(signal, providerId, date) {
  return choosing(signal, {
    providerId,
    date,
    address: `#/provider/${providerId}`,
    choose: reserving,
  });
}

/** The same, for a reservation that is to be moved. */
async function otherTimes(signal, reservationId, date) {
  const { title, note, providerId, startsAt, choose } = await moving(reservationId);
  const at = date ?? dateOf(startsAt, header.zone());
  const [, ...shown] = await choosing(signal, {
    providerId,
    date: at,
    address: `#/move/${reservationId}`,
    choose,
  });
  return [title, note, ...shown];
}

async function choosing(signal, { providerId, date, address, choose }) {
  const zone = header.zone();
  const earliest = await api.call("GET", "/client/findTimeslots", {
    query: { provider_ids: providerId, limit: 1 },
  });
  const [first] = earliest.found["available timeslots"];
  if (!first) {
    return [gettext("Choose a time"), header.zonePicker(() => reload("client")), nothingYet()];
  }
  const startsAt = new Date(first.start_time);
  const picker = await chooser({
    providerId,
    zone,
    date: date ?? dateOf(startsAt, zone),
    choose,
    // What is shown is in the address: a reload shows it again, and "back" leads out of it.
    chosen: (day) => history.replaceState(null, "", `${address}/${day}`),
    signal,
  });
  return [nameOf(first), header.zonePicker(() => reload("client"), startsAt), picker];
}

const nothingYet = () =>
  make(
    "div",
    { class: "card" },
    make("p", {}, gettext("Nothing can be booked here just now.")),
    make("p", {}, make("a", { href: "#/" }, gettext("Look at other providers"))),
  );

header.prepare(() => reload("client"));
route(
  [
    [/^#\/?$/, providers],
    [/^#\/provider\/(\d{1,18})(?:\/(\d{4}-(?:0[1-9]|1[0-2])-\d\d))?$/, times],
    [/^#\/reservation\/(\d{1,18})$/, reservation],
    [/^#\/move\/(\d{1,18})(?:\/(\d{4}-(?:0[1-9]|1[0-2])-\d\d))?$/, otherTimes],
    [/^#\/appointments$/, appointments],
  ],
  "client",
);
