/**
 * What a scale and a shift make of every reuse that a schedule may have: for each block, each evaluation t and each
 * earlier one, C(t) by least squares from C(t − age), along plain runs. Measured once, they tell a search what a mended
 * reuse misses, and mend any schedule that it tries without another fit. For the schedule that is chosen `fitAdjustment`
 * is nearer: it fits on the cached run's own states.
 */
import { ArgumentError } from "../../errors.js";
import type { ProfileSetting, Trajectory } from "../../instrument/profile/profile.js";
import type { Schedule } from "../schedule/schedule.js";

export interface BlockReuseFits {
  readonly channels: number;
  /** [evaluations, window, channels]; entry age − 1 is of what was computed `age` evaluations before */
  readonly scale: Float32Array;
  readonly shift: Float32Array;
  /** √(Σ(C − stand-in)² / ΣC²) on prompts held out, [evaluations, window] */
  readonly error: Float64Array;
}

export interface ReuseFits {
  readonly setting: ProfileSetting;
  readonly trajectories: readonly Trajectory[];
  /** the oldest value that a fit is of, in evaluations */
  readonly window: number;
  readonly blocks: Readonly<Record<string, BlockReuseFits>>;
}

/** @throws ArgumentError where they were measured for another model, solver, timesteps or guidance than a schedule's */
export function requireFitsOf(
  { setting }: ReuseFits,
  schedule: Pick<Schedule, "model" | "solver" | "timesteps" | "guidance_scale">,
): void {
  const of = ({ model, solver, timesteps, guidance_scale }: typeof schedule): Record<string, unknown> => ({
    model: model.fingerprint,
    solver,
    timesteps: timesteps.join(),
    guidance_scale,
  });
  const [measured, wanted] = [of(setting), of(schedule)];
  const other = Object.keys(wanted).find((key) => measured[key] !== wanted[key]);
  if (other !== undefined)
    throw new ArgumentError(
      `reuse fits: expected those of the schedule's ${other}, ${String(wanted[other])}, found ${String(measured[other])} — measure them for it with \`blockcache fit-reuses\``,
    );
}

/** A block's fits. Throws ArgumentError where it has none. */
export function fitsOf({ blocks }: ReuseFits, id: string): BlockReuseFits {
  const found = blocks[id];
  if (found === undefined)
    throw new ArgumentError(
      `reuse fits: expected ${id} among the blocks, found ${Object.keys(blocks).join(", ")} — measure them for its kind too (kinds, --kinds)`,
    );
  return found;
}

/**
 * What a mended reuse misses of a block's C, as relative L2.
 *
 * @param age evaluations since it was computed; what is older than the window counts as the oldest that was measured
 */
export function mendedError({ error }: BlockReuseFits, window: number, evaluation: number, age: number): number {
  return error[evaluation * window + Math.min(age, window) - 1];
}
