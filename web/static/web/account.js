/** Saying who one is: signing in or up or, on an open service, by a name alone. */

import * as api from "./api.js";
import { atFields } from "./fields.js";
import { field, form, gettext, make, settings } from "./page.js";
import * as session from "./session.js";

const CREATE = { client: "/client/create", provider: "/provider/create" };

/**
 * What somebody fills in who is to act as a client or provider (`kind`). `done` is called as soon as
 * this browser acts for one.
 */
export function whoAreYou(kind, button, done) {
  if (!settings.mustSignIn) return byName(kind, button, done);
  if (!settings.hasAccounts) {
    const elsewhere = gettext("Accounts are kept elsewhere here: sign in where you got yours.");
    return make("p", {}, elsewhere);
  }
  if (session.parties().staff) {
    return make("p", {}, gettext("Staff book for nobody. Sign in with another account."));
  }
  if (session.access()) return joining(kind, button, done);
  return signingIn(kind, button, done);
}

function byName(kind, button, done) {
  return form(names(), button, async (given) => {
    const { found } = await api.call("POST", CREATE[kind], { body: named(given) });
    session.actFor(kind, found);
    await done();
  });
}

/** An account that is signed in and is no client (or provider) yet becomes one, too. */
function joining(kind, button, done) {
  return form(names(), button, async (given) => {
    await api.call("POST", CREATE[kind], { body: named(given) }).catch((refused) => {
      if (refused.code !== "already_registered") throw refused;
    });
    // The ids of an account stand in its token.
    await session.renewed(session.access());
    await done();
  });
}

function signingIn(kind, button, done) {
  const signsUp = kind === "client" || settings.providersSignUp;
  const signIn = form(
    [email(), password("current-password")],
    gettext("Sign in"),
    async (given) => {
      await session.signIn(given.email, given.password);
      await done();
    },
  );
  if (!signsUp) return signIn;
  const signUp = form(
    [names(), email(), password("new-password", gettext("At least eight characters."))],
    button,
    async (given) => {
      const body = { ...named(given), email: given.email, password: given.password };
      try {
        await api.call("POST", CREATE[kind], { body, anonymous: true });
      } catch (refused) {
        throw atFields(signUp, refused);
      }
      await session.signIn(given.email, given.password);
      await done();
    },
  );
  const box = make("div", {});
  const offer = (shown, text, other) => {
    const turn = make("button", { type: "button", class: "plain" }, text);
    turn.addEventListener("click", () => {
      other();
      box.querySelector("input").focus();
    });
    box.replaceChildren(shown, turn);
  };
  const newcomer = () => offer(signUp, gettext("I have an account: sign in"), known);
  const known = () => offer(signIn, gettext("I am new here: create an account"), newcomer);
  newcomer();
  return box;
}

const names = () => [
  field(gettext("First name"), {
    name: "first_name",
    autocomplete: "given-name",
    maxlength: 100,
    required: true,
  }),
  field(gettext("Last name"), {
    name: "last_name",
    autocomplete: "family-name",
    maxlength: 100,
    required: true,
  }),
];

const named = ({ first_name, last_name }) => ({ first_name, last_name });

const email = () =>
  field(gettext("E-mail address"), {
    name: "email",
    type: "email",
    autocomplete: "email",
    required: true,
  });

const password = (autocomplete, hint) =>
  field(gettext("Password"), { name: "password", type: "password", autocomplete, required: true }, hint);
