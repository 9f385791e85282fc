import { randomUUID } from "node:crypto";
import { enlarge, toDataUri } from "../diffusion/image.js";
import type { RgbImage } from "../diffusion/image.js";
import { sliderPositions } from "../figures/charts/controls.js";
import { figurePng } from "../figures/headless/export.js";
import type { PlotlyFigure } from "../figures/figure.js";
import { inJupyter, writeDisplay } from "./jupyter.js";
import type { MimeBundle } from "./jupyter.js";
import { withWebpPictures } from "./webpPictures.js";

/** A row of a table; all rows have the same keys. */
export type TableRow = Readonly<Record<string, string | number | boolean | undefined | readonly (string | number)[]>>;

/** What a cell can show: a figure, pictures, a table, or HTML made by hand. */
export type Showable = PlotlyFigure | RgbImage | readonly RgbImage[] | readonly TableRow[] | { readonly html: string };

/** An output that can be replaced in place. */
export interface Shown {
  update(value: Showable): Promise<void>;
}

/**
 * Shows a value in the running cell: figures interactive, pictures enlarged without smoothing, records as
 * a table. Outside Jupyter a line says what would have been shown.
 */
export async function show(value: Showable): Promise<void> {
  await display(value);
}

/** Like `show`, and returns a handle whose `update` replaces the output in place. */
export async function display(value: Showable): Promise<Shown> {
  const displayId = randomUUID();
  await write(value, displayId, false);
  return { update: (next) => write(next, displayId, true) };
}

async function write(value: Showable, displayId: string, isUpdate: boolean): Promise<void> {
  const bundle = await bundleOf(value);
  if (inJupyter()) writeDisplay(await withWebpPictures(bundle), displayId, isUpdate);
  else process.stdout.write(`${String(bundle["text/plain"])}\n`);
}

async function bundleOf(value: Showable): Promise<MimeBundle> {
  if ("data" in value && "layout" in value) {
    const { data, layout, config } = value;
    const title = (layout.title as { text?: string } | undefined)?.text ?? "figure";
    const bundle = {
      "application/vnd.plotly.v1+json": { data, layout, config: { responsive: true, ...config } },
      "text/plain": `figure: ${title}`,
    };
    // Where there is no Plotly renderer (a page on the web, nbconvert) the picture stands in for it.
    return inJupyter() ? { ...bundle, "text/html": await picturesInstead(value, title) } : bundle;
  }
  if ("html" in value) return { "text/html": value.html, "text/plain": value.html.replace(/<[^>]*>/g, " ").trim() };
  if ("rgb" in value)
    return { "text/html": await pictures([value]), "text/plain": `image ${value.width}×${value.height}` };
  const [first] = value;
  if (first !== undefined && "rgb" in first)
    return { "text/html": await pictures(value as readonly RgbImage[]), "text/plain": `${value.length} images` };
  return table(value as readonly TableRow[]);
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

/** Small pictures are enlarged by a whole factor to about this many pixels. */
const PICTURE_PIXELS = 256;

async function pictures(images: readonly RgbImage[]): Promise<string> {
  const tags = await Promise.all(
    images.map(async (image) => {
      const factor = Math.max(1, Math.floor(PICTURE_PIXELS / Math.max(image.width, image.height)));
      return `<img alt="image ${image.width} by ${image.height} pixels" src="${await toDataUri(await enlarge(image, factor))}" style="margin:2px">`;
    }),
  );
  return `<div>${tags.join("")}</div>`;
}

function table(rows: readonly TableRow[]): MimeBundle {
  const keys = rows.length === 0 ? [] : Object.keys(rows[0]);
  const cells = rows.map((row) => keys.map((key) => formatCell(row[key])));
  const head = keys.map((key) => `<th style="text-align:left">${escapeHtml(key)}</th>`).join("");
  const body = cells
    .map((row) => `<tr>${row.map((cell) => `<td style="text-align:left">${escapeHtml(cell)}</td>`).join("")}</tr>`)
    .join("");
  const widths = keys.map((key, column) => Math.max(key.length, ...cells.map((row) => row[column].length)));
  const line = (row: readonly string[]): string =>
    row
      .map((cell, column) => cell.padEnd(widths[column]))
      .join("  ")
      .trimEnd();
  return {
    "text/html": `<table><thead><tr>${head}</tr></thead><tbody>${body}</tbody></table>`,
    "text/plain": [keys, ...cells].map(line).join("\n"),
  };
}

function formatCell(value: TableRow[string]): string {
  if (value === undefined) return "";
  if (Array.isArray(value)) return value.join("×");
  if (typeof value === "number" && !Number.isInteger(value)) return String(Number(value.toPrecision(4)));
  return typeof value === "number" ? value.toLocaleString("en") : String(value);
}

export function escapeHtml(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");
}
