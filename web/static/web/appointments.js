/** What somebody has booked, and has had. */

import { whoAreYou } from "./account.js";
import * as api from "./api.js";
import * as clock from "./clock.js";
import { zone, zonePicker } from "./header.js";
import { action, dialog, field, fill, gettext, make, nameOf, settings } from "./page.js";
import { actions } from "./reservation.js";
import { reload } from "./router.js";
import * as session from "./session.js";
import { clockRange, longDay } from "./time.js";

const QUARTER = 90 * 24 * 3600 * 1000;
const STATUS = {
  held: () => gettext("to be confirmed"),
  confirmed: () => gettext("booked"),
  expired: () => gettext("lapsed"),
  cancelled: () => gettext("cancelled"),
};

export async function appointments() {
  const title = gettext("My appointments");
  const { client } = session.parties();
  if (!client) {
    return [title, make("div", { class: "card" }, whoAreYou("client", gettext("Go on"), again))];
  }
  const all = await api.listed("reservations", "/client/reservations", {
    client_id: client.client_id,
    from: new Date(clock.now() - QUARTER).toISOString(),
    limit: 1000,
  });
  const isAhead = (one) =>
    ["held", "confirmed"].includes(one.status) && Date.parse(one.end_time) > clock.now();
  const ahead = all.filter(isAhead);
  const before = all.filter((one) => !isAhead(one)).reverse();
  return [
    title,
    forWhom(client),
    zonePicker(again),
    ahead.length
      ? make("ul", { class: "list" }, ahead.map((one) => card(one, true)))
      : make("div", { class: "card" }, make("p", {}, gettext("Nothing is booked.")), make("p", {}, make("a", { class: "button primary", href: "#/" }, gettext("Book an appointment")))),
    make("p", {}, make("button", { type: "button", onclick: () => subscribe(client) }, gettext("See them in a calendar app"))),
    before.length
      ? make("details", {}, make("summary", {}, gettext("Earlier, cancelled and lapsed")), make("ul", { class: "list" }, before.map((one) => card(one, false))))
      : null,
  ];
}

const again = () => reload("client");

function card(one, isAhead) {
  const [start, end] = [new Date(one.start_time), new Date(one.end_time)];
  const address = `#/reservation/${one.reservation_id}`;
  return make(
    "li",
    { class: "card" },
    make("p", { class: "row" }, make("a", { href: address }, make("strong", {}, `${longDay(start, zone())}, ${clockRange(start, end, zone())}`)), make("span", { class: `badge ${one.status}` }, STATUS[one.status]())),
    make("p", {}, fill(gettext("With %(name)s"), { name: nameOf(one.provider) })),
    isAhead && start > clock.now()
      ? make("p", { class: "row" }, one.status === "held" ? make("a", { class: "button primary", href: address }, gettext("Confirm")) : null, actions(one))
      : null,
  );
}

/** On an open service, whom this browser remembers; and no more, if that is somebody else. */
function forWhom(client) {
  if (settings.mustSignIn) return null;
  const other = make("button", { type: "button", class: "plain" }, gettext("Somebody else"));
  other.addEventListener("click", () => {
    session.actFor("client", undefined);
    again();
  });
  return make("p", {}, fill(gettext("Those of %(name)s, booked in this browser."), { name: nameOf(client) }), " ", other);
}

function subscribe(client) {
  const place = make("div", {});
  const explained = gettext("A calendar app subscribes to a secret link. Whoever has it can read your appointments. A new link takes the place of the one before, which is good no more.");
  const offer = async () => place.replaceChildren(...(await newLink(client)));
  place.append(...action(gettext("Make a link"), offer, { class: "primary" }));
  dialog(gettext("Your appointments in a calendar app"), make("p", {}, explained), place);
}

async function newLink(client) {
  const { found } = await api.call("POST", "/client/calendarLink", { body: { client_id: client.client_id } });
  const link = field(gettext("Link to your calendar"), { name: "link", readonly: true, value: found.calendar_link });
  const copied = make("span", { role: "status" });
  const copy = async () => {
    link.querySelector("input").select();
    // By http from another machine there is no clipboard.
    if (navigator.clipboard) await navigator.clipboard.writeText(found.calendar_link);
    else document.execCommand("copy");
    copied.textContent = gettext("Copied.");
  };
  return [link, make("p", { class: "row" }, action(gettext("Copy"), copy, { class: "primary" }), copied)];
}
