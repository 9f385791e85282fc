import { randomUUID } from "node:crypto";
import { enlarge, toDataUri } from "../diffusion/image.js";
import type { RgbImage } from "../diffusion/image.js";
import { figurePng } from "../figures/export.js";
import type { PlotlyFigure } from "../figures/figure.js";
import { inJupyter, writeDisplay } from "./jupyter.js";
import type { MimeBundle } from "./jupyter.js";

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
  if (inJupyter()) writeDisplay(bundle, displayId, isUpdate);
  else process.stdout.write(`${String(bundle["text/plain"])}\n`);
}

async function bundleOf(value: Showable): Promise<MimeBundle> {
  if ("data" in value && "layout" in value) {
    const { data, layout, config } = value;
    const title = (layout.title as { text?: string } | undefined)?.text ?? "figure";
    const bundle = { "application/vnd.plotly.v1+json": { data, layout, config: { responsive: true, ...config } }, "text/plain": `figure: ${title}` };
    // Where there is no Plotly renderer (a page on the web, nbconvert) the picture stands in for it.
    return inJupyter() ? { ...bundle, "text/html": await staticPicture(value, title) } : bundle;
  }
  if ("html" in value) return { "text/html": value.html, "text/plain": value.html.replace(/<[^>]*>/g, " ").trim() };
  if ("rgb" in value) return { "text/html": await pictures([value]), "text/plain": `image ${value.width}×${value.height}` };
  const [first] = value;
  if (first !== undefined && "rgb" in first) return { "text/html": await pictures(value as readonly RgbImage[]), "text/plain": `${value.length} images` };
  return table(value as readonly TableRow[]);
}

async function staticPicture(figure: PlotlyFigure, title: string): Promise<string> {
  const png = await figurePng(figure, { scale: 1 });
  return `<img alt="${escapeHtml(title)}" src="data:image/png;base64,${png.toString("base64")}">`;
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
  const body = cells.map((row) => `<tr>${row.map((cell) => `<td style="text-align:left">${escapeHtml(cell)}</td>`).join("")}</tr>`).join("");
  const widths = keys.map((key, column) => Math.max(key.length, ...cells.map((row) => row[column].length)));
  const line = (row: readonly string[]): string => row.map((cell, column) => cell.padEnd(widths[column])).join("  ").trimEnd();
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
