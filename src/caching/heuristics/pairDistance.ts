import { ArgumentError } from "../../errors.js";
import type { Profile } from "../../instrument/profile/profile.js";

/** Distance of a block's C at a step from its C at an earlier one, as a profile measured it. */
export interface PairDistance {
  /** how many steps apart two may be */
  readonly window: number;
  /**
   * ‖C(t) − C(t − age)‖₁ / ‖C(t)‖₁, the mean over trajectories; `age` from 1 to `window`.
   *
   * @param id of a block
   */
  of(id: string, step: number, age: number): number;
}

/** @throws ArgumentError where the profile has no change between pairs of steps */
export function pairDistance({ pairs, trajectories, setting }: Profile): PairDistance {
  if (pairs === undefined)
    throw new ArgumentError(
      "profile: expected change between all pairs of steps, found change from step to step only — profile with pairWindow: 8 (`blockcache profile --pair-window 8`)",
    );
  const { window } = pairs;
  const entries = setting.timesteps.length * window;
  const means = new Map(
    Object.entries(pairs.change).map(([id, values]) => {
      const mean = new Float64Array(entries);
      for (let index = 0; index < values.length; index++) mean[index % entries] += values[index] / trajectories.length;
      return [id, mean];
    }),
  );
  return { window, of: (id, step, age) => means.get(id)?.[step * window + age - 1] ?? 0 };
}
