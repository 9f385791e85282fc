import type { Pipeline } from "./pipeline.js";
import type { PlannedEvaluations } from "./plannedEvaluations.js";

/** What fixes the network evaluations of a sampling, as profiles and schedules carry it. */
export interface SamplingRecord {
  readonly model: { readonly fingerprint: string; readonly name: string };
  readonly solver: string;
  /** the solver's whole configuration, as plain JSON */
  readonly solver_config: Readonly<Record<string, unknown>>;
  readonly num_inference_steps: number;
  /** one entry for each network evaluation, in sampling order */
  readonly timesteps: readonly number[];
  readonly guidance_scale: number;
}

/** The record of a sampling that is planned. Throws what {@link Pipeline.fingerprint} throws. */
export async function samplingRecord(
  pipeline: Pipeline,
  { solver, guidanceScale }: Pick<PlannedEvaluations, "solver" | "guidanceScale">,
): Promise<SamplingRecord> {
  return {
    model: { fingerprint: await pipeline.fingerprint(), name: pipeline.name },
    solver: solver.name,
    solver_config: solver.config,
    num_inference_steps: solver.numInferenceSteps,
    timesteps: solver.timesteps,
    guidance_scale: guidanceScale,
  };
}
