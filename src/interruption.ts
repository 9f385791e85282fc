/**
 * Work that can be stopped from outside although nobody passed it a signal, as a notebook stops its cells. The signal
 * travels with the asynchronous context, so that everything that one piece of work started stops with it, wherever it
 * has got to, and what others started does not.
 */
import { AsyncLocalStorage } from "node:async_hooks";
import { watchCheckpoints } from "./checkpoint.js";
import { InterruptedError } from "./errors.js";

/** What stops a piece of work. */
interface Stop {
  readonly signal: AbortSignal;
  readonly isWanted: () => boolean;
}

const surrounding = new AsyncLocalStorage<Stop>();

/**
 * Runs `work`; every long call of this library inside it stops when `signal` aborts, as if the signal had been passed
 * to each.
 *
 * @param isWanted whether to stop, asked by calculations that let nothing else of this process run, so that nobody
 *   could abort the signal. Default: never without the signal
 * @returns what `work` returns
 */
export function interruptible<Result>(
  signal: AbortSignal,
  work: () => Result,
  isWanted: () => boolean = () => false,
): Result {
  return surrounding.run({ signal, isWanted }, work);
}

/** The signal of the work that is running now, for those who want to stop with it. */
export function surroundingSignal(): AbortSignal | undefined {
  return surrounding.getStore()?.signal;
}

/** One signal that aborts with the caller's and with the surrounding work's. */
export function stopSignal(signal?: AbortSignal): AbortSignal | undefined {
  const around = surroundingSignal();
  return signal === undefined || around === undefined ? (signal ?? around) : AbortSignal.any([signal, around]);
}

/**
 * @param signal the caller's; that of the surrounding work ({@link interruptible}) is checked in any case
 * @param what is under way, for the message
 * @throws InterruptedError where one of the two has aborted, or the surrounding work is to stop
 */
export function throwIfAborted(signal: AbortSignal | undefined, what: string): void {
  const around = surrounding.getStore();
  if (signal?.aborted || around?.signal.aborted || around?.isWanted())
    throw new InterruptedError(`${what} was interrupted`);
}

watchCheckpoints((what) => throwIfAborted(undefined, what));
