/** The heuristics by name, with what a sweep, a plot or the command line must know to use any of them. */
import { ArgumentError } from "../../errors.js";
import type { ReuseFits } from "../adjustment/reuseFits.js";
import type { Costs } from "../costs/costs.js";
import { direct } from "./direct.js";
import { dynamicProgramme } from "./dynamicProgramme.js";
import { greedy } from "./greedy.js";
import type { Cacheable, Heuristic } from "./heuristic.js";
import { quantile } from "./quantile.js";
import { smoothCache } from "./smoothCache.js";
import { threshold } from "./threshold.js";
import { uniform } from "./uniform.js";

/** Options as a sweep or a command line gives them; each heuristic checks its own. */
export interface NamedOptions extends Cacheable {
  readonly costs?: Costs;
  readonly fits?: ReuseFits;
  readonly [option: string]: unknown;
}

/** A heuristic that can be used by name: one of HEURISTICS, or a user's own. */
export interface NamedHeuristic {
  readonly name: string;
  readonly find: Heuristic<NamedOptions>;
  /** the option that a sweep varies; with a greater value the schedule computes less */
  readonly parameter: string;
  /** the parameter's values that a sweep tries by default, ascending */
  readonly values: readonly number[];
  /** least and greatest value that a search may try; none where the least is above the greatest */
  readonly bounds: readonly [least: number, greatest: number];
  /** whether only whole numbers are allowed */
  readonly integer: boolean;
  /** the names of its other options, where they are known: any other name is then a mistake */
  readonly options?: readonly string[];
  /** the options that take one of a few words, with these words, the default first; all other options are numbers */
  readonly choices?: Readonly<Record<string, readonly string[]>>;
}

/**
 * What a user gives of a heuristic. The rest has defaults that follow from `values`: a search stays between the least
 * and the greatest, and tries only whole numbers where all of them are whole. Any options are accepted.
 */
export interface HeuristicDefinition<Options extends object>
  extends
    Pick<NamedHeuristic, "name" | "parameter" | "values">,
    Partial<Pick<NamedHeuristic, "bounds" | "integer" | "options" | "choices">> {
  readonly find: Heuristic<Options>;
}

/**
 * Makes a heuristic one that sweeps, plots and searches can use:
 * `defineHeuristic({ name: "every", find: uniform, parameter: "interval", values: [2, 3], integer: true })`.
 *
 * @throws ArgumentError where a part is missing or of another type
 */
export function defineHeuristic<Options extends object>(definition: HeuristicDefinition<Options>): NamedHeuristic {
  requireParts(definition);
  const {
    find,
    values,
    bounds = [Math.min(...values), Math.max(...values)],
    integer = values.length > 0 && values.every(Number.isInteger),
    ...named
  } = definition;
  // Options that are given by name cannot be typed; a heuristic checks what it is given.
  return {
    ...named,
    values: [...values],
    find: find as Heuristic<never> as Heuristic,
    bounds,
    integer,
  };
}

/** JavaScript may define one too, and nothing has looked at its types. */
function requireParts({ name, find, parameter, values, bounds = [0, 0] }: Partial<HeuristicDefinition<never>>): void {
  const isNumbers = (list: unknown): boolean => Array.isArray(list) && list.every((each) => typeof each === "number");
  const parts = [
    { part: "name", isRight: typeof name === "string", expected: "a text", found: name },
    {
      part: "find",
      isRight: typeof find === "function",
      expected: "a function (profile, options) => schedule",
      found: find,
    },
    {
      part: "parameter",
      isRight: typeof parameter === "string",
      expected: "the name of the option that is varied",
      found: parameter,
    },
    { part: "values", isRight: isNumbers(values), expected: "a list of numbers that a sweep tries", found: values },
    {
      part: "bounds",
      isRight: isNumbers(bounds) && bounds.length === 2,
      expected: "two numbers, least and greatest",
      found: bounds,
    },
  ];
  const wrong = parts.find(({ isRight }) => !isRight);
  if (wrong !== undefined)
    throw new ArgumentError(
      `heuristic${typeof name === "string" ? ` ${name}` : ""}: ${wrong.part}: expected ${wrong.expected}, found ${wrong.found === undefined ? "nothing" : JSON.stringify(wrong.found)}`,
    );
}

type Tuning = Pick<NamedHeuristic, "parameter" | "values" | "bounds" | "options">;

/** Tuned by how much change a cache may miss. */
const BY_DELTA: Tuning = {
  parameter: "delta",
  values: [0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5],
  bounds: [0, Infinity],
  options: [],
};
/** Tuned by what the schedule costs. */
const BY_BUDGET: Tuning = {
  parameter: "speedup",
  values: [1.1, 1.2, 1.3, 1.5, 1.8, 2.2],
  bounds: [1, Infinity],
  options: ["seconds"],
};

/** Every heuristic that comes with the library. */
export const HEURISTICS: readonly NamedHeuristic[] = [
  defineHeuristic({
    name: "threshold",
    find: threshold,
    ...BY_DELTA,
  }),
  defineHeuristic({
    name: "uniform",
    find: uniform,
    parameter: "interval",
    values: [2, 3, 4, 5],
    bounds: [1, Infinity],
    integer: true,
    options: [],
  }),
  defineHeuristic({
    name: "direct",
    find: direct,
    ...BY_DELTA,
  }),
  defineHeuristic({
    name: "smoothcache",
    find: smoothCache,
    ...BY_DELTA,
    parameter: "alpha",
  }),
  defineHeuristic({
    name: "quantile",
    find: quantile,
    parameter: "q",
    values: [0.2, 0.4, 0.5, 0.6, 0.7, 0.8],
    bounds: [0, 1],
    options: ["over"],
    choices: { over: ["all", "time"] },
  }),
  defineHeuristic({
    name: "greedy",
    find: greedy,
    ...BY_BUDGET,
  }),
  defineHeuristic({
    name: "dynamic-programme",
    find: dynamicProgramme,
    ...BY_BUDGET,
  }),
];

/** A heuristic by its name. Throws ArgumentError for an unknown one. */
export function heuristicNamed(name: string): NamedHeuristic {
  const heuristic = HEURISTICS.find((each) => each.name === name);
  if (heuristic === undefined)
    throw new ArgumentError(`heuristic: expected ${HEURISTICS.map((each) => each.name).join(", ")}, found "${name}"`);
  return heuristic;
}
