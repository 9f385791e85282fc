/**
 * The settings of bench/evaluation: plain runs, and the paper's rule at several δ, as it is, with scale-shift, and with the richest terms.
 *
 * usage: node bench/evaluation/settings.mjs <steps> <folder of the profile, schedules and adjustments> > settings.json
 */
import { resolve } from "node:path";

/** steps → plain runs of fewer steps, and the thresholds; run.sh fits the same. */
const SETTINGS = {
  20: { plain: [20, 16, 15, 14, 12], deltas: [0.1, 0.2] },
  50: { plain: [50, 35, 28], deltas: [0.05, 0.1] },
};

const [steps, folder] = process.argv.slice(2);
const found = SETTINGS[steps];
if (found === undefined || folder === undefined)
  throw new Error(
    `settings.mjs: expected ${Object.keys(SETTINGS).join(" or ")} steps and a folder, found ${steps} and ${folder}`,
  );
const solver = "dpmsolver++";
const cached = found.deltas.flatMap((delta) => {
  const setting = { solver, steps: Number(steps), schedule: resolve(folder, `schedule-${steps}-${delta}.json`) };
  const adjustment = (kind) => resolve(folder, `${kind}-${steps}-${delta}.safetensors`);
  return [
    { name: `cached-${delta}`, ...setting },
    { name: `cached-${delta}-scale-shift`, ...setting, adjustment: adjustment("scale-shift") },
    { name: `cached-${delta}-richest`, ...setting, adjustment: adjustment("richest") },
  ];
});
const plain = found.plain.map((each) => ({ name: `plain-${each}`, solver, steps: each }));
console.log(JSON.stringify([...plain, ...cached], null, 1));
