import sharp from "sharp";
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

/** Of figures that hold photographs; lossless they fill a notebook, and their exact pixels are in the figure itself. */
const LOSSY = { quality: 90, smartSubsample: true };

async function pictureOf(figure: PlotlyFigure): Promise<string> {
  const png = await figurePng(figure, { scale: 1 });
  if (!JSON.stringify(figure).includes("data:image/")) return `data:image/png;base64,${png.toString("base64")}`;
  return `data:image/webp;base64,${(await sharp(png).webp(LOSSY).toBuffer()).toString("base64")}`;
}

/** A figure as a picture; one with a slider as a picture a position and a slider that exchanges them, a few lines of script. */
async function picturesInstead(figure: PlotlyFigure, title: string): Promise<string> {
  const positions = sliderPositions(figure);
  if (positions.length === 0) return `<img alt="${escapeHtml(title)}" src="${await pictureOf(figure)}">`;
  const sources = await Promise.all(positions.map((position) => pictureOf(position.figure)));
  const labels = positions.map(({ label }) => label);
  const move =
    "const all = this.closest('div'); const { sources, labels } = JSON.parse(all.querySelector('script').textContent); all.querySelector('img').src = sources[this.value]; all.querySelector('output').textContent = labels[this.value];";
  return `<div><img alt="${escapeHtml(title)}" src="${sources[0]}" style="max-width:none"><br><input type="range" min="0" max="${positions.length - 1}" value="0" style="width:30em" aria-label="${escapeHtml(title)}" oninput="${escapeHtml(move)}"> <output>${escapeHtml(labels[0])}</output><script type="application/json">${JSON.stringify({ sources, labels }).replaceAll("<", "\\u003c")}</script></div>`;
}
