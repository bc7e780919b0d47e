/** A provider's pages: who it is and on which clock, and which page is shown. */

import { whoAreYou } from "./account.js";
import * as api from "./api.js";
import * as clock from "./clock.js";
import { dayList } from "./day.js";
import { isDate } from "./days.js";
import { prepare, zoneSelect } from "./header.js";
import { hours } from "./hours.js";
import {
  action,
  announce,
  busy,
  closeDialogs,
  field,
  fill,
  form,
  gettext,
  inOwnWords,
  make,
  nameOf,
  notice,
  settings,
  show,
} from "./page.js";
import * as session from "./session.js";
import { clockTime, ownZone, zoneInWords } from "./time.js";
import { week } from "./week.js";

const FRESH = 30_000;
const MOST_FOUND = 10;
const VIEWS = { week, day: dayList, hours };
// What says that this browser acts for nobody any more.
const NOBODY = ["not_authenticated", "token_invalid", "token_expired", "provider_not_found"];

let mine = null; // the provider's profile
let chosen; // by staff, who act for any provider
let shown = {}; // the page: its kind, and how it goes on
let turns = 0;
let freshAt;

/** From the beginning: somebody else may be here now. */
async function start() {
  closeDialogs();
  [mine, shown] = [null, {}];
  await route();
}

/** Show what the address says. */
async function route() {
  const [, kind = "", date] = location.hash.split("/");
  if (!Object.hasOwn(VIEWS, kind)) {
    location.replace("#/week"); // and from there hither
    return;
  }
  turns += 1;
  const turn = turns;
  closeDialogs();
  try {
    const asked = isDate(date) ? date : undefined;
    const found = mine ?? (await profile());
    if (turn !== turns) return;
    mine = found;
    if (!mine) await welcome();
    else if (shown.kind === kind && shown.go) {
      await shown.go(asked);
      announce(shown.title.textContent);
    } else await open(kind, asked);
    freshAt = clock.now();
  } catch (refused) {
    unlessRefused(refused);
    if (turn === turns) await sayNo(refused); // else somebody has gone elsewhere by now
  }
}

async function open(kind, date) {
  busy();
  const page = { kind };
  shown = page;
  Object.assign(page, await VIEWS[kind](mine, date, whose()));
}

/** Of the provider whom this browser acts for, if it does for any. */
async function profile() {
  const { provider, staff } = session.parties();
  const acted = provider ?? (staff ? chosen : undefined);
  if (!acted) return null;
  const query = { provider_id: acted.provider_id };
  return (await api.call("GET", "/provider/profile", { query })).found;
}

async function sayNo(refused) {
  shown = {};
  if (NOBODY.includes(refused.code)) {
    forget();
    await welcome();
    return;
  }
  show(
    gettext("That did not work"),
    notice("bad", inOwnWords(refused)),
    action(gettext("Try again"), route),
  );
}

/** What is no refusal is a mistake of ours, for the console. */
function unlessRefused(refused) {
  if (!refused.code) throw refused;
}

function forget() {
  [mine, chosen] = [null, undefined];
  if (!settings.mustSignIn) session.actFor("provider", undefined);
}

/** Who acts for no provider yet says for whom. */
async function welcome() {
  const { staff } = session.parties();
  const isOpen = !settings.mustSignIn;
  const mayJoin = isOpen || !session.access() || settings.providersSignUp;
  const own = mayJoin
    ? make("div", { class: "card" }, whoAreYou("provider", gettext("Create my calendar"), start))
    : make("p", {}, gettext("Your account is no provider’s. Ask whoever runs this service."));
  const others = (isOpen || staff) && [make("h2", {}, gettext("Find yourself")), await search(choose)];
  show(
    gettext("Your calendar"),
    others,
    isOpen && make("h2", {}, gettext("Or begin anew")),
    !staff && own,
  );
}

async function choose(person) {
  if (settings.mustSignIn) chosen = person;
  else session.actFor("provider", person);
  await start();
}

/** Providers by how their names begin, at first all. */
async function search(done) {
  const results = make("ul", { class: "list people" });
  const said = make("p", { class: "quiet", role: "status" });
  const find = async (name) => {
    const query = { name: name.trim(), limit: MOST_FOUND };
    const { found, next } = await api.call("GET", "/provider/list", { query });
    results.replaceChildren(...found.providers.map(result));
    const more = next ? gettext("There are more: type a name.") : "";
    said.textContent = found.providers.length ? more : gettext("Nobody by that name.");
  };
  const result = (person) =>
    make("li", {}, make("button", { type: "button", onclick: () => done(person) }, nameOf(person)));
  const input = field(gettext("First or last name"), { name: "name", type: "search", maxlength: 100 });
  await find("").catch(unlessRefused); // then the button says it
  return make(
    "div",
    { class: "card" },
    form([input], gettext("Search"), ({ name }) => find(name)),
    results,
    said,
  );
}

/** Whose calendar it is and on which clock, above every page. */
function whose() {
  const present = mine.time_zone;
  const select = zoneSelect(present);
  const complaint = make("div", { class: "complaint" });
  select.addEventListener("change", async () => {
    await setZone(select.value).catch((refused) => {
      select.value = present;
      complaint.replaceChildren(notice("bad", inOwnWords(refused)));
    });
  });
  const own = ownZone();
  const isUnset = present === "UTC" && own !== present;
  const offer = fill(gettext("Use %(zone)s, as this device does"), { zone: zoneInWords(own) });
  const isChosen = !settings.mustSignIn || session.parties().staff;
  return make(
    "div",
    { class: "whose" },
    make(
      "div",
      { class: "row quiet" },
      make("label", { for: "zone" }, gettext("Times in")),
      select,
      isUnset && action(offer, () => setZone(own), { class: "plain" }),
      isChosen && action(gettext("Another calendar"), another, { class: "plain" }),
    ),
    complaint,
  );
}

async function setZone(time_zone) {
  const body = { provider_id: mine.provider_id, time_zone };
  await api.call("PUT", "/provider/profile", { body });
  await start();
  document.querySelector("#zone")?.focus();
}

async function another() {
  forget();
  await start();
}

/** What others do is seen soon, without a word; that it is not seen is said. */
async function keepFresh() {
  if (document.visibilityState !== "visible" || !shown.refresh) return;
  const complaint = document.querySelector(".whose > .complaint");
  try {
    await shown.refresh();
    freshAt = clock.now();
    complaint.replaceChildren();
  } catch (refused) {
    unlessRefused(refused);
    if (NOBODY.includes(refused.code)) await sayNo(refused);
    else if (!complaint.firstChild)
      complaint.append(notice("held", asOf(freshAt), " ", inOwnWords(refused)));
  }
}

const asOf = (moment) =>
  fill(gettext("This is as of %(time)s."), { time: clockTime(moment, mine.time_zone) });

addEventListener("hashchange", route);
addEventListener("focus", keepFresh);
document.addEventListener("visibilitychange", keepFresh);
setInterval(keepFresh, FRESH);
prepare(start);
await start();
