/** What poppler (Debian: poppler-utils) finds in a PDF of one page. */
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { JSDOM } from "jsdom";

export const POPPLER = existsSync("/usr/bin/pdftotext") && existsSync("/usr/bin/pdftoppm");
if (!POPPLER) console.log("skipped: PDFs read back (no /usr/bin/pdftotext; on Debian: apt install poppler-utils)");

export interface PdfWord {
  readonly text: string;
  /** in points from the upper left corner of the page */
  readonly box: { readonly left: number; readonly top: number; readonly right: number; readonly bottom: number };
}

export interface PdfPage {
  /** in points */
  readonly width: number;
  readonly height: number;
  readonly words: readonly PdfWord[];
}

/** `pdftotext -bbox`: the words of the page, and where they stand. */
export function pdfPage(file: string): PdfPage {
  const { document } = new JSDOM(execFileSync("pdftotext", ["-bbox", file, "-"], { encoding: "utf8" })).window;
  const number = (element: Element | null, name: string): number => Number(element?.getAttribute(name));
  const page = document.querySelector("page");
  return {
    width: number(page, "width"),
    height: number(page, "height"),
    words: [...document.querySelectorAll("word")].map((word) => ({
      text: word.textContent ?? "",
      box: {
        left: number(word, "xMin"),
        top: number(word, "yMin"),
        right: number(word, "xMax"),
        bottom: number(word, "yMax"),
      },
    })),
  };
}

/** `pdftoppm`: the page as a PNG of this size in pixels. */
export function pdfPicture(file: string, width: number, height: number): Buffer {
  return execFileSync("pdftoppm", ["-png", "-scale-to-x", String(width), "-scale-to-y", String(height), file], {
    maxBuffer: 1 << 28,
  });
}

/** Every word of an SVG document's titles, ticks, legends and labels. */
export function svgWords(svg: string): string[] {
  const { document } = new JSDOM(svg, { contentType: "image/svg+xml" }).window;
  return [...document.querySelectorAll("text")].flatMap((text) => {
    const lines = [...text.querySelectorAll("tspan.line")];
    return (lines.length === 0 ? [text] : lines)
      .flatMap((line) => (line.textContent ?? "").split(/\s+/))
      .filter((word) => word !== "");
  });
}
