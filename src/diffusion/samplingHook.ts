import { ArgumentError } from "../errors.js";
import type { BlockNetwork } from "../engine/network/blockNetwork.js";
import type { BlockObserver, Evaluation } from "../engine/network/observer.js";
import type { UNetInputs } from "../engine/network/unetInputs.js";
import type { Solver } from "./solvers/index.js";

/** The model that is sampled, as hooks see it; a pipeline is one. */
export interface SampledModel {
  readonly name: string;
  readonly network: BlockNetwork;
  /** `sha256:…` of the network's config and weights */
  fingerprint(): Promise<string>;
}

/** The evaluations that are to come. */
export interface SampledEvaluations {
  readonly solver: Solver;
}

/**
 * Looks into the network during sampling. In order: `begin`, then an observer's calls for each evaluation
 * (engine/network/observer.ts), then `end`.
 */
export interface SamplingHook extends BlockObserver {
  /**
   * Called before the first evaluation; what it throws ends the sampling before it begins.
   *
   * @param evaluations absent where a single evaluation is made outside of a sampling
   * @returns spatial transformers that must run in parts, since this hook looks at their attn1, attn2 or ff
   */
  begin?(model: SampledModel, evaluations?: SampledEvaluations): Promise<readonly string[] | void>;
  /** Called before each evaluation, with what the network is about to be given. */
  evaluating?(inputs: UNetInputs, evaluation: Evaluation): Promise<void>;
  /** Called when the sampling is over, however it ended. */
  end?(): void;
}

/** hooks of the samplings that are under way */
const taken = new WeakSet<SamplingHook>();

/**
 * Takes hooks for one sampling, until {@link endAll}: what they keep, such as a cache, belongs to that one alone.
 *
 * @throws ArgumentError where another sampling has one of them, or the list has it twice
 */
export function takeAll(hooks: readonly SamplingHook[]): void {
  const isTwice = new Set(hooks).size < hooks.length;
  if (isTwice || hooks.some((hook) => taken.has(hook)))
    throw new ArgumentError(
      `hooks: expected each in one sampling at a time, found one ${isTwice ? "twice in the list" : "that another sampling is using"} — make one for each`,
    );
  for (const hook of hooks) taken.add(hook);
}

/** Begins every hook, in order; gives the spatial transformers that must run in parts for any of them. */
export async function beginAll(
  hooks: readonly SamplingHook[],
  model: SampledModel,
  evaluations?: SampledEvaluations,
): Promise<ReadonlySet<string>> {
  const inParts = new Set<string>();
  for (const hook of hooks) for (const id of (await hook.begin?.(model, evaluations)) ?? []) inParts.add(id);
  return inParts;
}

/** Every hook ends and is free for another sampling, whatever another one throws. */
export function endAll([hook, ...others]: readonly SamplingHook[]): void {
  if (hook === undefined) return;
  taken.delete(hook);
  try {
    hook.end?.();
  } finally {
    endAll(others);
  }
}
