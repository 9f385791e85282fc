import type { SamplingStep } from "../../diffusion/sample.js";

/** A sampling that counts the seconds spent in it. */
export interface Stopwatch {
  /** the next step; nothing at the end */
  next(): Promise<SamplingStep | undefined>;
  /** the last step that was taken */
  last(): SamplingStep;
  stop(): Promise<void>;
  seconds(): number;
}

export function stopwatch(steps: AsyncGenerator<SamplingStep, void, undefined>): Stopwatch {
  let milliseconds = 0;
  let last: SamplingStep | undefined;
  return {
    async next() {
      const started = performance.now();
      const { value } = await steps.next();
      milliseconds += performance.now() - started;
      last = value ?? last;
      return value ?? undefined;
    },
    last() {
      if (last === undefined) throw new TypeError("the solver yielded no step");
      return last;
    },
    async stop() {
      await steps.return();
    },
    seconds: () => milliseconds / 1000,
  };
}
