/**
 * A scheduler config as StableDiffusionPipeline, and no other, corrects it when it loads: it holds a
 * `steps_offset` other than 1 and a `clip_sample` of true for outdated, and takes 1 and false.
 * On the model's own scheduler that goes for absent keys too, whose class defaults (0, true) it
 * corrects; a scheduler made by `from_config` from it sees the corrections of written keys only.
 *
 * Source: diffusers 0.42, pipelines/stable_diffusion/pipeline_stable_diffusion.py, `__init__`.
 *
 * @param schedulerConfig `scheduler/scheduler_config.json`, parsed
 * @param isOwn the solver that will run stands for the model's own scheduler class
 */
export function correctOutdatedConfig(
  schedulerConfig: Readonly<Record<string, unknown>>,
  isOwn: boolean,
): Record<string, unknown> {
  const corrected = { ...schedulerConfig };
  if (isOwn || "steps_offset" in corrected) corrected.steps_offset = 1;
  if ((isOwn && !("clip_sample" in corrected)) || corrected.clip_sample === true) corrected.clip_sample = false;
  return corrected;
}
