/** The calendar by keyboard: the tab key leads to one of its times, arrow keys from there to others. */

import * as agenda from "./agenda.js";

/** Which timeslot has the focus, if any. */
export function focusedId(grid) {
  return grid.contains(document.activeElement) ? document.activeElement.dataset.id : undefined;
}

/** After they were painted anew: the focus stays where it was. */
export function keepFocus(grid, focused, found) {
  const button = (id) => grid.querySelector(`button[data-id="${id}"]`);
  const upcoming = found.find((one) => !agenda.isPast(one)) ?? found[0];
  const kept = focused && button(focused);
  const next = kept || grid.querySelector('button[tabindex="0"]') || (upcoming && button(upcoming.id));
  if (next) makeTabbable(grid, next);
  if (kept) kept.focus({ preventScroll: true });
  else if (focused) grid.focus({ preventScroll: true });
}

/** The one that the tab key leads to. */
export function makeTabbable(grid, slot) {
  for (const other of grid.querySelectorAll('button[tabindex="0"]')) other.tabIndex = -1;
  slot.tabIndex = 0;
}

/** Where an arrow key leads from the timeslot that has the focus, if it does. */
export function neighbour(grid, { key, target }) {
  const section = target.matches("button[data-id]") && target.closest(".day");
  if (!section) return null;
  const own = [...section.querySelectorAll("button[data-id]")];
  const nth = own.indexOf(target);
  const isLtr = getComputedStyle(grid).direction === "ltr";
  switch (key) {
    case "ArrowDown":
      return own[nth + 1];
    case "ArrowUp":
      return own[nth - 1];
    case "Home":
      return own[0];
    case "End":
      return own.at(-1);
    case "ArrowRight":
      return besides(section, target, isLtr);
    case "ArrowLeft":
      return besides(section, target, !isLtr);
    default:
      return null;
  }
}

/** The nearest by the clock on the next day, or the one before, that has any. */
function besides(section, target, isNext) {
  const step = isNext ? "nextElementSibling" : "previousElementSibling";
  for (let other = section[step]; other?.matches(".day"); other = other[step]) {
    const slots = [...other.querySelectorAll("button[data-id]")];
    if (slots.length) return slots.reduce((best, one) => (isNearer(one, best, target) ? one : best));
  }
  return null;
}

function isNearer(one, best, target) {
  const at = (button) => Number(button.parentElement.style.getPropertyValue("--from"));
  return Math.abs(at(one) - at(target)) < Math.abs(at(best) - at(target));
}
