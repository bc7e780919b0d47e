/** What stands above and below every page: who is here, language, colours, and the time zone. */

import { gettext, make } from "./page.js";
import * as session from "./session.js";
import { allZones, isZone, ownZone, zoneInWords } from "./time.js";

const YEAR = 365 * 24 * 3600;

/** Of the device, or as it was chosen on it. */
export function zone() {
  const chosen = kept("zone");
  return chosen && isZone(chosen) ? chosen : ownZone();
}

/** Names the zone in which times are shown, and changes it. */
export function zonePicker(onChange, moment = new Date()) {
  const select = zoneSelect(zone(), moment);
  select.addEventListener("change", async () => {
    keep("zone", select.value);
    await onChange();
    document.querySelector("#zone")?.focus(); // arrow keys choose one after the other
  });
  return make(
    "p",
    { class: "row quiet" },
    make("label", { for: "zone" }, gettext("Times in")),
    select,
  );
}

/** All time zones to choose from, with the present one chosen. */
export function zoneSelect(present, moment) {
  const names = allZones();
  if (!names.includes(present)) names.unshift(present);
  return make(
    "select",
    { id: "zone" },
    names.map((name) =>
      make("option", { value: name, selected: name === present }, zoneName(name, present, moment)),
    ),
  );
}

/** Only the zone in use says its offset: to know all of them takes a tenth of a second. */
function zoneName(name, present, moment) {
  return name === present ? zoneInWords(name, moment) : name.replaceAll("_", " ");
}

/** Make language, colours and sign-out work; `onChange` is called when somebody else is here. */
export function prepare(onChange) {
  const language = document.querySelector("#language");
  language.addEventListener("change", () => {
    document.cookie = `django_language=${language.value}; path=/; max-age=${YEAR}; samesite=lax`;
    location.reload();
  });
  const theme = document.querySelector("#theme");
  theme.value = kept("theme") ?? "";
  theme.addEventListener("change", () => {
    keep("theme", theme.value);
    document.documentElement.dataset.theme = theme.value;
  });
  // An address leads to a page here, so it cannot lead to a part of one.
  document.querySelector(".skip").addEventListener("click", (event) => {
    event.preventDefault();
    document.querySelector("#view h1[tabindex]")?.focus();
  });
  const who = () => showWho(onChange);
  session.onChange({ here: who, elsewhere: () => [who(), onChange()] });
  addEventListener("hashchange", markPage);
  markPage();
  who();
}

/** Who is signed in, and a way out. */
function showWho(onChange) {
  const who = document.querySelector("#who");
  if (!session.access()) {
    who.replaceChildren();
    return;
  }
  const out = make("button", { type: "button", class: "plain" }, gettext("Sign out"));
  out.addEventListener("click", () => {
    session.signOut();
    onChange(); // what was theirs is gone at once, whether or not the service answers
  });
  who.replaceChildren(out);
}

/** The link to what is shown says so. */
function markPage() {
  const here = location.hash || "#/";
  for (const link of document.querySelectorAll(".top nav a[href^='#']")) {
    const hash = link.getAttribute("href");
    if (hash === here || (hash !== "#/" && here.startsWith(`${hash}/`))) {
      link.setAttribute("aria-current", "page");
    } else link.removeAttribute("aria-current");
  }
}

function kept(name) {
  try {
    return localStorage.getItem(`reservations.${name}`);
  } catch {
    return null;
  }
}

function keep(name, value) {
  try {
    localStorage.setItem(`reservations.${name}`, value);
  } catch {
    // It lasts as long as the page, then.
  }
}
