/** Moments on the clock of a time zone. A date is a text such as "2026-12-30"; a month, "2026-12". */

const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;
const formats = new Map();
const { lang } = document.documentElement;
// The page's language, as it is written where the visitor lives: 24 hours in en-GB, 12 in en-US.
const locale = navigator.languages.find((one) => one.split("-")[0] === lang) ?? lang;

/** The time zone of this device. */
export function ownZone() {
  return Intl.DateTimeFormat().resolvedOptions().timeZone ?? "UTC";
}

export function allZones() {
  return ["UTC", ...Intl.supportedValuesOf("timeZone").filter((name) => name !== "UTC")];
}

export function isZone(name) {
  try {
    formatter("en", { timeZone: name });
    return true;
  } catch {
    return false;
  }
}

/** A moment in words of the page's language; `options` are those of Intl.DateTimeFormat. */
export function inWords(moment, zone, options) {
  return formatter(locale, { timeZone: zone, ...options }).format(moment);
}

export const longDay = (moment, zone) =>
  inWords(moment, zone, { weekday: "long", day: "numeric", month: "long", year: "numeric" });

export const clockTime = (moment, zone) => inWords(moment, zone, { timeStyle: "short" });

export const rangeInWords = (start, end, zone, options) =>
  formatter(locale, { timeZone: zone, ...options }).formatRange(start, end);

/** "10:00 – 10:15", as the page's language writes it. */
export const clockRange = (start, end, zone) => rangeInWords(start, end, zone, { timeStyle: "short" });

/** How far a zone is ahead of UTC at a moment: "UTC+1". */
export function offsetInWords(zone, moment) {
  const parts = formatter("en", { timeZone: zone, timeZoneName: "shortOffset" }).formatToParts(moment);
  return parts.find((part) => part.type === "timeZoneName").value.replace("GMT", "UTC");
}

/** A zone as people know it at a moment: "Europe/Berlin (UTC+1)". */
export function zoneInWords(zone, moment = new Date()) {
  const offset = offsetInWords(zone, moment);
  const name = zone.replaceAll("_", " ");
  return offset === name ? name : `${name} (${offset})`;
}

/** What the calendar shows there. */
export function dateOf(moment, zone) {
  return new Date(onTheWall(moment, zone)).toISOString().slice(0, 10);
}

/** Minutes since midnight, by what the clock on the wall shows. */
export function minutesOf(moment, zone) {
  return Math.floor((onTheWall(moment, zone) % DAY) / MINUTE);
}

/**
 * When the clock shows so many minutes after midnight. Of an hour that comes twice it is the first,
 * or with `last` the second; of one that is left out, the first moment after it (as the service
 * takes them).
 */
export function momentOf(date, minutes, zone, { last = false } = {}) {
  const wanted = Date.parse(`${date}T00:00Z`) + minutes * MINUTE;
  const [before, after] = [wanted - DAY, wanted + DAY].map((at) => onTheWall(at, zone) - at);
  const found = [wanted - before, wanted - after].filter((at) => onTheWall(at, zone) === wanted);
  if (found.length) return new Date(last ? Math.max(...found) : Math.min(...found));
  let [low, high] = [wanted - after, wanted - before];
  while (high - low > MINUTE) {
    const middle = low + Math.max(Math.floor((high - low) / (2 * MINUTE)), 1) * MINUTE;
    if (onTheWall(middle, zone) - middle === before) low = middle;
    else high = middle;
  }
  return new Date(high);
}

export const startOfDay = (date, zone) => momentOf(date, 0, zone);

export function addDays(date, days) {
  return new Date(Date.parse(`${date}T00:00Z`) + days * DAY).toISOString().slice(0, 10);
}

export function addMonths(month, months) {
  const [year, number] = month.split("-").map(Number);
  return new Date(Date.UTC(year, number - 1 + months)).toISOString().slice(0, 7);
}

/** The weeks that hold a month, each of seven dates, beginning as the page's language has it. */
export function weeksOf(month) {
  const first = `${month}-01`;
  const next = `${addMonths(month, 1)}-01`;
  const weeks = [];
  for (let date = startOfWeek(first); date < next; date = addDays(date, 7)) {
    weeks.push(weekFrom(date));
  }
  return weeks;
}

export function weekFrom(date) {
  return [0, 1, 2, 3, 4, 5, 6].map((days) => addDays(date, days));
}

export function startOfWeek(date) {
  const since = (new Date(`${date}T00:00Z`).getUTCDay() - firstDay() + 7) % 7;
  return addDays(date, -since);
}

/** 0 for Sunday. Not every browser says it; most of the world begins on Monday. */
function firstDay() {
  const here = new Intl.Locale(locale);
  const week = here.getWeekInfo?.() ?? here.weekInfo;
  return (week?.firstDay ?? 1) % 7;
}

/** As milliseconds, as if the clock there were that of UTC. */
function onTheWall(moment, zone) {
  const shown = {};
  const format = formatter("en-u-ca-iso8601", {
    timeZone: zone,
    hourCycle: "h23",
    year: "numeric",
    month: "numeric",
    day: "numeric",
    hour: "numeric",
    minute: "numeric",
    second: "numeric",
  });
  for (const { type, value } of format.formatToParts(moment)) shown[type] = Number(value);
  return Date.UTC(shown.year, shown.month - 1, shown.day, shown.hour, shown.minute, shown.second);
}

/** Making one takes longer than formatting a hundred times. */
function formatter(language, options) {
  const key = language + JSON.stringify(options);
  if (!formats.has(key)) formats.set(key, new Intl.DateTimeFormat(language, options));
  return formats.get(key);
}
