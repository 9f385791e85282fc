/** Jupyter's interrupt as an AbortSignal. */

/** A signal that an interrupted cell aborts; `release` when the work is done. */
export interface CellInterrupt {
  readonly signal: AbortSignal;
  release(): void;
}

/**
 * Listens for the interrupt of the running cell. An asynchronous cell that nobody stops goes on after
 * its interrupt, although Jupyter says it ended.
 */
export function cellInterrupt(): CellInterrupt {
  const controller = new AbortController();
  const abort = (): void => controller.abort();
  let released = false;
  // tslab kills the kernel at the next interrupt where a listener is added while the cell is being started.
  setImmediate(() => {
    if (!released) process.once("SIGINT", abort);
  });
  return {
    signal: controller.signal,
    release() {
      released = true;
      process.removeListener("SIGINT", abort);
    },
  };
}
