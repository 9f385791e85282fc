/**
 * How a figure tells a study's arms apart: the colour shows the heuristic, the shape what it caches and how it reuses.
 */
import type { StudyPoint } from "./studyPoints.js";
import { CATEGORICAL_COLOURS } from "../theme.js";

type Cached<Point extends StudyPoint> = Point & { readonly cached: NonNullable<StudyPoint["cached"]> };

export interface Series<Point extends StudyPoint = StudyPoint> {
  readonly heuristic: string;
  /** "transformers, hold" */
  readonly variant: string;
  readonly colour: string;
  readonly symbol: string;
  /** in the order of the parameter */
  readonly points: readonly Cached<Point>[];
}

const SYMBOLS = [
  "circle",
  "diamond",
  "triangle-up",
  "square",
  "cross",
  "x",
  "star",
  "triangle-down",
  "hexagon",
] as const;

/** Cached points by heuristic and variant; colours and symbols start over when they run out. */
export function seriesOf<Point extends StudyPoint>(points: readonly Point[]): Series<Point>[] {
  const cached = points.filter((point): point is Cached<Point> => point.cached !== undefined);
  const variantOf = ({ cached: { kinds, reuse } }: Cached<Point>): string => `${kinds}, ${reuse}`;
  const heuristics = [...new Set(cached.map((point) => point.cached.heuristic))];
  const variants = [...new Set(cached.map(variantOf))];
  return heuristics.flatMap((heuristic, colour) =>
    variants
      .map((variant, symbol) => ({
        heuristic,
        variant,
        colour: CATEGORICAL_COLOURS[colour % CATEGORICAL_COLOURS.length],
        symbol: `${SYMBOLS[symbol % SYMBOLS.length]}${colour < CATEGORICAL_COLOURS.length ? "" : "-open"}`,
        points: cached
          .filter((point) => point.cached.heuristic === heuristic && variantOf(point) === variant)
          .sort((a, b) => (a.cached.parameter ?? a.seconds) - (b.cached.parameter ?? b.seconds)),
      }))
      .filter((series) => series.points.length > 0),
  );
}
