/**
 * Whether the next call may hold the event loop. A call on a worker thread costs some 50 µs and a turn of the loop.
 * Made in place one after the other, a network's many short calls would hold the loop for its whole evaluation, and
 * neither an interrupt nor a progress bar would get a turn.
 */

/** Calls in a row hold the loop no longer than this, as far as is known beforehand. */
const HOLD_MILLISECONDS = 25;

/** when the calls that have held the loop since its last turn began */
let heldSince: number | undefined;

/** Milliseconds by a clock of our own: tests replace `performance.now`. */
export function clock(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return 1e3 * seconds + 1e-6 * nanoseconds;
}

/** @param expected how long the call will take, milliseconds */
export function mayHoldEventLoop(expected: number): boolean {
  const now = clock();
  if (heldSince === undefined) {
    heldSince = now;
    setImmediate(() => (heldSince = undefined));
  }
  return now - heldSince + expected <= HOLD_MILLISECONDS;
}
