import { useEffect, useRef } from "preact/hooks";
import type { JudgedPoint } from "../../../src/live/document.js";
import { ink } from "../colours.js";
import { savePicture } from "../save.js";
import type { TimeAxis } from "./JudgePanel.js";
import { mean } from "./JudgePanel.js";

interface ParetoPlotProps {
  readonly points: readonly JudgedPoint[];
  readonly axis: TimeAxis;
  onPoint(point: JudgedPoint): void;
}

const TITLES: Readonly<Record<TimeAxis, string>> = {
  measured: "seconds a picture, measured",
  predicted: "seconds a picture, predicted",
  evaluations: "network evaluations",
};

/** Error against time, by Plotly, which is loaded only here. A click on a point brings back its schedule. */
export function ParetoPlot({ points, axis, onPoint }: ParetoPlotProps) {
  const place = useRef<HTMLDivElement>(null);
  const click = useRef(onPoint);
  click.current = onPoint;
  const judgedPoints = points.filter(({ results }) => results.length > 0);
  const colours = ink();
  useEffect(() => {
    let gone = false;
    void import("plotly.js-dist").then(({ default: Plotly }) => {
      const box = place.current;
      if (gone || box === null) return;
      const trace = (name: string, shown: readonly JudgedPoint[], look: object): object => ({
        type: "scatter",
        mode: "markers",
        name,
        x: shown.map((point) => timeOf(point, axis)),
        y: shown.map(({ results }) => mean(results.map(({ error }) => error))),
        text: shown.map(({ label, results }) => `${label}<br>${results.length} runs`),
        customdata: shown.map(({ id }) => id),
        hovertemplate: "%{text}<br>error %{y:.3g}, %{x:.3g}<extra></extra>",
        marker: look,
      });
      const line = { gridcolor: colours.line, linecolor: colours.faint, zeroline: false };
      void Plotly.react(
        box,
        [
          trace(
            "plain",
            judgedPoints.filter(({ plan }) => plan === undefined),
            { color: colours.computed, symbol: "circle", size: 9 },
          ),
          trace(
            "cached",
            judgedPoints.filter(({ plan }) => plan !== undefined),
            { color: colours.reused, symbol: "diamond", size: 10 },
          ),
        ],
        {
          height: 230,
          margin: { l: 48, r: 8, t: 8, b: 38 },
          paper_bgcolor: colours.paper,
          plot_bgcolor: colours.paper,
          font: { family: "Arimo, Arial, sans-serif", size: 11, color: colours.text },
          xaxis: { ...line, title: { text: TITLES[axis], standoff: 4 } },
          yaxis: { ...line, title: { text: "distance to the reference", standoff: 4 }, rangemode: "tozero" },
          legend: { orientation: "h", x: 1, xanchor: "right", y: 1, yanchor: "bottom" },
        },
        { displayModeBar: false, responsive: true },
      ).then((plot) => {
        plot.removeAllListeners?.("plotly_click");
        plot.on("plotly_click", ({ points: [clicked] }) => {
          const point = points.find(({ id }) => id === clicked?.customdata);
          if (point !== undefined) click.current(point);
        });
      });
    });
    return () => {
      gone = true;
    };
  }, [points, axis, colours.paper]);
  const store = async (): Promise<void> => {
    const { default: Plotly } = await import("plotly.js-dist");
    if (place.current !== null)
      savePicture(await Plotly.toImage(place.current, { format: "png", scale: 2 }), "error-against-time.png");
  };
  return (
    <figure class="plot">
      <div
        ref={place}
        class="plotplace"
        role="img"
        aria-label={`error against ${TITLES[axis]}: ${judgedPoints.length} points, listed below`}
      />
      <button class="small" disabled={judgedPoints.length === 0} onClick={store}>
        Save plot
      </button>
    </figure>
  );
}

function timeOf({ results, predictedSeconds, evaluations }: JudgedPoint, axis: TimeAxis): number {
  if (axis === "measured") return mean(results.map(({ seconds }) => seconds));
  return axis === "predicted" ? predictedSeconds : (evaluations ?? NaN);
}
