/** Which view an address (its hash) leads to: `back` and `reload` work as everywhere. */

import { whoAreYou } from "./account.js";
import { busy, closeDialogs, gettext, inOwnWords, make, notice, show } from "./page.js";

let views = [];
let present = new AbortController();

/**
 * `table` has pairs of a pattern and a view, which is called with what the pattern has found and a
 * signal that is aborted as soon as another view is shown. It returns a title and what stands
 * below it. `kind` is who signs in where that is needed.
 */
export function route(table, kind) {
  views = table;
  addEventListener("hashchange", () => reload(kind));
  return reload(kind);
}

/** Show the view of the present address anew. */
export async function reload(kind) {
  present.abort();
  present = new AbortController();
  const { signal } = present;
  closeDialogs();
  busy();
  let shown;
  try {
    shown = await viewOf(location.hash || "#/")(signal);
  } catch (refused) {
    shown = insteadOf(refused, kind);
  }
  if (!signal.aborted) show(...shown);
}

function viewOf(hash) {
  for (const [pattern, view] of views) {
    const found = pattern.exec(hash);
    if (found) return (signal) => view(signal, ...found.slice(1));
  }
  return () => [
    gettext("There is nothing here"),
    make("p", {}, make("a", { href: "#/" }, gettext("To the beginning"))),
  ];
}

function insteadOf(refused, kind) {
  if (refused.status === 401) {
    return [gettext("Sign in"), make("div", { class: "card" }, whoAreYou(kind, gettext("Go on"), () => reload(kind)))];
  }
  if (!refused.code) throw refused;
  const again = make("button", { type: "button", class: "primary" }, gettext("Try again"));
  again.addEventListener("click", () => reload(kind));
  return [gettext("That did not work"), notice("bad", inOwnWords(refused)), make("p", {}, again)];
}
