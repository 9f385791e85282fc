/** How a cell is interrupted: its calls of the library by a signal, its own code where it waits and where it loops. */
import { once } from "node:events";
import { setTimeout as delay } from "node:timers/promises";
import { InterruptedError } from "../../dist/errors.js";
import { interruptible, surroundingSignal } from "../../dist/interruption.js";

/** How long what an interrupted cell does may take to come to its end, in milliseconds, before the cell ends without it. */
const GRACE = 1500;

/**
 * @param pending one number in memory shared with the control thread, which sets it to 1 at an interrupt: while
 *   this thread is busy nothing else reaches it
 */
export function createInterrupts(pending) {
  let controller = new AbortController();
  const stop = (what = "the cell was interrupted") => {
    throw new InterruptedError(what);
  };
  return {
    /** Stops everything that runs now, whichever cell began it. */
    interrupt() {
      pending[0] = 0;
      controller.abort();
      controller = new AbortController();
    },

    /** Runs work that an interrupt stops. Settles with it, or soon after the interrupt where it does not stop. */
    async run(work) {
      const { signal } = controller;
      const done = new AbortController();
      const patience = async () => {
        await once(signal, "abort", { signal: done.signal });
        await delay(GRACE, undefined, { signal: done.signal });
        stop("the cell was interrupted; what it waits for has not stopped and may go on");
      };
      try {
        return await Promise.race([interruptible(signal, work, () => pending[0] !== 0), patience()]);
      } finally {
        done.abort();
      }
    },

    /** Called in every turn of every loop of a cell, so it must cost next to nothing. */
    stopIfInterrupted() {
      if (pending[0] !== 0) stop();
    },

    /** Called after every `await` of a cell, with its value. */
    resumed(value) {
      if (pending[0] !== 0 || surroundingSignal()?.aborted) stop();
      return value;
    },
  };
}
