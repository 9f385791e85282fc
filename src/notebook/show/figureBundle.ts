import { sliderPositions } from "../../figures/charts/controls.js";
import type { PlotlyFigure } from "../../figures/figure.js";
import { figurePng } from "../../figures/headless/export.js";
import { inJupyter } from "../jupyter.js";
import type { MimeBundle } from "../jupyter.js";
import { escapeHtml } from "./escapeHtml.js";

/** A figure, interactive; where there is no Plotly renderer (a page on the web, nbconvert) a picture stands in for it. */
export async function figureBundle(figure: PlotlyFigure): Promise<MimeBundle> {
  const { data, layout, config } = figure;
  const title = (layout.title as { text?: string } | undefined)?.text ?? "figure";
  const bundle = {
    "application/vnd.plotly.v1+json": { data, layout, config: { responsive: true, ...config } },
    "text/plain": `figure: ${title}`,
  };
  return inJupyter() ? { ...bundle, "text/html": await picturesInstead(figure, title) } : bundle;
}

/** A figure as a picture; one with a slider as a picture a position and a slider that exchanges them, a few lines of script. */
async function picturesInstead(figure: PlotlyFigure, title: string): Promise<string> {
  const uri = async (drawn: PlotlyFigure): Promise<string> =>
    `data:image/png;base64,${(await figurePng(drawn, { scale: 1 })).toString("base64")}`;
  const positions = sliderPositions(figure);
  if (positions.length === 0) return `<img alt="${escapeHtml(title)}" src="${await uri(figure)}">`;
  const sources = await Promise.all(positions.map((position) => uri(position.figure)));
  const labels = positions.map(({ label }) => label);
  const move =
    "const all = this.closest('div'); const { sources, labels } = JSON.parse(all.querySelector('script').textContent); all.querySelector('img').src = sources[this.value]; all.querySelector('output').textContent = labels[this.value];";
  return `<div><img alt="${escapeHtml(title)}" src="${sources[0]}" style="max-width:none"><br><input type="range" min="0" max="${positions.length - 1}" value="0" style="width:30em" aria-label="${escapeHtml(title)}" oninput="${escapeHtml(move)}"> <output>${escapeHtml(labels[0])}</output><script type="application/json">${JSON.stringify({ sources, labels }).replaceAll("<", "\\u003c")}</script></div>`;
}
