/**
 * A scheduler config as StableDiffusionPipeline, and no other, corrects it when it loads: it regards a `steps_offset`
 * other than 1 and a `clip_sample` of true as outdated, and takes 1 and false. For the model's own scheduler it also
 * corrects absent keys, whose class defaults are 0 and true; a scheduler made from it by `from_config` only sees the
 * corrections of keys that are written.
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
