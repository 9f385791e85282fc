import { repeatedTrajectories } from "../instrument/profile/trajectories.js";
import { compareArms } from "./compare.js";
import { armNames } from "./result.js";
import { askedText } from "./table.js";
import type { ArmResult, StudyResult } from "./result.js";

/** Between neighbouring parameters of one heuristic, more than this many times the distance is a cliff. */
export const CLIFF = 3;

/** Of seconds that are summed in another order. */
const ROUNDING = 1e-9;

/** What a reader of a study should know: parameters that do nothing, and those at which the error jumps. */
export function studyWarnings(study: StudyResult): string[] {
  const idle = study.results.filter(({ arm, computedShare }) => arm.cached !== undefined && computedShare === 1);
  const distance = new Map(compareArms(study).map((arm) => [arm.result, arm.distance]));
  const cliffs = families(study).flatMap((family) =>
    family.slice(1).flatMap((result, index) => {
      const before = family[index];
      const jump = (distance.get(result) ?? NaN) / (distance.get(before) ?? NaN);
      return jump > CLIFF
        ? [`"${result.arm.name}" falls off a cliff: ${jump.toFixed(1)} times the distance of "${before.arm.name}"`]
        : [];
    }),
  );
  return [
    ...(study.failed ?? []).map(({ arm, reason }) => `"${armNames(arm).join(" = ")}" failed: ${reason}`),
    ...(study.repeated === undefined ? [] : [repeatedTrajectories(study.repeated)]),
    ...startWarning(study),
    ...study.results.flatMap((result) => budgetWarning(result)),
    ...idle.map(({ arm }) => `"${arm.name}" does nothing: every block computes at every step`),
    ...cliffs,
  ];
}

/** Where runs of different numbers of steps do not start at one timestep. */
function startWarning({ timestep_spacing: spacing, results, converged_steps: converged }: StudyResult): string[] {
  if (spacing !== "leading") return [];
  const steps = [...new Set([...results.map(({ arm }) => arm.steps), converged])];
  return [
    `${spacing} spacing, as the profile's: runs of ${steps.join(", ")} steps start at different timesteps from the same noise, and their distances hold that too — \`blockcache profile --scheduler-config timestep_spacing=trailing\` for a study in which all start at the last one`,
  ];
}

/** One schedule for several budgets, or one that is slower than was asked. */
function budgetWarning({ arm, predictedSpeedup }: ArmResult): string[] {
  const asked = arm.cached?.askedSpeedups ?? [];
  const predicted = predictedSpeedup === undefined ? "" : `, predicted at ${predictedSpeedup.toFixed(2)}`;
  const name = armNames(arm).join(" = ");
  if (new Set(asked).size > 1)
    return [`"${name}" is one schedule${predicted}, and was asked for as ${asked.map(askedText).join(", ")}`];
  const slow = asked.find((speedup) => (predictedSpeedup ?? Infinity) < speedup * (1 - ROUNDING));
  return slow === undefined ? [] : [`"${name}" was asked for as ${askedText(slow)}${predicted}`];
}

/** Arms that differ in their parameter alone, ascending. */
function families({ results }: StudyResult): ArmResult[][] {
  const byFamily = new Map<string, ArmResult[]>();
  for (const result of results) {
    const { cached } = result.arm;
    if (cached?.parameter === undefined) continue;
    const key = JSON.stringify([
      cached.schedule.heuristic.name,
      cached.reuse,
      cached.adjustment !== undefined,
      cached.kinds,
    ]);
    byFamily.set(key, [...(byFamily.get(key) ?? []), result]);
  }
  return [...byFamily.values()].map((family) =>
    family.sort((a, b) => (a.arm.cached?.parameter ?? 0) - (b.arm.cached?.parameter ?? 0)),
  );
}
