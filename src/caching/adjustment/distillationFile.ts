/**
 * A distillation under way, on disk: safetensors with parameters, the best of them so far and Adam's state of each,
 * float64, with the losses and checks so far; the setting that it belongs to in the metadata.
 */
import { ArgumentError, InvalidFileError } from "../../errors.js";
import { openSafetensors, writeSafetensors } from "../../files/safetensors.js";
import { requireFormat } from "../../files/safetensorsMetadata.js";
import type { Schedule } from "../schedule/schedule.js";
import { scheduleDigest } from "./adjustment.js";
import type { DistilledParameters } from "./distilledParameters.js";

const FORMAT = "blockcache-distillation";
const LOSSES = "losses";
const CHECKS = "checks";

export interface DistillationProgress {
  /** of each iteration */
  readonly losses: number[];
  /** distance to the plain run on prompts held out, after so many iterations */
  readonly checks: { readonly iteration: number; readonly distance: number }[];
}

function settingText(setting: unknown, schedule: Schedule): string {
  return JSON.stringify({ setting, schedule: scheduleDigest(schedule) });
}

/** Writes parameters, Adam's state and progress; the file is replaced in one go. */
export async function saveDistillation(
  path: string,
  setting: unknown,
  schedule: Schedule,
  { trained }: DistilledParameters,
  { losses, checks }: DistillationProgress,
): Promise<void> {
  const tensors = new Map<string, { dtype: "F64"; dims: number[]; data: Float64Array }>();
  const put = (name: string, data: Float64Array): void =>
    void tensors.set(name, { dtype: "F64", dims: [data.length], data });
  for (const [name, { values, best, adam, steps }] of trained) {
    put(`steps/${name}`, steps);
    put(`parameters/${name}`, values);
    put(`best/${name}`, best);
    put(`mean/${name}`, adam.mean);
    put(`square/${name}`, adam.square);
  }
  put(LOSSES, Float64Array.from(losses));
  put(CHECKS, Float64Array.from(checks.flatMap(({ iteration, distance }) => [iteration, distance])));
  await writeSafetensors(path, tensors, { format: FORMAT, version: "1", setting: settingText(setting, schedule) });
}

/**
 * Puts parameters, Adam's state and progress back.
 *
 * @throws InvalidFileError where the file is none or damaged; ArgumentError where it is of another setting
 */
export async function loadDistillation(
  path: string,
  setting: unknown,
  schedule: Schedule,
  parameters: DistilledParameters,
  { losses, checks }: DistillationProgress,
): Promise<void> {
  const file = await openSafetensors(path);
  try {
    requireFormat(file, FORMAT);
    if (file.metadata.setting !== settingText(setting, schedule))
      throw new ArgumentError(
        `${path}: holds a distillation with other options (another schedule, start, prompts, loss or rate) — give another file, or delete this one`,
      );
    const read = async (name: string, length?: number): Promise<Float64Array> => {
      const entry = file.tensors.get(name);
      if (entry?.dtype !== "F64" || entry.dims.length !== 1 || entry.dims[0] !== (length ?? entry.dims[0]))
        throw new InvalidFileError({
          file: path,
          field: name,
          found: entry === undefined ? "no such tensor" : `${entry.dtype} [${entry.dims.join(", ")}]`,
          expected: `F64 [${length ?? "iterations"}]`,
        });
      return new Float64Array((await file.readRaw(name)).buffer);
    };
    for (const [name, { values, best, adam, steps }] of parameters.trained) {
      steps.set(await read(`steps/${name}`, steps.length));
      values.set(await read(`parameters/${name}`, values.length));
      best.set(await read(`best/${name}`, values.length));
      adam.mean.set(await read(`mean/${name}`, values.length));
      adam.square.set(await read(`square/${name}`, values.length));
    }
    parameters.refresh();
    losses.push(...(await read(LOSSES)));
    const numbers = await read(CHECKS);
    for (let index = 0; index < numbers.length; index += 2)
      checks.push({ iteration: numbers[index], distance: numbers[index + 1] });
  } finally {
    await file.close();
  }
}
