/** Who is here: an account that is signed in or, of an open service, whoever this browser says. */

import * as api from "./api.js";
import { settings } from "./page.js";

const PLACE = "reservations.session";
let forgotten = "{}"; // where nothing may be kept

/** The access token, if any. */
export const access = () => read().access;

/** The ids and names this browser acts for: `{client, provider, staff}`. */
export const parties = () => partiesOf(read());

function partiesOf(kept) {
  if (!settings.mustSignIn) return { client: kept.client, provider: kept.provider };
  const claims = kept.access ? claimsOf(kept.access) : {};
  const party = (kind) => (claims[`${kind}_id`] ? { [`${kind}_id`]: claims[`${kind}_id`] } : undefined);
  return { client: party("client"), provider: party("provider"), staff: claims.role === "staff" };
}

/** Of an open service: act for this client or provider from now on. */
export function actFor(kind, person) {
  write({ ...read(), [kind]: person });
}

export async function signIn(email, password) {
  const body = { email, password };
  const { found } = await api.call("POST", "/auth/token", { body, anonymous: true });
  write(found);
}

export async function signOut() {
  const { refresh } = read();
  write({});
  const request = { body: { refresh }, anonymous: true };
  if (refresh) await api.call("POST", "/auth/logout", request).catch(() => {});
}

/**
 * An access token in the place of one that was refused, or none where the sign-in has ended. A
 * refresh token is good once, so only one tab asks at a time, and the others take what it got.
 */
export async function renewed(refused) {
  const exclusively = navigator.locks
    ? (work) => navigator.locks.request(PLACE, work)
    : (work) => work(); // by http from another machine there are none
  return exclusively(async () => {
    const { access: present, refresh } = read();
    if (present !== refused || !refresh) return present;
    try {
      const body = { refresh };
      write((await api.call("POST", "/auth/token/refresh", { body, anonymous: true })).found);
    } catch (refusal) {
      if (refusal.status !== 401) throw refusal;
      write({});
    }
    return read().access;
  });
}

/** Tell when somebody else is here; `elsewhere` when that was done in another tab. */
export function onChange({ here, elsewhere }) {
  addEventListener(PLACE, here);
  addEventListener("storage", ({ key, oldValue, newValue }) => {
    if (key !== PLACE) return;
    // A token that was renewed there changes nothing here.
    const [before, after] = [oldValue, newValue].map((kept) => partiesOf(JSON.parse(kept ?? "{}")));
    if (JSON.stringify(before) !== JSON.stringify(after)) elsewhere();
  });
}

function claimsOf(token) {
  const payload = token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
  return JSON.parse(atob(payload));
}

function read() {
  try {
    return JSON.parse(localStorage.getItem(PLACE) ?? "{}");
  } catch {
    return JSON.parse(forgotten);
  }
}

function write(kept) {
  forgotten = JSON.stringify(kept);
  try {
    localStorage.setItem(PLACE, forgotten);
  } catch {
    // Forgotten with the page, then.
  }
  dispatchEvent(new Event(PLACE));
}
