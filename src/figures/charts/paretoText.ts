/** What the Pareto plot says in words. */
import type { DistanceMeasure } from "../../study/compare.js";
import type { Verdict } from "../../study/table.js";
import { COST_TITLES } from "./armCost.js";
import type { CostAxis, CostedPoint } from "./armCost.js";
import { DISTANCE_TITLES } from "./studyPoints.js";

/** What hovering over a point says. */
export function describe(point: CostedPoint, steps: number, measure: DistanceMeasure, x: CostAxis): string {
  const { name, seconds, speedup, cost, distance, interval, atEqualLatency, cached, computedShare } = point;
  return [
    `<b>${name}</b>`,
    ...(cached === undefined || cached.setting === "" ? [] : [`${cached.heuristic}, ${cached.setting}`]),
    `${(1000 * seconds).toFixed(0)} ms an image, ${speedup.toFixed(2)} × as fast as plain ${steps}`,
    ...(x === "time" ? [] : [`${COST_TITLES[x].axis}: ${cost.toFixed(3)} of plain ${steps}'s`]),
    `${DISTANCE_TITLES[measure]}: ${distance.toPrecision(3)} (${interval.low.toPrecision(3)} to ${interval.high.toPrecision(3)})`,
    ...(atEqualLatency === undefined ? [] : [`÷ plain's of ${COST_TITLES[x].equal}: ${ratio(atEqualLatency)}`]),
    ...(cached === undefined
      ? []
      : [`${(100 * computedShare).toFixed(0)} % of the scheduled blocks' evaluations compute`]),
  ].join("<br>");
}

/** The figure in a line: what is drawn, and how many cached arms do better than plain sampling of equal cost. */
export function summary(points: readonly CostedPoint[], left: number, x: CostAxis): string {
  const cached = points.filter((point) => point.cached !== undefined);
  const count = (wanted: Verdict): number => cached.filter(({ verdict }) => verdict === wanted).length;
  const missing = left === 0 ? "" : `; ${left} without a prediction not drawn`;
  const drawn = `${counted(points.length - cached.length, "plain run")} and ${counted(cached.length, "cached arm")}${missing}`;
  if (cached.length === 0) return drawn;
  const verdicts = [
    `${count("better")} nearer`,
    `${count("worse")} farther`,
    `${count("even")} not to be told apart (95 %)`,
    ...(count("outside") === 0 ? [] : [`${count("outside")} out of the plain runs' range`]),
  ];
  return `${drawn}. Against plain sampling of ${COST_TITLES[x].equal}: ${verdicts.join(", ")}`;
}

function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

function ratio({ ratio: middle, low, high }: { ratio: number; low: number; high: number }): string {
  return `${middle.toFixed(2)} (${low.toFixed(2)} to ${high.toFixed(2)})`;
}
