/** The service's calls: what is asked, who asks, and what is tried again. */

import * as clock from "./clock.js";
import * as session from "./session.js";

const PATIENCE = 15_000;
const TRIES = 4;
const AWAY = [502, 503, 504];

/** The service has said no (RFC 9457): `code` for programs, `message` for people. */
export class Refusal extends Error {
  constructor(status, problem) {
    super(problem.detail ?? `${status}`);
    Object.assign(this, { status, ...problem, code: problem.code ?? "unavailable" });
  }
}

/** No answer came; of a change, nobody knows whether it was made. */
export class Unreachable extends Error {
  code = "unreachable";
}

/**
 * What a call answers, and its ETag. A change has a key (`Idempotency-Key`), by which it is made
 * once however often it is asked for, so it is tried again while no answer comes.
 *
 * Raises Refusal or Unreachable. `anonymous` says that it matters to nobody who asks.
 */
export async function call(
  method,
  path,
  { query = {}, body, match, key = newKey(), anonymous = false } = {},
) {
  const given = Object.entries(query).filter(([, value]) => value !== undefined && value !== "");
  const address = given.length ? `${path}?${new URLSearchParams(given)}` : path;
  const headers = new Headers();
  if (body !== undefined) headers.set("Content-Type", "application/json");
  if (method !== "GET") headers.set("Idempotency-Key", key);
  if (match) headers.set("If-Match", match);
  const request = { method, headers, body: body === undefined ? undefined : JSON.stringify(body) };
  let shown = anonymous ? undefined : session.access();
  let answer = await persistently(address, request, shown);
  if (answer.status === 401 && shown) {
    shown = await session.renewed(shown);
    answer = await persistently(address, request, shown);
  }
  const found = answer.status === 204 ? null : await read(answer);
  if (!answer.ok) throw new Refusal(answer.status, found ?? {});
  return { found, tag: answer.headers.get("ETag"), next: nextPage(answer) };
}

/** All pages of a list: what each of them has under `name`. */
export async function listed(name, path, query) {
  const all = [];
  let answer = await call("GET", path, { query });
  for (;;) {
    all.push(...answer.found[name]);
    if (!answer.next) return all;
    answer = await call("GET", answer.next);
  }
}

/** For a change; the same one for all its tries. */
export function newKey() {
  // crypto.randomUUID is for https and this machine alone.
  return Array.from(crypto.getRandomValues(new Uint32Array(4)), (one) => one.toString(36)).join("-");
}

async function persistently(address, request, token) {
  if (token) request.headers.set("Authorization", `Bearer ${token}`);
  else request.headers.delete("Authorization");
  for (let tried = 1; ; tried += 1) {
    const askedAt = Date.now();
    try {
      const answer = await fetch(address, { ...request, signal: AbortSignal.timeout(PATIENCE) });
      clock.learn(answer.headers.get("Date"), askedAt);
      // 409 with Retry-After: the first try of it is being done still.
      const isBusy = answer.status === 409 && answer.headers.has("Retry-After");
      if (tried === TRIES || !(isBusy || AWAY.includes(answer.status))) return answer;
      await pause(Math.min(Number(answer.headers.get("Retry-After")) || tried, 5));
    } catch {
      if (tried === TRIES || !navigator.onLine) throw new Unreachable();
      await pause(tried / 2);
    }
  }
}

async function read(answer) {
  try {
    return await answer.json();
  } catch {
    if (answer.ok) throw new Unreachable();
    return null; // of a proxy in between
  }
}

function nextPage(answer) {
  const link = /<([^>]*)>; rel="next"/.exec(answer.headers.get("Link") ?? "");
  if (!link) return null;
  const { pathname, search } = new URL(link[1], location.href);
  return pathname + search;
}

const pause = (seconds) => new Promise((resolve) => setTimeout(resolve, seconds * 1000));
