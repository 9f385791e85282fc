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
  /** upper limit; absent where the ratio is only reported */
  readonly goal?: number;
}

export interface MeasuredRatio extends Ratio {
  readonly rounds: number;
  readonly median: number;
  readonly min: number;
  readonly max: number;
  readonly met?: boolean;
}

/** Pause between two turns: the previous side's threads spin for up to 200 ms (OpenMP's default) before they sleep. */
const REST_MILLISECONDS = 250;

function shuffled<T>(items: readonly T[]): T[] {
  return items
    .map((item) => ({ item, key: Math.random() }))
    .sort((a, b) => a.key - b.key)
    .map(({ item }) => item);
}

/**
 * @param label of the progress line
 * @param following counted evaluations of a turn, after a first one that is not counted because it finds in the caches
 *   what the other sides left there; evaluations of a sampling follow one another too. With 0 the first is counted
 * @returns seconds of an evaluation, one mean per turn, and the mean of |output| of each side
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
    // A new order each time, so that no side always comes after the same other one.
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

/**
 * Those of the wanted ratios whose sides both ran: one side's seconds of a round over the other's of the same round.
 */
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
