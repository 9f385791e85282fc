import type { PlotlyObject } from "../figure.js";

/**
 * Above this ratio between the largest and the smallest value the axis is logarithmic: equal ratios have equal lengths.
 */
const LOGARITHMIC_FROM = 4;
const MARGIN = 0.06;

/** A Plotly axis; the range of a logarithmic one is given in decimal logarithms. */
export interface RatioAxis extends PlotlyObject {
  readonly type?: "log";
  readonly range: readonly [number, number];
}

/**
 * An axis over positive values, logarithmic where they differ much; a zero, which a logarithm cannot show, is left
 * out. Its ticks are 1, 2 and 5 times powers of ten, written out: Plotly's own leave out the powers within a
 * decade.
 */
export function ratioAxis(values: readonly number[]): RatioAxis {
  const positive = values.filter((value) => value > 0);
  if (positive.length === 0) return { range: [0, 1] };
  const [least, most] = [Math.min(...positive), Math.max(...positive)];
  if (!(most / least > LOGARITHMIC_FROM)) {
    const gap = MARGIN * (most - least || most);
    return { range: [least - gap, most + gap] };
  }
  const [low, high] = [Math.log10(least), Math.log10(most)];
  const gap = MARGIN * (high - low);
  const range: [number, number] = [low - gap, high + gap];
  const decades = Array.from(
    { length: Math.floor(range[1]) - Math.floor(range[0]) + 1 },
    (_, index) => Math.floor(range[0]) + index,
  );
  const ticks = decades
    .flatMap((power) => [1, 2, 5].map((digit) => Number(`${digit}e${power}`)))
    .filter((tick) => Math.log10(tick) >= range[0] && Math.log10(tick) <= range[1]);
  return { type: "log", range, tickmode: "array", tickvals: ticks, ticktext: ticks.map(String) };
}

/** How far along an axis a value lies, from 0 to 1. */
export function shareOf({ type, range: [from, to] }: RatioAxis, value: number): number {
  return ((type === "log" ? Math.log10(value) : value) - from) / (to - from);
}
