/** What a study samples, resolved against a model: plain data that every job carries. */
import { ArgumentError } from "../errors.js";
import type { Pipeline } from "../diffusion/pipeline.js";
import { negativePromptOf, planEvaluations } from "../diffusion/plannedEvaluations.js";
import type { PlannedEvaluations } from "../diffusion/plannedEvaluations.js";
import type { SampleOptions } from "../diffusion/samplingPlan.js";
import type { Solver, SolverName } from "../diffusion/solvers/index.js";

/** Equal in two studies whose results may be put side by side. */
export interface StudySetting {
  readonly model: { readonly fingerprint: string; readonly name: string };
  readonly solver: SolverName;
  /** num_inference_steps of the plain run that all arms are timed beside */
  readonly steps: number;
  /** num_inference_steps of the near-converged reference */
  readonly converged_steps: number;
  /** of every arm and of the reference, the model's own or another */
  readonly timestep_spacing: string;
  /** what else is changed in the model's scheduler config of every arm and of the reference; absent: nothing */
  readonly scheduler_config?: Readonly<Record<string, unknown>>;
  readonly guidance_scale: number;
  /** null: what the model takes for none */
  readonly negative_prompt: string | null;
  /** latent height and width */
  readonly latent_size: readonly [height: number, width: number];
  /** trajectories sampled together */
  readonly batch: number;
  /** timed samplings of each batch and arm */
  readonly repeats: number;
}

export interface StudySettingOptions {
  /** Default: what the model's scheduler asks for */
  readonly solver?: SolverName;
  /** num_inference_steps of the plain run that all arms are timed beside. Default: 20 */
  readonly steps?: number;
  /** num_inference_steps of the reference. Default: 200 */
  readonly convergedSteps?: number;
  /**
   * Changes to the model's scheduler_config.json, for every arm and the reference: those of the profile and of the
   * sampling that the study is about. Default: none, as everywhere. Runs of different numbers of steps start at
   * one timestep with `{ timestep_spacing: "trailing" }` only.
   */
  readonly schedulerConfig?: Readonly<Record<string, unknown>>;
  /** Default: 5 */
  readonly guidanceScale?: number;
  readonly negativePrompt?: string;
  /** pixels; both must be given or neither. Default: what the model was trained at */
  readonly height?: number;
  readonly width?: number;
  /** Default: 4 */
  readonly batch?: number;
  /** Default: 1 */
  readonly repeats?: number;
}

/** Of the solvers that have no such key (DPM-Solver++ singlestep). */
export const ONLY_SPACING = "linspace";

/** Throws ArgumentError for what does not fit the model. */
export async function resolveSetting(pipeline: Pipeline, options: StudySettingOptions): Promise<StudySetting> {
  const { convergedSteps = 200, schedulerConfig = {}, batch = 4, repeats = 1, ...sampling } = options;
  for (const [name, value] of [
    ["batch", batch],
    ["repeats", repeats],
  ] as const) {
    if (!Number.isInteger(value) || value < 1)
      throw new ArgumentError(`${name}: expected an integer of 1 or more, found ${value}`);
  }
  const planned = (config: Readonly<Record<string, unknown>>): PlannedEvaluations =>
    planEvaluations(pipeline, { ...sampling, schedulerConfig: config });
  const plan = planned(schedulerConfig);
  const spacing = String(plan.solver.config.timestep_spacing ?? ONLY_SPACING);
  const { timestep_spacing: _, ...others } = schedulerConfig;
  const changed = effective(others, plan.solver, planned({ timestep_spacing: spacing }).solver);
  const { numInferenceSteps: steps } = plan.solver;
  checkDeterministic("solver", plan.solver);
  if (!(convergedSteps > steps))
    throw new ArgumentError(
      `convergedSteps: expected more than the ${steps} steps of the arms, found ${convergedSteps}`,
    );
  return {
    model: { fingerprint: await pipeline.fingerprint(), name: pipeline.name },
    solver: plan.solver.name,
    steps: options.steps ?? 20,
    converged_steps: convergedSteps,
    timestep_spacing: spacing,
    ...(Object.keys(changed).length === 0 ? {} : { scheduler_config: changed }),
    guidance_scale: plan.guidanceScale,
    negative_prompt: negativePromptOf(pipeline, options.negativePrompt),
    latent_size: plan.latentSize,
    batch,
    repeats,
  };
}

/** Those of the changes that change something: one configuration is one setting, however it is said. */
function effective(
  changes: Readonly<Record<string, unknown>>,
  { config }: Solver,
  { config: usual }: Solver,
): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(changes).filter(([key]) => JSON.stringify(config[key]) !== JSON.stringify(usual[key])),
  );
}

const NOISY: readonly SolverName[] = ["euler-ancestral", "sde-dpmsolver++", "lcm"];

/** Throws ArgumentError for a solver that adds noise: with more steps it comes to other images, not nearer to the same. */
export function checkDeterministic(where: string, { name, config }: Pick<Solver, "name" | "config">): void {
  const algorithm = String(config.algorithm_type ?? "");
  if (!NOISY.includes(name) && !algorithm.startsWith("sde")) return;
  throw new ArgumentError(
    `${where}: expected a solver that adds no noise, so that all arms solve one equation, found ${name}${algorithm.startsWith("sde") ? ` with algorithm_type ${algorithm}` : ""}`,
  );
}

/** How an arm of the study, or its reference, is sampled. */
export function armSampling(
  pipeline: Pipeline,
  setting: Pick<
    StudySetting,
    "latent_size" | "scheduler_config" | "timestep_spacing" | "guidance_scale" | "negative_prompt"
  >,
  { solver, steps }: { readonly solver: SolverName; readonly steps: number },
): Omit<SampleOptions, "prompt"> {
  const [height, width] = setting.latent_size.map((extent) => extent * pipeline.vaeScaleFactor);
  return {
    solver,
    steps,
    schedulerConfig: { ...setting.scheduler_config, timestep_spacing: setting.timestep_spacing },
    guidanceScale: setting.guidance_scale,
    negativePrompt: setting.negative_prompt ?? undefined,
    height,
    width,
  };
}
