/**
 * Work that can be stopped from outside although nobody passed it a signal, as a notebook stops its cells. The signal
 * travels with the asynchronous context, so that everything that one piece of work started stops with it, wherever it
 * has got to, and what others started does not.
 */
import { AsyncLocalStorage } from "node:async_hooks";
import { InterruptedError } from "./errors.js";

const surrounding = new AsyncLocalStorage<AbortSignal>();

/**
 * Runs `work`; every long call of this library inside it stops when `signal` aborts, as if the signal had been passed
 * to each.
 *
 * @returns what `work` returns
 */
export function interruptible<Result>(signal: AbortSignal, work: () => Result): Result {
  return surrounding.run(signal, work);
}

/** The signal of the work that is running now, for those who want to stop with it. */
export function surroundingSignal(): AbortSignal | undefined {
  return surrounding.getStore();
}

/** One signal that aborts with the caller's and with the surrounding work's. */
export function stopSignal(signal?: AbortSignal): AbortSignal | undefined {
  const around = surroundingSignal();
  return signal === undefined || around === undefined ? (signal ?? around) : AbortSignal.any([signal, around]);
}

/**
 * @param signal the caller's; that of the surrounding work ({@link interruptible}) is checked in any case
 * @param what what is under way, for the message
 * @throws InterruptedError where one of the two has aborted
 */
export function throwIfAborted(signal: AbortSignal | undefined, what: string): void {
  if (signal?.aborted || surroundingSignal()?.aborted) throw new InterruptedError(`${what} was interrupted`);
}
