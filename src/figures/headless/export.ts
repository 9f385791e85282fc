/** A figure as a file, without a browser. */
import { createHash } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { dirname, extname, join } from "node:path";
import sharp from "sharp";
import { ArgumentError } from "../../errors.js";
import { requireWritable } from "../../files/outputPlace.js";
import { replaceFile } from "../../files/replaceFile.js";
import { withoutControls } from "../charts/controls.js";
import type { PlotlyFigure } from "../figure.js";
import { FONT_FILES, FONT_NAME, WEB_FONT_FILES } from "./fonts.js";
import { svgPdf } from "./pdf.js";
import { PLOTLY_FILE, plotlyInWindow } from "./plotlyWindow.js";
import { PRINT_POINTS_PER_PIXEL, applyTheme, themeOf } from "../theme.js";
import type { Theme } from "../theme.js";

export interface ExportOptions {
  /** layout pixels. Default: the figure's own, else 1000 × 500 */
  readonly width?: number;
  readonly height?: number;
  /** Default: the figure's own */
  readonly theme?: Theme;
  /** PNG pixels per layout pixel. Default: 2 */
  readonly scale?: number;
}

export const FIGURE_FORMATS = [".html", ".svg", ".png", ".pdf", ".json"] as const;

const DEFAULT_WIDTH = 1000;
const DEFAULT_HEIGHT = 500;
/** A CSS pixel is 3/4 of a point. */
const POINTS_PER_PIXEL = 0.75;

/**
 * Writes a figure, in the format that the ending says: `.html` (interactive, offline), `.svg`, `.png`, `.pdf` (vector),
 * `.json`. The file is replaced in one go. Equal figures give equal bytes.
 *
 * @throws ArgumentError for another ending, or a file that cannot be written, before anything is drawn
 */
export async function exportFigure(figure: PlotlyFigure, path: string, options: ExportOptions = {}): Promise<void> {
  const ending = extname(path).toLowerCase();
  const format = FIGURE_FORMATS.find((each) => each === ending);
  if (format === undefined)
    throw new ArgumentError(`${path}: expected a name that ends in ${FIGURE_FORMATS.join(", ")}, found "${ending}"`);
  await requireWritable(path);
  const content = await fileContent(
    options.theme === undefined ? figure : applyTheme(figure, options.theme),
    format,
    options,
  );
  await replaceFile(path, (temporary) => writeFile(temporary, content));
}

async function fileContent(
  figure: PlotlyFigure,
  format: (typeof FIGURE_FORMATS)[number],
  options: ExportOptions,
): Promise<string | Buffer> {
  switch (format) {
    case ".html":
      return figureHtml(figure);
    case ".svg":
      return embedFont(await figureSvg(figure, options), await fontFace());
    case ".png":
      return figurePng(figure, options);
    case ".pdf":
      return svgPdf(
        await figureSvg(figure, options),
        themeOf(figure) === "print" ? PRINT_POINTS_PER_PIXEL : POINTS_PER_PIXEL,
      );
    case ".json":
      return JSON.stringify(figure);
  }
}

/** A figure as PNG bytes. */
export async function figurePng(figure: PlotlyFigure, options: ExportOptions = {}): Promise<Buffer> {
  const svg = await figureSvg(figure, options);
  // fontconfig reads this when librsvg draws its first text; without it, a machine without fonts draws no text.
  process.env.FONTCONFIG_FILE ??= join(dirname(FONT_FILES.regular), "fonts.conf");
  const SVG_PIXELS_PER_INCH = 72;
  return sharp(Buffer.from(svg), { density: SVG_PIXELS_PER_INCH * (options.scale ?? 2), limitInputPixels: false })
    .png()
    .toBuffer();
}

/** A figure as an SVG document; its fonts are named, not embedded. */
export async function figureSvg(figure: PlotlyFigure, options: ExportOptions = {}): Promise<string> {
  const plotly = await plotlyInWindow();
  const still = withoutControls(figure);
  const { width, height } = sizeOf(still, options);
  // A copy, because Plotly fills in missing defaults; with a uid for each trace, because Plotly would make up a random
  // one.
  const copy = {
    data: still.data.map((trace, index) => ({ uid: String(index), ...structuredClone(trace) })),
    layout: { ...structuredClone(still.layout), width, height, autosize: false },
  };
  const svg = await plotly.toImage(copy, { format: "svg", imageDataOnly: true, width, height });
  return withoutChance(svg.startsWith("<svg") ? svg : decodeURIComponent(svg.replace(/^data:image\/svg\+xml,/, "")));
}

/**
 * Plotly names a drawing's clip paths at random; here they are named after what is drawn, so that equal figures give
 * equal files.
 */
function withoutChance(svg: string): string {
  const chance = /<defs id="defs-([0-9a-f]+)"/.exec(svg)?.[1] ?? "";
  const named = (name: string): string => svg.replace(new RegExp(`(?<=["#'][a-z][a-z0-9-]*)${chance}`, "g"), name);
  return named(createHash("sha256").update(named("")).digest("hex").slice(0, chance.length));
}

function sizeOf({ layout }: PlotlyFigure, options: ExportOptions): { width: number; height: number } {
  const template = layout.template as { layout?: { width?: number } } | undefined;
  const number = (value: unknown): number | undefined => (typeof value === "number" ? value : undefined);
  return {
    width: options.width ?? number(layout.width) ?? template?.layout?.width ?? DEFAULT_WIDTH,
    height: options.height ?? number(layout.height) ?? DEFAULT_HEIGHT,
  };
}

async function fontFace(): Promise<string> {
  const face = async (file: string, weight: number): Promise<string> =>
    `@font-face{font-family:${FONT_NAME};font-weight:${weight};src:url(data:font/woff2;base64,${(await readFile(file)).toString("base64")}) format("woff2")}`;
  return (await face(WEB_FONT_FILES.regular, 400)) + (await face(WEB_FONT_FILES.bold, 700));
}

function embedFont(svg: string, css: string): string {
  return svg.replace(/<svg[^>]*>/, (tag) => `${tag}<style>${css}</style>`);
}

/** One page that needs no network: it holds Plotly and the font. */
async function figureHtml(figure: PlotlyFigure): Promise<string> {
  const plotly = (await readFile(PLOTLY_FILE, "utf8")).replaceAll("</script", "<\\/script");
  const json = JSON.stringify({
    data: figure.data,
    layout: figure.layout,
    config: { responsive: true, displaylogo: false, ...figure.config },
  }).replaceAll("<", "\\u003c");
  const title = (figure.layout.title as { text?: string } | undefined)?.text ?? "figure";
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>${title.replaceAll("<", "&lt;")}</title>
<style>${await fontFace()} html,body{margin:0;height:100%}</style></head>
<body><div id="figure"></div>
<script>${plotly}</script>
<script>const figure = ${json};
// What is laid out before the font is there stays where another font put it.
Promise.all(["", "bold "].map((weight) => document.fonts.load(weight + "12px ${FONT_NAME}"))).finally(() =>
  Plotly.newPlot("figure", figure.data, figure.layout, figure.config));</script>
</body></html>
`;
}
