import { computesAt } from "../caching/schedule/schedule.js";
import type { Schedule } from "../caching/schedule/schedule.js";
import type { SamplingHook } from "../diffusion/samplingHook.js";
import type { Execution } from "../engine/network/observer.js";
import { pixelGrid } from "./pixelGrid.js";
import type { Colour } from "../live/cividis.js";

/** A schedule whose cells light up as they compute or reuse. */
export interface ScheduleGrid {
  /** goes into the sampling; it looks at nothing but what was executed */
  readonly hook: SamplingHook;
  html(): string;
}

/** Blue and orange as in the schedule chart, and how they look before their cell has run. */
const LIT: Readonly<Record<Execution, Colour>> = { computed: [0, 114, 178], reused: [230, 159, 0] };
const PLANNED: Readonly<Record<Execution, Colour>> = { computed: [204, 227, 240], reused: [250, 236, 204] };

export function scheduleGrid(schedule: Schedule): ScheduleGrid {
  const ids = Object.keys(schedule.blocks);
  const steps = schedule.timesteps.length;
  const grid = pixelGrid(ids, steps);
  for (const id of ids) {
    for (let step = 0; step < steps; step++)
      grid.set(id, step, PLANNED[computesAt(schedule, id, step) ? "computed" : "reused"]);
  }
  const key = (how: Execution, text: string): string => `<span style="color:rgb(${LIT[how].join()})">■</span> ${text}`;
  return {
    hook: {
      answer: () => "compute",
      executed: ({ id }, how, { index }) => grid.set(id, index, LIT[how]),
    },
    html: () =>
      grid.html(
        "what each block did at each step",
        `${key("computed", "computes")} ${key("reused", "reuses")}; pale: not run (yet), step 1 to ${steps} →`,
      ),
  };
}
