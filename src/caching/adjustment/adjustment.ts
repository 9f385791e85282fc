/**
 * What stands in for C where a block is reused, mended by coefficients of each channel (paper, section 3.3). With K₁
 * the value of C that was computed last, K₂ and K₃ those before it, S what the reuse rule makes of them, and x the
 * block's input:
 *
 *   C ≈ scale ⊙ S + shift                            the paper's scale-shift
 *       + change ⊙ (K₁ − K₂)                         a learned extrapolation
 *       + earlier_change ⊙ (K₂ − K₃)
 *       + input_change ⊙ (x − x when K₁ was computed)  what the residual path knows already
 *
 * Each term is a table [evaluations, channels]; terms that are not there are 1 for scale and 0 for the others.
 */
import { createHash } from "node:crypto";
import { ArgumentError } from "../../errors.js";
import type { ReuseRule } from "../run/reuseRule.js";
import type { Schedule } from "../schedule/schedule.js";
import type { FitErrors } from "./crossValidation.js";

export const TERMS = ["scale", "change", "earlier_change", "input_change", "shift"] as const;
export type Term = (typeof TERMS)[number];

/** The coefficients that leave the stand-in as the rule made it. */
export const IDENTITY: Readonly<Record<Term, number>> = {
  scale: 1,
  change: 0,
  earlier_change: 0,
  input_change: 0,
  shift: 0,
};

/** What an adjustment was fitted for: a schedule without its table of blocks, which the digest stands for. */
export type ScheduleProvenance = Omit<Schedule, "format" | "version" | "blocks"> & { readonly digest: string };

/** What the fit did at one block and evaluation. */
export interface FittedCell extends FitErrors {
  readonly evaluation: number;
  /** strength of the ridge; null: left out, as nothing that was tried lowers the error on held-out prompts */
  readonly ridge: number | null;
}

export interface BlockAdjustment {
  readonly channels: number;
  /** [evaluations, halves, channels] each; terms that are absent are as in {@link IDENTITY} */
  readonly terms: Readonly<Partial<Record<Term, Float32Array>>>;
}

export interface Adjustment {
  readonly schedule: ScheduleProvenance;
  /** name of the reuse rule */
  readonly reuse: string;
  /** 2: coefficients of the unconditional and the conditional half, in this order; 1: both have the same */
  readonly halves: 1 | 2;
  /** how it was fitted, as plain JSON */
  readonly fit: Readonly<Record<string, unknown>> & { readonly method: string };
  /** what the fit did, by block id; only evaluations that reuse */
  readonly report: Readonly<Record<string, readonly FittedCell[]>>;
  readonly library_version: string;
  readonly blocks: Readonly<Record<string, BlockAdjustment>>;
}

/** `sha256:…` of what a schedule makes a run do: equal where the runs are. */
export function scheduleDigest({
  model,
  solver,
  solver_config,
  timesteps,
  guidance_scale,
  blocks,
}: Omit<Schedule, "format" | "version">): string {
  const sorted = (record: Readonly<Record<string, unknown>>): unknown[] =>
    Object.entries(record).sort(([a], [b]) => (a < b ? -1 : 1));
  const parts = [model.fingerprint, solver, sorted(solver_config ?? {}), timesteps, guidance_scale, sorted(blocks)];
  return `sha256:${createHash("sha256").update(JSON.stringify(parts)).digest("hex")}`;
}

export function provenanceOf(schedule: Schedule): ScheduleProvenance {
  const { format: _, version: __, blocks: ___, ...provenance } = schedule;
  return { ...provenance, digest: scheduleDigest(schedule) };
}

/** How many computed values of C an adjustment and the rule under it read. */
export function historyOf({ history }: Pick<ReuseRule, "history">, terms: readonly Term[]): number {
  return Math.max(history, terms.includes("earlier_change") ? 3 : terms.includes("change") ? 2 : 1);
}

/** The terms that any block has. */
export function termsOf({ blocks }: Pick<Adjustment, "blocks">): readonly Term[] {
  return TERMS.filter((term) => Object.values(blocks).some(({ terms }) => terms[term] !== undefined));
}

/**
 * The coefficients of one term at an evaluation [halves, channels]; undefined where they leave things as they are.
 */
export function coefficientsAt(
  { terms, channels }: BlockAdjustment,
  term: Term,
  evaluation: number,
  halves: number,
): Float32Array | undefined {
  const width = halves * channels;
  const values = terms[term]?.subarray(evaluation * width, (evaluation + 1) * width);
  return values?.every((value) => value === IDENTITY[term]) ? undefined : values;
}

/**
 * @throws ArgumentError that names what the adjustment was fitted for and the run is not: the model, the solver, the
 *   timesteps, the schedule, or the reuse rule
 */
export function requireFitsSchedule(adjustment: Adjustment, schedule: Schedule, reuse: Pick<ReuseRule, "name">): void {
  const { schedule: fitted } = adjustment;
  const refuse = (what: string, hint: string): never => {
    throw new ArgumentError(`adjustment: ${what} — ${hint}, or fit one for this with \`blockcache adjust\``);
  };
  if (fitted.model.fingerprint !== schedule.model.fingerprint)
    refuse(
      `fitted for the model ${fitted.model.name} (${fitted.model.fingerprint.slice(0, 19)}…), and the schedule is for ${schedule.model.name} (${schedule.model.fingerprint.slice(0, 19)}…)`,
      "take the schedule that it was fitted for",
    );
  if (fitted.solver !== schedule.solver)
    refuse(
      `fitted for solver ${fitted.solver}, and the schedule is for ${schedule.solver}`,
      "take the schedule that it was fitted for",
    );
  if (fitted.timesteps.join() !== schedule.timesteps.join())
    refuse(
      `fitted for ${fitted.timesteps.length} network evaluations from timestep ${fitted.timesteps[0]}, and the schedule is for ${schedule.timesteps.length} from ${schedule.timesteps[0]}`,
      "take the schedule that it was fitted for",
    );
  if (adjustment.reuse !== reuse.name)
    refuse(
      `fitted for the reuse rule ${adjustment.reuse}, and this run's is ${reuse.name}`,
      `sample with reuse: "${adjustment.reuse}"`,
    );
  const digest = scheduleDigest(schedule);
  if (fitted.digest !== digest)
    refuse(
      `fitted for another schedule (${fitted.heuristic.name}, ${fitted.digest.slice(0, 19)}…), and this is ${schedule.heuristic.name} (${digest.slice(0, 19)}…)`,
      "take the schedule that it was fitted for",
    );
}
