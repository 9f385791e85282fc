/** Places the labels of points so that none covers another. */
import { textWidth } from "../headless/textBox.js";

/** A point of a figure, in pixels; `label` is empty where it has none. */
export interface LabelledPoint {
  readonly x: number;
  readonly y: number;
  readonly label: string;
}

/** Plotly's names of the places around a marker, the best first. */
const POSITIONS = [
  "top right",
  "bottom left",
  "top left",
  "bottom right",
  "middle right",
  "middle left",
  "top center",
  "bottom center",
] as const;
export type LabelPosition = (typeof POSITIONS)[number];

interface Box {
  readonly left: number;
  readonly right: number;
  readonly top: number;
  readonly bottom: number;
}

/** Pixels: half a marker, and the margin around a label. */
const MARKER = 6;
const FREE = 2;

/**
 * A place for each label: within the plot, clear of the labels placed before, and covering as little else as possible;
 * `undefined` where there is none.
 *
 * @param plot its size in pixels: what reaches beyond it is cut
 * @param line points along a line that labels should keep off
 * @param size of the letters, in pixels
 */
export function placeLabels(
  points: readonly LabelledPoint[],
  line: readonly Omit<LabelledPoint, "label">[],
  size: number,
  plot: { readonly width: number; readonly height: number },
): (LabelPosition | undefined)[] {
  const taken: Box[] = [];
  const drawn = [
    ...points.map(({ x, y }) => boxAround(x, y, MARKER, MARKER)),
    ...line.map(({ x, y }) => boxAround(x, y, 1, 1)),
  ];
  return points.map((point) => {
    if (point.label === "") return undefined;
    const options = POSITIONS.map((position) => ({ position, box: labelBox(point, position, size) }))
      .filter(({ box }) => box.left >= 0 && box.right <= plot.width && box.top >= 0 && box.bottom <= plot.height)
      .filter(({ box }) => !taken.some((other) => overlap(box, other)))
      .map((option) => ({ ...option, covered: drawn.filter((other) => overlap(option.box, other)).length }))
      .sort((a, b) => a.covered - b.covered);
    const [best] = options;
    if (best !== undefined) taken.push(best.box);
    return best?.position;
  });
}

function labelBox({ x, y, label }: LabelledPoint, position: LabelPosition, size: number): Box {
  const [halfWidth, halfHeight] = [textWidth(label, { size, bold: false }) / 2 + FREE, size * 0.6 + FREE];
  const [vertical, horizontal] = position.split(" ");
  const across = { left: -1, center: 0, right: 1 }[horizontal] ?? 0;
  const up = { top: -1, middle: 0, bottom: 1 }[vertical] ?? 0;
  return boxAround(x + across * (halfWidth + MARKER), y + up * (halfHeight + MARKER), halfWidth, halfHeight);
}

function boxAround(x: number, y: number, halfWidth: number, halfHeight: number): Box {
  return { left: x - halfWidth, right: x + halfWidth, top: y - halfHeight, bottom: y + halfHeight };
}

function overlap(a: Box, b: Box): boolean {
  return a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
}
