/** What is wrong with a field is said at the field; and fields for dates and times. */

import { field, fill, gettext, make } from "./page.js";

const needed = (label, attributes, hint) => field(label, { required: true, ...attributes }, hint);

export const dateField = (label, name, value, attributes) =>
  needed(label, { name, value, type: "date", ...attributes });

/** Timeslots begin and end on quarter hours. */
export const timeField = (label, name, value, attributes) =>
  needed(label, { name, value, type: "time", step: 900, ...attributes });

export const lengthField = (value = 15) =>
  needed(gettext("Minutes for each appointment"), {
    name: "slot_minutes",
    type: "number",
    inputmode: "numeric",
    min: 5,
    max: 480,
    step: 1,
    value,
  });

/** Of a form whose button takes something from somebody. */
export function asDanger(form) {
  form.classList.add("dangerous");
  return form;
}

export const reasonField = (hint) =>
  field(gettext("Reason"), { name: "reason", maxlength: 500 }, hint);

/** Say at an input what is wrong with it, until it is changed. */
export function complain(input, text) {
  const id = `${input.id}-error`;
  const said = make("span", { class: "error", id }, text);
  const describedBy = input.getAttribute("aria-describedby");
  const names = [describedBy, id].filter(Boolean).join(" ");
  input.setAttribute("aria-describedby", names);
  input.setAttribute("aria-invalid", "true");
  input.closest(".field").append(said);
  const settle = () => {
    said.remove();
    input.removeAttribute("aria-invalid");
    if (describedBy) input.setAttribute("aria-describedby", describedBy);
    else input.removeAttribute("aria-describedby");
  };
  input.addEventListener("input", settle, { once: true });
  input.form.addEventListener("submit", settle, { once: true, capture: true });
}

/**
 * Of a request that was refused for what its fields have: say it at these, the first of which gets
 * the focus. `names` are the inputs' by the service's. What is to be said for the form as a whole
 * comes back as an Error.
 */
export function atFields(form, refused, names = {}) {
  const wrong = refused.errors ?? [];
  if (!wrong.length) return refused;
  const inputs = wrong.map(({ field }) => form.elements.namedItem(names[field] ?? field));
  const rest = wrong.filter((_, nth) => !inputs[nth]);
  wrong.forEach((one, nth) => inputs[nth] && complain(inputs[nth], errorInWords(one)));
  inputs.find(Boolean)?.focus();
  const texts = rest.map(errorInWords);
  return new Error(texts.join(" ") || gettext("That cannot be: see what is marked above."));
}

function errorInWords({ code, detail }) {
  const lengths = /: ([\d, ]+)\.$/.exec(detail)?.[1];
  return ERRORS[code]?.(lengths) ?? detail;
}

const ERRORS = {
  password_too_short: () => gettext("At least eight characters."),
  password_too_common: () => gettext("Too many people use this password."),
  password_entirely_numeric: () => gettext("Not of digits alone."),
  password_too_similar: () => gettext("Too much like your name or address."),
  quarter_hour: () => gettext("Appointments start and end on quarter hours."),
  end_before_start: () => gettext("The end comes after the start."),
  too_far_ahead: () => gettext("That is more than five years ahead."),
  too_many_timeslots: () => gettext("That is too much at once: take a shorter time."),
  windows_overlap: () => gettext("These hours overlap each other."),
  no_windows: () => gettext("There are no hours on these dates."),
  part_of_a_timeslot: (lengths) =>
    fill(gettext("The hours cannot be divided by that. These lengths fit: %(lengths)s."), { lengths }),
};
