/** Dragging over a day of the calendar, in quarter hours, by a mouse or a pen. */

import { momentAt, piecesOn } from "./days.js";
import { make } from "./page.js";

const DAY = 24 * 60;
const QUARTER = 15;
const EDGE = 40; // pixels

/**
 * Let a column be dragged over where nothing stands; `done` gets from when to when. Who does no
 * more than click or tap means the hour that begins there. Touch scrolls, as it does everywhere.
 */
export function draggable(column, day, done) {
  const ghost = make("div", { class: "ghost" });
  let began = null;
  let last = null;

  const paint = () => ghost.replaceChildren(...drawn(day, spanOf(day, began, last)));
  const end = () => {
    began = null;
    ghost.remove();
    removeEventListener("keydown", giveUp, true);
  };
  const giveUp = (event) => {
    if (event.key !== "Escape") return;
    event.preventDefault();
    end();
  };

  column.addEventListener("pointerdown", (event) => {
    if (event.target !== column || event.button !== 0 || event.pointerType === "touch") return;
    event.preventDefault(); // selects no text
    column.setPointerCapture(event.pointerId);
    began = last = placeOf(column, event, day);
    column.append(ghost);
    addEventListener("keydown", giveUp, true);
    paint();
  });
  column.addEventListener("pointermove", (event) => {
    if (!began) return;
    scrollAlong(column, event);
    last = placeOf(column, event, day);
    paint();
  });
  column.addEventListener("pointerup", () => {
    if (!began) return;
    const isClick = began.quarter === last.quarter && began.lane === last.lane;
    const span = isClick ? hourFrom(day, began) : spanOf(day, began, last);
    end();
    done(...span);
  });
  column.addEventListener("pointercancel", end);
  column.addEventListener("click", (event) => {
    if (event.pointerType !== "touch" || event.target !== column) return;
    done(...hourFrom(day, placeOf(column, event, day)));
  });
}

/** Set where something stands on a column, and how long it is. */
export function place(element, { from, until, lane }) {
  element.style.setProperty("--from", from);
  element.style.setProperty("--for", until - from);
  if (lane) element.dataset.lane = lane;
  return element;
}

function drawn(day, [start, end]) {
  return piecesOn(day, start, end).map((piece) => place(make("div", {}), piece));
}

/** From the earlier of two quarter hours to the end of the later. */
function spanOf(day, one, other) {
  const [first, last] = comesBefore(one, other) ? [one, other] : [other, one];
  return [
    momentAt(day, first.quarter, first.lane, false),
    momentAt(day, last.quarter + QUARTER, last.lane, true),
  ];
}

function comesBefore(one, other) {
  if (one.isTwice && other.isTwice && one.lane !== other.lane) return one.lane < other.lane;
  return one.quarter <= other.quarter;
}

function hourFrom(day, { quarter, lane }) {
  const start = momentAt(day, quarter, lane, false);
  return [start, new Date(Math.min(start.getTime() + 4 * QUARTER * 60_000, day.end))];
}

function placeOf(column, event, day) {
  const box = column.getBoundingClientRect();
  const minutes = ((event.clientY - box.top) / box.height) * DAY;
  const quarter = Math.min(Math.max(Math.floor(minutes / QUARTER), 0), DAY / QUARTER - 1) * QUARTER;
  const isLeft = event.clientX < box.left + box.width / 2;
  const isFirst = isLeft === (getComputedStyle(column).direction === "ltr");
  const isTwice = Boolean(day.twice) && quarter >= day.twice[0] && quarter < day.twice[1];
  return { quarter, isTwice, lane: day.twice ? (isFirst ? 1 : 2) : 0 };
}

/** What lies beyond the edge comes into sight. */
function scrollAlong(column, { clientY }) {
  const box = column.closest(".week");
  const { top, bottom } = box.getBoundingClientRect();
  if (clientY > bottom - EDGE) box.scrollBy(0, EDGE / 4);
  else if (clientY < top + 2 * EDGE) box.scrollBy(0, -EDGE / 4);
}
