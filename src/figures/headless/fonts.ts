import { fileURLToPath } from "node:url";

/**
 * Arimo has the metrics of Arial, Helvetica and Liberation Sans: a figure laid
 * out with one of them fits when shown with another.
 */
export const FONT_NAME = "Arimo";

/** CSS font stack of every figure. */
export const FONT_FAMILY = `${FONT_NAME}, "Liberation Sans", Arial, Helvetica, sans-serif`;

/** Ascent and descent of Arimo, in em (its `hhea` table: 1854 and 434 of 2048 units). */
export const FONT_ASCENT = 1854 / 2048;
export const FONT_DESCENT = 434 / 2048;

/** The bundled files; `src/figures/headless/` and `dist/figures/headless/` are equally deep below the package root. */
function bundled(file: string): string {
  return fileURLToPath(new URL(`../../../assets/fonts/${file}`, import.meta.url));
}

/** Full fonts, for measuring and drawing on this machine. */
export const FONT_FILES = { regular: bundled("Arimo-Regular.ttf"), bold: bundled("Arimo-Bold.ttf") };

/** Subsets (Latin, Greek, arrows, mathematical signs) small enough to embed in an SVG or HTML file. */
export const WEB_FONT_FILES = { regular: bundled("Arimo-Regular.woff2"), bold: bundled("Arimo-Bold.woff2") };
