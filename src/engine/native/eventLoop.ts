/**
 * Whether the next call may hold the event loop. A call on a worker thread costs some 50 µs and a turn of the loop;
 * one after the other in place, a network's many short calls would hold the loop for its whole evaluation, and neither
 * an interrupt nor a progress bar would get a word in.
 */

/** Calls in a row hold the loop no longer than this, as far as is known beforehand. */
const HOLD_MILLISECONDS = 12;

/** when the calls began that have held the loop since it last turned */
let heldSince: number | undefined;

/** @param expected how long the call will take, milliseconds */
export function mayHoldEventLoop(expected: number): boolean {
  const now = performance.now();
  if (heldSince === undefined) {
    heldSince = now;
    setImmediate(() => (heldSince = undefined));
  }
  return now - heldSince + expected <= HOLD_MILLISECONDS;
}
