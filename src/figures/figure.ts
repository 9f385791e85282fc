/** A JSON object as Plotly reads it; its keys are those of https://plotly.com/javascript/reference/. */
export type PlotlyObject = Record<string, unknown>;

/** A Plotly figure: plain JSON, so that it can be shown, stored, exported and changed by anyone. */
export interface PlotlyFigure {
  readonly data: readonly PlotlyObject[];
  readonly layout: PlotlyObject;
  readonly config?: PlotlyObject;
}
