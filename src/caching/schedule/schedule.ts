/**
 * A schedule says at which network evaluations each block computes; at the others it reuses what it
 * computed before. Plain data; scheduleFile.ts has it on disk.
 */

export interface Schedule {
  readonly format: "blockcache-schedule";
  readonly version: 1;
  readonly model: { readonly fingerprint: string; readonly name: string };
  readonly solver: string;
  /** the solver's whole configuration; absent: the model's own, as in a schedule made by hand */
  readonly solver_config?: Readonly<Record<string, unknown>>;
  readonly num_inference_steps: number;
  /** one entry for each network evaluation, in sampling order */
  readonly timesteps: readonly number[];
  readonly guidance_scale: number;
  /** the profile that it was found from: its digest, and its file's name where there is one */
  readonly profile?: { readonly digest: string; readonly trajectories: number; readonly name?: string };
  /** what found it, with its options */
  readonly heuristic: Readonly<Record<string, unknown>> & { readonly name: string };
  /** what was changed afterwards, in order (edits.ts) */
  readonly edits?: readonly (Readonly<Record<string, unknown>> & { readonly edit: string })[];
  /**
   * block id → 0-based network evaluations that compute: ascending, the first is 0.
   * A block that is absent always computes.
   */
  readonly blocks: Readonly<Record<string, readonly number[]>>;
}

/** Whether a block's branch runs at a network evaluation. */
export function computesAt(schedule: Pick<Schedule, "blocks">, id: string, evaluation: number): boolean {
  return schedule.blocks[id]?.includes(evaluation) ?? true;
}

/** Share of the scheduled blocks' evaluations that compute, from 0 to 1; 1 for an empty schedule. */
export function computedShare(schedule: Schedule): number {
  const lists = Object.values(schedule.blocks);
  if (lists.length === 0) return 1;
  return lists.reduce((sum, list) => sum + list.length, 0) / (lists.length * schedule.timesteps.length);
}
