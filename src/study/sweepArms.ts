import type { Costs } from "../caching/costs.js";
import type { NamedHeuristic } from "../caching/heuristics/registry.js";
import type { ReuseRule } from "../caching/reuseRule.js";
import type { SolverName } from "../diffusion/solvers/index.js";
import type { BlockKind } from "../graphs/block.js";
import type { Profile } from "../instrument/profile.js";
import type { Arm } from "./result.js";

export interface Sweep {
  /** with the parameter's values to try. Default: the heuristic's own */
  readonly heuristics: readonly { readonly heuristic: NamedHeuristic; readonly values?: readonly number[] }[];
  /** sets of kinds that may be cached, each with a name for people */
  readonly kinds: readonly { readonly label: string; readonly kinds: readonly BlockKind[] }[];
  readonly reuse: readonly ReuseRule[];
  /** num_inference_steps of the plain arms beside the profile's own */
  readonly plainSteps: readonly number[];
  /** for heuristics that decide by what a block costs */
  readonly costs?: Costs;
}

/** Plain arms, and every heuristic × value × set of kinds × reuse rule, with the schedule found from a profile. */
export function sweepArms(profile: Profile, { heuristics, kinds, reuse, plainSteps, costs }: Sweep): Arm[] {
  const solver = profile.setting.solver as SolverName;
  const steps = profile.setting.num_inference_steps;
  const plain = [...new Set([...plainSteps, steps])].sort((a, b) => a - b).map((count): Arm => ({ name: `plain ${count}`, solver, steps: count }));
  const cached = heuristics.flatMap(({ heuristic, values = heuristic.values }) =>
    kinds.flatMap((choice) =>
      values.flatMap((parameter) =>
        reuse.map((rule): Arm => ({
          name: `${heuristic.name} ${symbolOf(heuristic.parameter)} ${parameter}, ${choice.label}, ${rule.name}`,
          solver,
          steps,
          // Within a budget a rule's sums count.
          cached: { schedule: heuristic.find(profile, { kinds: choice.kinds, costs, reuse: rule, [heuristic.parameter]: parameter }), reuse: rule.name, kinds: choice.label, parameter },
        })),
      ),
    ),
  );
  return [...plain, ...cached];
}

function symbolOf(parameter: string): string {
  return parameter === "delta" ? "δ" : parameter;
}
