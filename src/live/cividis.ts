/** Bytes. */
export type Colour = readonly [red: number, green: number, blue: number];

/** Stops of the cividis colour map, which colour-blind readers see alike (Nuñez et al. 2018). */
const STOPS = [
  [0, 34, 78],
  [65, 77, 107],
  [124, 123, 120],
  [188, 175, 111],
  [254, 232, 56],
] as const;

/** @param fraction 0, dark blue, to 1, yellow */
export function cividis(fraction: number): Colour {
  const position = fraction * (STOPS.length - 1);
  const index = Math.min(STOPS.length - 2, Math.floor(position));
  const rest = position - index;
  const mix = (channel: 0 | 1 | 2): number =>
    Math.round(STOPS[index][channel] * (1 - rest) + STOPS[index + 1][channel] * rest);
  return [mix(0), mix(1), mix(2)];
}
