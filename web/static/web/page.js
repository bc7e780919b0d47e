/** What the page was told by its template, and how elements of it are made and words are said. */

const { gettext, ngettext, interpolate } = window.django;
export { gettext, ngettext };

const told = document.documentElement.dataset;

export const settings = {
  mustSignIn: told.authentication === "required",
  hasAccounts: told.accounts === "here",
  providersSignUp: told.providersSignUp === "yes",
};

/** A text in which %(name)s stands for what `values` has as `name`. */
export const fill = (text, values) => interpolate(text, values, true);

export const nameOf = (person) => `${person.first_name} ${person.last_name}`;

/** An element; attributes that are false or missing are left out, and `onclick` and such listen. */
export function make(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value !== false && value != null) made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.flat(Infinity).filter((child) => child != null && child !== false));
  return made;
}

/** Say it to those who cannot see it. */
export function announce(text) {
  // What lies behind an open dialog is not read out.
  const places = document.querySelectorAll("dialog[open] .announced, #announced");
  places[places.length - 1].replaceChildren(text);
}

/** Show what stands on this page now. Its heading gets the focus, so that it is read out. */
export function show(title, ...children) {
  const view = document.querySelector("#view");
  const heading = make("h1", { tabindex: "-1" }, title);
  document.title = `${title} · ${told.site}`;
  view.replaceChildren(heading, ...children.flat(Infinity).filter(Boolean));
  view.removeAttribute("aria-busy");
  if (document.querySelector("dialog[open]") === null) heading.focus({ preventScroll: true });
  window.scrollTo(0, 0);
}

export function busy() {
  document.querySelector("#view").setAttribute("aria-busy", "true");
}

/** Something that is wrong, or went well, in a box that is read out. */
export function notice(kind, ...children) {
  return make("div", { class: `notice ${kind}`, role: kind === "bad" ? "alert" : "status" }, children);
}

/** A link to what comes before or after. */
export const arrow = (text, label) =>
  make(
    "a",
    { class: "button" },
    make("span", { class: "arrow", "aria-hidden": "true" }, text),
    make("span", { class: "unseen" }, label),
  );

/** A labelled input. */
export function field(label, attributes, hint) {
  const id = `field-${attributes.name}`;
  const hintId = hint && `${id}-hint`;
  return make(
    "div",
    { class: "field" },
    make("label", { for: id }, label),
    make("input", { id, "aria-describedby": hintId, ...attributes }),
    hint && make("span", { class: "hint", id: hintId }, hint),
  );
}

/**
 * A form that does its work once at a time: its button is off meanwhile, and what is refused is
 * said in it. `work` gets what was typed.
 */
export function form(children, button, work) {
  const complaint = make("div", { class: "complaint" });
  const submit = make("button", { class: "primary" }, button);
  const made = make("form", {}, children, complaint, make("p", {}, submit));
  made.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (submit.disabled) return;
    await during(submit, complaint, () => work(Object.fromEntries(new FormData(made))));
  });
  return made;
}

/** Work by a button: off while it lasts, and what is refused stands in `complaint`. */
async function during(button, complaint, work) {
  const hadFocus = button === document.activeElement;
  button.disabled = true;
  button.setAttribute("aria-busy", "true");
  complaint.replaceChildren();
  try {
    await work();
  } catch (refused) {
    const isOurMistake = refused instanceof TypeError || refused instanceof ReferenceError;
    const text = isOurMistake ? gettext("That did not work") : inOwnWords(refused);
    complaint.replaceChildren(notice("bad", text));
    if (isOurMistake) throw refused;
  } finally {
    button.disabled = false;
    button.removeAttribute("aria-busy");
    // Who is off loses the focus.
    if (hadFocus && document.activeElement === document.body) button.focus();
  }
}

/** A button that works likewise; what is refused is said beside it. */
export function action(label, work, attributes = {}) {
  const complaint = make("div", { class: "complaint" });
  const button = make("button", { type: "button", ...attributes }, label);
  button.addEventListener("click", () => during(button, complaint, work));
  return [button, complaint];
}

/** A box above the page, gone when it is closed. */
export function dialog(title, ...children) {
  const made = make(
    "dialog",
    { "aria-labelledby": "dialog-title" },
    make(
      "form",
      { method: "dialog", class: "close" },
      make("button", { "aria-label": gettext("Close") }, "×"),
    ),
    make("h2", { id: "dialog-title" }, title),
    children,
    make("p", { class: "unseen announced", role: "status" }),
  );
  made.addEventListener("close", () => made.remove());
  document.body.append(made);
  made.showModal();
  return made;
}

export function closeDialogs() {
  for (const open of document.querySelectorAll("dialog[open]")) open.close();
}

/** What somebody is told whose request was refused: most refusals say it well themselves, in English. */
export function inOwnWords(refused) {
  if (!refused.code) return refused.message;
  return WORDS[refused.code]?.() ?? make("span", { lang: "en" }, refused.message);
}

// The service's sentences are English; what people meet most is said in the page's language.
const WORDS = {
  unreachable: () =>
    navigator.onLine
      ? gettext("The service does not answer just now. Try again in a moment.")
      : gettext("You are offline. Nothing is lost: try again when you are connected."),
  overloaded: () => gettext("Many people are booking just now. Try again in a moment."),
  unavailable: () => gettext("The service cannot reach its database. Try again in a moment."),
  throttled: () => gettext("That was too often. Wait a minute, then try again."),
  too_many_attempts: () => gettext("Too many failed sign-ins. Try again in a quarter of an hour."),
  not_authenticated: () => gettext("Sign in first."),
  already_registered: () => gettext("Your account has that already."),
  still_running: () => gettext("The service is still at it. Try again in a moment."),
  wrong_credentials: () => gettext("E-mail address or password is wrong."),
  timeslot_taken: () => gettext("Somebody else was faster: this time is taken."),
  timeslot_not_found: () => gettext("This time is no longer offered."),
  notice_too_short: () => gettext("It is too late to book this time."),
  too_many_holds: () => gettext("Confirm or cancel what you hold before you reserve more."),
  hold_expired: () => gettext("The hold has lapsed: it was not confirmed in time."),
  cancelled: () => gettext("This appointment was cancelled."),
  too_late_to_cancel: () => gettext("It is too late to cancel or move this appointment."),
  changed_meanwhile: () => gettext("This has changed meanwhile. Look again."),
};
