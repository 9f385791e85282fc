import { compareArms } from "./compare.js";
import type { ArmResult, StudyResult } from "./result.js";

/** Between neighbouring parameters of one heuristic, more than this many times the distance is a cliff. */
export const CLIFF = 3;

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
  return [...idle.map(({ arm }) => `"${arm.name}" does nothing: every block computes at every step`), ...cliffs];
}

/** Arms that differ in their parameter alone, ascending. */
function families({ results }: StudyResult): ArmResult[][] {
  const byFamily = new Map<string, ArmResult[]>();
  for (const result of results) {
    const { cached } = result.arm;
    if (cached?.parameter === undefined) continue;
    const key = JSON.stringify([cached.schedule.heuristic.name, cached.reuse, cached.kinds]);
    byFamily.set(key, [...(byFamily.get(key) ?? []), result]);
  }
  return [...byFamily.values()].map((family) =>
    family.sort((a, b) => (a.arm.cached?.parameter ?? 0) - (b.arm.cached?.parameter ?? 0)),
  );
}
