/** The service's clock, on which deadlines are meant; this device's may be wrong. */

let ahead = 0; // of this device's clock, milliseconds
let roundTrip = Infinity;
let drift = Date.now() - performance.now();

/** From an answer and when it was asked for: its Date (RFC 9110, 6.6.1) has whole seconds. */
export function learn(date, askedAt) {
  const answeredAt = Date.now();
  const took = answeredAt - askedAt;
  const said = Date.parse(date);
  // The answer that was fastest says it best, until the clock was moved or the device slept.
  const guess = said + 500 - (askedAt + took / 2);
  if (Number.isNaN(said) || (took > roundTrip && Math.abs(guess - ahead) < took + 1000)) return;
  [ahead, roundTrip] = [Math.abs(guess) < 1500 ? 0 : guess, took];
}

/** Milliseconds since 1970, by the service. */
export const now = () => Date.now() + ahead;

/** Whether this device's clock was moved, or the device slept, since that was asked last. */
export function hasJumped() {
  const former = drift;
  drift = Date.now() - performance.now();
  return Math.abs(drift - former) > 2000;
}
