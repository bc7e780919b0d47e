/** Days as a provider's clock shows them, on those on which it is changed as well. */

import {
  addDays,
  clockTime,
  dateOf,
  inWords,
  longDay,
  minutesOf,
  offsetInWords,
  rangeInWords,
  startOfDay,
} from "./time.js";

export const MINUTE = 60_000;

/**
 * A date on the clock of a zone. Its `stretches` are what passes without a change of the clock,
 * one or two, each beginning at `minutes` after midnight; `twice` is what two of them share.
 */
export function dayOn(date, zone) {
  const start = startOfDay(date, zone).getTime();
  const end = startOfDay(addDays(date, 1), zone).getTime();
  const change = changeBetween(start, end, zone);
  const edges = change ? [start, change, end] : [start, end];
  const stretches = edges.slice(1).map((until, nth) => {
    const from = edges[nth];
    const minutes = minutesOf(from, zone);
    return { from, until, minutes, endMinutes: minutes + (until - from) / MINUTE };
  });
  const [first, second] = stretches;
  const isTwice = second && second.minutes < first.endMinutes;
  return { date, zone, start, end, stretches, twice: isTwice && [second.minutes, first.endMinutes] };
}

/**
 * Where a stretch of time stands on the day: from and until how many minutes after midnight, by the
 * clock. Of an hour that comes twice, the first is in lane 1 and the second in lane 2, else it is 0.
 */
export function piecesOn(day, start, end) {
  return day.stretches.flatMap((stretch, nth) => {
    const [from, until] = [Math.max(start, stretch.from), Math.min(end, stretch.until)];
    if (from >= until) return [];
    const begins = stretch.minutes + (from - stretch.from) / MINUTE;
    const ends = begins + (until - from) / MINUTE;
    const isTwice = day.twice && begins < day.twice[1] && ends > day.twice[0];
    return [{ from: begins, until: ends, lane: isTwice ? nth + 1 : 0 }];
  });
}

/** The moment at which something starts, or with `isEnd` ends, that is drawn there. */
export function momentAt(day, minutes, lane, isEnd) {
  const there = day.stretches.filter((one) =>
    isEnd
      ? one.minutes < minutes && minutes <= one.endMinutes
      : one.minutes <= minutes && minutes < one.endMinutes,
  );
  const stretch = lane === 2 ? there.at(-1) : there[0];
  if (stretch) return new Date(stretch.from + (minutes - stretch.minutes) * MINUTE);
  // The clock leaves it out.
  return new Date(day.stretches.find((one) => one.minutes >= minutes)?.from ?? day.end);
}

/** "23:45 – 00:00"; where the clock is changed on the day, with how far it is ahead. */
export function timesOn(day, { start, end }) {
  const isChanged = day.stretches.length > 1;
  const time = (moment) =>
    isChanged
      ? `${clockTime(moment, day.zone)} ${offsetInWords(day.zone, moment)}`
      : clockTime(moment, day.zone);
  return `${time(start)} – ${time(end)}`;
}

/** The same, without a day at hand. */
export const timesInWords = (one, zone) => timesOn(dayOn(dateOf(one.start, zone), zone), one);

/** A date in words of the page's language. */
export const dateInWords = (date, options) => inWords(noon(date), "UTC", options);

/** "30 Nov – 6 Dec 2026" */
export const datesInWords = (first, last) =>
  rangeInWords(noon(first), noon(last), "UTC", { day: "numeric", month: "short", year: "numeric" });

export const fullDate = (date) => longDay(noon(date), "UTC");

/** What an `<input type="time">` has: "09:15". */
export const asTime = (minutes) =>
  [Math.floor(minutes / 60) % 24, minutes % 60].map((one) => `${one}`.padStart(2, "0")).join(":");

export function minutesIn(time) {
  const [hours, minutes] = time.split(":").map(Number);
  return hours * 60 + minutes;
}

export const isDate = (text) => /^\d{4}-\d\d-\d\d$/.test(text ?? "") && !Number.isNaN(Date.parse(text));

function changeBetween(start, end, zone) {
  if (start >= end) return null; // a date that was left out
  const ahead = (moment) =>
    Date.parse(`${dateOf(moment, zone)}T00:00Z`) + minutesOf(moment, zone) * MINUTE - moment;
  let [low, high] = [start, end - MINUTE];
  const before = ahead(low);
  if (ahead(high) === before) return null;
  while (high - low > MINUTE) {
    const middle = low + Math.max(Math.floor((high - low) / (2 * MINUTE)), 1) * MINUTE;
    if (ahead(middle) === before) low = middle;
    else high = middle;
  }
  return high;
}

const noon = (date) => new Date(`${date}T12:00Z`);
