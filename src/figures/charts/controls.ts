/** Buttons and sliders of a figure, and what a still picture shows instead of them. */
import type { PlotlyFigure, PlotlyObject } from "../figure.js";

/** A figure as one position of its slider shows it. */
export interface SliderPosition {
  readonly label: string;
  readonly figure: PlotlyFigure;
}

interface SliderStep {
  readonly label: string;
  /** of method "relayout": layout paths and their values */
  readonly args: readonly [PlotlyObject];
}

/**
 * The figure without its buttons and sliders, and without the room below it that they take
 * (`layout.meta.controlHeight`).
 */
export function withoutControls({ layout, ...figure }: PlotlyFigure): PlotlyFigure {
  const { updatemenus: _buttons, sliders: _sliders, meta, ...rest } = layout;
  const { controlHeight = 0 } = (meta ?? {}) as { controlHeight?: number };
  if (controlHeight === 0) return { ...figure, layout: rest };
  const margin = rest.margin as { b: number };
  return {
    ...figure,
    layout: {
      ...rest,
      height: Number(rest.height) - controlHeight,
      margin: { ...margin, b: margin.b - controlHeight },
    },
  };
}

/** What the figure shows at each position of its first slider; none where it has no slider. */
export function sliderPositions(figure: PlotlyFigure): SliderPosition[] {
  const [slider] = (figure.layout.sliders ?? []) as readonly { readonly steps: readonly SliderStep[] }[];
  return (slider?.steps ?? []).map(({ label, args: [changes] }) => {
    const layout = structuredClone(figure.layout);
    for (const [path, value] of Object.entries(changes)) set(layout, path, value);
    return { label, figure: { ...figure, layout } };
  });
}

/** Sets what a Plotly path such as `images[3].source` names. */
function set(layout: PlotlyObject, path: string, value: unknown): void {
  const keys = path.split(/[.[\]]+/).filter((key) => key !== "");
  const last = keys.pop() ?? "";
  const parent = keys.reduce((object, key) => (object[key] ??= {}) as PlotlyObject, layout);
  parent[last] = value;
}
