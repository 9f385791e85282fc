/** Points of error against time over a set of prompts and seeds, one run after another. */
import { predictSeconds } from "../caching/costs/predictSeconds.js";
import type { NamedHeuristic } from "../caching/heuristics/registry.js";
import type { Schedule } from "../caching/schedule/schedule.js";
import { reuseRule } from "../caching/run/reuseRule.js";
import { ArgumentError, InterruptedError } from "../errors.js";
import { planSchedule } from "../planning/plan.js";
import type { Measurements, Plan } from "../planning/plan.js";
import type { Task } from "./agenda.js";
import type { JudgedPoint, JudgedSet } from "./document.js";
import type { SamplingSettings } from "./settings.js";
import { PRIORITY, textOf } from "./tasks.js";
import type { Workplace } from "./tasks.js";
import type { JudgedArm } from "./worker.js";
import { WorkerEndedError } from "./workerEnded.js";

/** What a point is made of. */
interface PointSource {
  readonly settings: SamplingSettings;
  readonly measurements: Measurements;
  /** whether the adjustment that is there applies to a plan's schedule */
  readonly adjusts: (plan: Plan, schedule: Schedule) => boolean;
}

/** The point of a plan as it is. Throws ArgumentError where its heuristic finds no schedule. */
export function planPoint(
  { settings, measurements, adjusts }: PointSource,
  plan: Plan,
  heuristic: NamedHeuristic | undefined,
): Omit<JudgedPoint, "id"> {
  const schedule = planSchedule(plan, measurements, heuristic);
  const adjusted = adjusts(plan, schedule);
  return {
    label: `${labelOf(plan, heuristic)}${adjusted ? ", adjusted" : ""}`,
    settings,
    plan,
    schedule,
    adjusted,
    predictedSeconds: predictSeconds(measurements.costs, schedule, reuseRule(plan.reuse)),
    results: [],
  };
}

/** A point for each value of the heuristic's parameter that a sweep tries; values that find nothing are left out. */
export function valuePoints(source: PointSource, plan: Plan, heuristic: NamedHeuristic): Omit<JudgedPoint, "id">[] {
  const { speedup: _, imported: __, ...tuned } = plan;
  return heuristic.values.flatMap((value) => {
    try {
      return [planPoint(source, { ...tuned, options: { ...plan.options, [heuristic.parameter]: value } }, heuristic)];
    } catch {
      return [];
    }
  });
}

/** Shares of the steps that plain runs with fewer steps have. */
const FEWER_STEPS = [0.5, 0.6, 0.7, 0.8, 0.9, 1];

/** Plain runs of as many steps, and of fewer: what caching has to beat. */
export function plainPoints({
  settings,
  measurements: { costs },
}: Omit<PointSource, "adjusts">): Omit<JudgedPoint, "id">[] {
  const counts = [...new Set(FEWER_STEPS.map((share) => Math.max(1, Math.round(share * settings.steps))))];
  return counts.map((steps) => ({
    label: `plain, ${steps} steps`,
    settings: { ...settings, steps },
    predictedSeconds: predictSeconds(costs, { timesteps: Array<number>(steps).fill(0), blocks: {} }),
    results: [],
  }));
}

function labelOf(plan: Plan, heuristic: NamedHeuristic | undefined): string {
  const painted = Object.keys(plan.cells).length > 0 ? ", painted" : "";
  if (plan.imported !== undefined) return `schedule of a file${painted}, ${plan.reuse}`;
  const tuned =
    plan.speedup === undefined
      ? `${heuristic?.parameter === "delta" ? "δ" : heuristic?.parameter} ${plan.options[heuristic?.parameter ?? ""]}`
      : `${plan.speedup} × as fast`;
  return `${plan.heuristic} ${tuned}${painted}, ${plan.reuse}`;
}

/** The next run: every point gets its first trajectory before any gets its second. */
function nextRun(
  { prompts, seeds, convergedSteps, points }: JudgedSet,
  adjustment: string | undefined,
): { id: string; arm: JudgedArm; lacksAdjustment: boolean } | undefined {
  const trajectories = prompts.flatMap((prompt) => seeds.map((seed) => ({ prompt, seed })));
  const open = points.filter(({ results, problem }) => problem === undefined && results.length < trajectories.length);
  const [first] = [...open].sort((a, b) => a.results.length - b.results.length);
  if (first === undefined) return undefined;
  const { id, settings, schedule, plan, adjusted, results } = first;
  return {
    id,
    arm: {
      settings: { ...settings, ...trajectories[results.length] },
      ...(schedule === undefined || plan === undefined
        ? {}
        : { cached: { schedule, reuse: plan.reuse, ...(adjusted ? { adjustment } : {}) } }),
      convergedSteps,
    },
    lacksAdjustment: adjusted === true && adjustment === undefined,
  };
}

/** Judges until every point has all its trajectories; what is done is told as it comes. */
export function judgeTask({ worker, shared, adjustment }: Workplace): Task {
  const next = (): ReturnType<typeof nextRun> => nextRun(shared.current.judged, adjustment);
  const spoil = (id: string, problem: string): void => {
    const { judged } = shared.current;
    const points = judged.points.map((point) => (point.id === id ? { ...point, problem } : point));
    shared.tell({ set: { judged: { ...judged, points } } });
  };
  return {
    name: "judge",
    priority: PRIORITY.judge,
    async work(signal) {
      for (let run = next(); run !== undefined; run = next()) {
        const { id, arm, lacksAdjustment } = run;
        try {
          if (lacksAdjustment)
            throw new ArgumentError(
              "adjustment: expected the one that this point has, found none — `blockcache explore --adjustment` brings it",
            );
          shared.tell({ judgement: { id, ...(await worker.run("judge", arm, { signal })) } });
        } catch (error) {
          if (error instanceof InterruptedError || error instanceof WorkerEndedError) throw error;
          spoil(id, textOf(error));
        }
      }
      shared.tell({ set: { judged: { ...shared.current.judged, runs: false } } });
    },
  };
}
