/** Several sides of a comparison, timed in turns in one run. */
import { median } from "../src/instrument/profile/statistics.js";

/** One side's evaluation: seconds, and the mean of |output|, by which outputs are compared. */
export type Side = () => Promise<{ readonly seconds: number; readonly meanAbsoluteOutput: number }>;

/** Seconds of each round, in turn. */
export type Timings = Record<string, number[]>;

export interface Ratio {
  readonly what: string;
  readonly over: string;
  readonly under: string;
  /** at most; absent where the ratio is only told */
  readonly goal?: number;
}

export interface MeasuredRatio extends Ratio {
  readonly rounds: number;
  readonly median: number;
  readonly min: number;
  readonly max: number;
  readonly met?: boolean;
}

/** Between two turns: the threads of the side before spin for up to 200 ms (OpenMP's default) before they sleep. */
const REST_MILLISECONDS = 250;

function shuffled<T>(items: readonly T[]): T[] {
  return items
    .map((item) => ({ item, key: Math.random() }))
    .sort((a, b) => a.key - b.key)
    .map(({ item }) => item);
}

/**
 * @param label of the progress line
 * @param following evaluations of a turn that are counted after one that is not, as a sampling's follow one another:
 *   the first finds what the other sides left in the caches. With 0 that one is counted itself
 * @returns seconds of an evaluation, a mean a turn, and the mean of |output| of each side
 */
export async function takeTurns(
  label: string,
  rounds: number,
  sides: ReadonlyMap<string, Side>,
  following = 0,
): Promise<{ timings: Timings; outputs: Record<string, number> }> {
  const timings: Timings = {};
  const outputs: Record<string, number> = {};
  for (const [name, side] of sides) {
    timings[name] = [];
    // Not counted: the first run plans memory, and a meter of change has nothing to compare with yet.
    outputs[name] = (await side()).meanAbsoluteOutput;
  }
  for (let round = 0; round < rounds; round++) {
    // Another order each time, so that none always comes after the same one.
    for (const [name, side] of shuffled([...sides])) {
      await new Promise((resolve) => setTimeout(resolve, REST_MILLISECONDS));
      let { seconds } = await side();
      if (following > 0) seconds = 0;
      for (let evaluation = 0; evaluation < following; evaluation++) seconds += (await side()).seconds / following;
      timings[name].push(seconds);
    }
    if (process.stdout.isTTY)
      process.stdout.write(`\r${label}: round ${round + 1} of ${rounds}${round + 1 === rounds ? "\n" : ""}`);
  }
  return { timings, outputs };
}

/** Those of the wanted ratios whose sides ran, each a round's seconds over the same round's. */
export function pairedRatios(wanted: readonly Ratio[], timings: Readonly<Timings>): readonly MeasuredRatio[] {
  return wanted
    .filter(({ over, under }) => over in timings && under in timings)
    .map((ratio) => {
      const values = timings[ratio.over]
        .slice(0, timings[ratio.under].length)
        .map((seconds, round) => seconds / timings[ratio.under][round]);
      const middle = median(values);
      return {
        ...ratio,
        rounds: values.length,
        median: middle,
        min: Math.min(...values),
        max: Math.max(...values),
        ...(ratio.goal === undefined ? {} : { met: middle <= ratio.goal }),
      };
    });
}
