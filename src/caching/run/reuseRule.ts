/**
 * What stands in for C where a block does not compute: a weighted sum of the values computed before.
 * The paper holds the last one. Extrapolation in time follows TaylorSeer (Liu et al. 2025); a polynomial
 * through k values is exact for changes of degree k − 1, and here also for uneven distances.
 */
import { ArgumentError } from "../../errors.js";
import type { EvaluationTime } from "../../diffusion/evaluationTimes.js";

export interface ReuseRule {
  readonly name: string;
  /** how many computed values are kept */
  readonly history: number;
  /**
   * The weights of the kept values.
   *
   * @param block id of the block that is reused
   * @param kept when the values were computed, oldest first: 1 to `history` of them
   * @param wanted when the stand-in is needed
   */
  weights(block: string, kept: readonly EvaluationTime[], wanted: EvaluationTime): readonly number[];
}

/** The clock that an extrapolation runs by. */
export type Clock = keyof EvaluationTime;

/**
 * The polynomial through the last `history` values, in the time of a clock; of lower degree while there
 * are fewer. Of values at one time (a solver that evaluates a timestep twice) the newest counts.
 */
function extrapolation(name: string, history: number, clock: Clock): ReuseRule {
  return Object.freeze<ReuseRule>({
    name,
    history,
    weights(_, kept, wanted) {
      const times = kept.map((each) => each[clock]);
      const newest = times.map((time, index) => times.lastIndexOf(time) === index);
      // Lagrange's weights
      return times.map((time, index) => {
        if (!newest[index]) return 0;
        return times.reduce(
          (weight, other, j) =>
            j === index || !newest[j] ? weight : (weight * (wanted[clock] - other)) / (time - other),
          1,
        );
      });
    },
  });
}

/** The last computed value as it is: the paper's rule. */
export const hold: ReuseRule = Object.freeze<ReuseRule>({ name: "hold", history: 1, weights: () => [1] });
/** The line through the last two computed values over the step index; holds while there is one. */
export const linear: ReuseRule = extrapolation("linear", 2, "evaluation");
/** The parabola through the last three computed values over the step index; a line while there are two. */
export const quadratic: ReuseRule = extrapolation("quadratic", 3, "evaluation");

/** Every rule that comes with the library. */
export const REUSE_RULES: readonly ReuseRule[] = [
  hold,
  linear,
  quadratic,
  extrapolation("linear-timestep", 2, "timestep"),
  extrapolation("quadratic-timestep", 3, "timestep"),
  extrapolation("linear-logsnr", 2, "logSnr"),
  extrapolation("quadratic-logsnr", 3, "logSnr"),
];

const rules = new Map(REUSE_RULES.map((rule) => [rule.name, rule]));
const watchers = new Set<() => void>();

/**
 * The weights that a rule gives. It may be a user's own: it gets copies of the times, so that it cannot change the
 * originals.
 *
 * @throws ArgumentError where it throws, or does not give one finite weight for each kept value
 */
export function weightsOf(
  rule: ReuseRule,
  block: string,
  kept: readonly EvaluationTime[],
  wanted: EvaluationTime,
): readonly number[] {
  const where = `reuse: ${rule.name}: expected ${kept.length} finite weights for ${block} at evaluation ${wanted.evaluation}`;
  let given: readonly number[];
  try {
    given = rule.weights(
      block,
      kept.map((time) => ({ ...time })),
      { ...wanted },
    );
  } catch (error) {
    throw new ArgumentError(`${where}, and it threw: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    });
  }
  const weights: readonly unknown[] = Array.from(given ?? []);
  if (weights.length === kept.length && weights.every(isFloat32)) return weights;
  const found = weights.map((weight) => (typeof weight === "number" ? String(weight) : typeof weight));
  throw new ArgumentError(
    `${where}, found ${typeof given === "object" && Symbol.iterator in given ? `[${found.join(",")}]` : String(given)}`,
  );
}

/** Weights are applied in float32. */
function isFloat32(weight: unknown): weight is number {
  return typeof weight === "number" && Number.isFinite(Math.fround(weight));
}

/**
 * Makes a rule known by its name to studies, sweeps, plots and the command line: `defineReuseRule({ name: "half",
 * history: 1, weights: () => [0.5] })`. Jobs carry the name, and a digest of the weights that the rule gives: every
 * process that runs them must define the same rule (a worker: `--reuse ./half.mjs`). Defined again, a name stands for
 * the later rule. The weights must follow from the arguments alone.
 *
 * @returns the rule, frozen
 * @throws ArgumentError where the name is one of the library's own or is not a plain name, or the rule is not valid
 */
export function defineReuseRule(rule: ReuseRule): ReuseRule {
  const { name, history, weights } = rule;
  if (typeof name !== "string" || !/^[^,./\\\s][^,./\\]*$/.test(name))
    throw new ArgumentError(
      `reuse rule: name: expected a text without commas, dots and slashes, found ${JSON.stringify(name)}`,
    );
  if (REUSE_RULES.some((each) => each.name === name))
    throw new ArgumentError(
      `reuse rule: name: expected another one than the library's own (${REUSE_RULES.map((each) => each.name).join(", ")}), found "${name}"`,
    );
  if (!Number.isInteger(history) || history < 1)
    throw new ArgumentError(`reuse rule ${name}: history: expected an integer of 1 or more, found ${history}`);
  if (typeof weights !== "function")
    throw new ArgumentError(
      `reuse rule ${name}: weights: expected a function (block, kept, wanted) => weights, found ${typeof weights}`,
    );
  rules.set(name, Object.freeze(rule));
  for (const onDefined of watchers) onDefined();
  return rule;
}

/** The rules that were defined here beside the library's. */
export function ownReuseRules(): readonly ReuseRule[] {
  return [...rules.values()].filter((rule) => !REUSE_RULES.includes(rule));
}

/** Calls `onDefined` whenever a rule is defined. @returns ends that */
export function watchReuseRules(onDefined: () => void): () => void {
  watchers.add(onDefined);
  return () => watchers.delete(onDefined);
}

/** A rule by its name, the library's or one that was defined here. Throws ArgumentError for an unknown one. */
export function reuseRule(name: string): ReuseRule {
  const rule = rules.get(name);
  if (rule === undefined)
    throw new ArgumentError(
      `reuse: expected ${[...rules.keys()].join(", ")}, found "${name}" — your own rule must be defined in this process (defineReuseRule; on the command line, of a worker too, --reuse ./${name}.mjs)`,
    );
  return rule;
}
