import { VERSION } from "../../version.js";
import { hold } from "../run/reuseRule.js";
import type { Schedule } from "../schedule/schedule.js";
import { provenanceOf } from "./adjustment.js";
import type { Adjustment } from "./adjustment.js";
import { fitsOf, requireFitsOf } from "./reuseFits.js";
import type { ReuseFits } from "./reuseFits.js";

/**
 * The adjustment of a schedule, by *hold*, from the fits of its reuses; what is older than the window stays as it is.
 *
 * @throws ArgumentError where the fits are of another setting or lack a block
 */
export function adjustmentFrom(fits: ReuseFits, schedule: Schedule): Adjustment {
  requireFitsOf(fits, schedule);
  const { window, trajectories } = fits;
  const evaluations = schedule.timesteps.length;
  const blocks = Object.entries(schedule.blocks).map(([id, computed]) => {
    const { channels, ...fitted } = fitsOf(fits, id);
    const scale = new Float32Array(evaluations * channels).fill(1);
    const shift = new Float32Array(evaluations * channels);
    let last = 0;
    for (let evaluation = 0; evaluation < evaluations; evaluation++) {
      if (computed.includes(evaluation)) last = evaluation;
      const age = evaluation - last;
      if (age === 0 || age > window) continue;
      const from = (evaluation * window + age - 1) * channels;
      scale.set(fitted.scale.subarray(from, from + channels), evaluation * channels);
      shift.set(fitted.shift.subarray(from, from + channels), evaluation * channels);
    }
    return [id, { channels, terms: { scale, shift } }] as const;
  });
  return {
    schedule: provenanceOf(schedule),
    reuse: hold.name,
    halves: 1,
    fit: { method: "reuse-fits", trajectories },
    report: {},
    library_version: VERSION,
    blocks: Object.fromEntries(blocks),
  };
}
