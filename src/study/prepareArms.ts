/** Arms as a study runs them: checked before anything is sampled, and each way to sample once. */
import { reuseDigest } from "../caching/run/reuseDigest.js";
import { reuseRule } from "../caching/run/reuseRule.js";
import { checkSchedule } from "../caching/schedule/checkSchedule.js";
import { evaluationTimes } from "../diffusion/evaluationTimes.js";
import type { Pipeline } from "../diffusion/pipeline.js";
import { planEvaluations } from "../diffusion/plannedEvaluations.js";
import type { PlannedEvaluations } from "../diffusion/plannedEvaluations.js";
import { ArgumentError } from "../errors.js";
import { openCachedRun } from "./armAdjustment.js";
import type { Arm } from "./result.js";
import { armSampling, checkDeterministic } from "./setting.js";
import type { StudySetting } from "./setting.js";
import { isPlainRun } from "./studyJobs.js";

/**
 * Copies of the arms, with the study's plain run among them, and those that are the same under one.
 *
 * @throws ArgumentError where names stand twice, a reuse rule is unknown or gives other weights each time, or a schedule
 *   or an adjustment does not fit model, solver or timesteps; InvalidFileError for an adjustment's file
 */
export async function prepareArms(pipeline: Pipeline, setting: StudySetting, given: readonly Arm[]): Promise<Arm[]> {
  const { solver, steps } = setting;
  const arms = given.some((arm) => isPlainRun(arm, setting))
    ? given
    : [{ name: `plain ${steps}`, solver, steps }, ...given];
  const distinct = new Map<string, Arm>();
  const names = new Set<string>();
  for (const each of arms) {
    if (names.has(each.name)) throw new ArgumentError(`arms: expected names that differ, found "${each.name}" twice`);
    names.add(each.name);
    const arm = await prepared(pipeline, setting, each);
    const identity = identityOf(arm);
    const before = distinct.get(identity);
    distinct.set(identity, before === undefined ? arm : joined(before, arm));
  }
  return [...distinct.values()];
}

async function prepared(pipeline: Pipeline, setting: StudySetting, arm: Arm): Promise<Arm> {
  const { name, solver, steps, cached } = arm;
  const where = `arms: "${name}"`;
  const plan = planEvaluations(pipeline, armSampling(pipeline, setting, arm));
  checkDeterministic(where, plan.solver);
  if (cached === undefined) return { name, solver, steps };
  if (solver !== setting.solver)
    throw new ArgumentError(
      `${where}: expected ${setting.solver}, as the study's plain run, found ${solver} — a study of another solver is one of its own`,
    );
  const { reuse, adjustment, kinds, parameter } = cached;
  const schedule = checkSchedule(cached.schedule, `${where}: schedule`);
  await checkCaching(where, { ...cached, schedule }, pipeline, plan);
  const asked = schedule.heuristic.speedup;
  return {
    name,
    solver,
    steps,
    cached: {
      schedule,
      reuse,
      ...digestOf(where, arm, plan),
      ...(adjustment === undefined ? {} : { adjustment }),
      ...(typeof asked === "number" ? { askedSpeedups: [asked] } : {}),
      kinds,
      ...(parameter === undefined ? {} : { parameter }),
    },
  };
}

/** Throws ArgumentError that names the arm where its schedule or its adjustment does not fit the run. */
export async function checkCaching(
  where: string,
  cached: NonNullable<Arm["cached"]>,
  pipeline: Pipeline,
  plan: PlannedEvaluations,
): Promise<void> {
  try {
    const trial = await openCachedRun(cached);
    await trial.begin?.(pipeline, plan);
    trial.end?.();
  } catch (error) {
    if (error instanceof ArgumentError) throw new ArgumentError(`${where}: ${error.message}`, { cause: error });
    throw error;
  }
}

/** @throws ArgumentError for a rule whose weights do not follow from its arguments: no result of it could be kept */
function digestOf(where: string, { cached }: Arm, plan: PlannedEvaluations): { readonly reuseDigest?: string } {
  if (cached === undefined) return {};
  const rule = reuseRule(cached.reuse);
  const times = evaluationTimes(plan.solver);
  const [digest, again] = [0, 1].map(() => reuseDigest(cached.schedule, rule, times));
  if (digest !== again)
    throw new ArgumentError(
      `${where}: expected a reuse rule whose weights follow from its arguments alone, found that ${rule.name} gives others each time`,
    );
  return digest === undefined ? {} : { reuseDigest: digest };
}

/** Equal for arms that run alike: a block that always computes runs as one that no schedule names. */
function identityOf({ solver, steps, cached }: Arm): string {
  if (cached === undefined) return JSON.stringify([solver, steps]);
  const { schedule, reuse, reuseDigest: digest, adjustment } = cached;
  const reusing = Object.entries(schedule.blocks)
    .filter(([, computed]) => computed.length < schedule.timesteps.length)
    .sort(([a], [b]) => (a < b ? -1 : 1));
  return JSON.stringify([solver, steps, reusing, reuse, digest, adjustment?.sha256]);
}

function joined(arm: Arm, other: Arm): Arm {
  const asked = [...(arm.cached?.askedSpeedups ?? []), ...(other.cached?.askedSpeedups ?? [])];
  return {
    ...arm,
    also: [...(arm.also ?? []), other.name],
    ...(arm.cached === undefined
      ? {}
      : { cached: { ...arm.cached, ...(asked.length === 0 ? {} : { askedSpeedups: asked }) } }),
  };
}
