/** Tests that every figure must pass: correct files in each theme, and the same picture with and without a browser. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { Browser } from "playwright-core";
import sharp from "sharp";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { withoutControls } from "../../src/figures/charts/controls.js";
import { exportFigure } from "../../src/figures/index.js";
import type { PlotlyFigure, Theme } from "../../src/figures/index.js";
import { hasChromium, openChromium } from "../chromium.js";
import { POPPLER, pdfPage, pdfPicture, svgWords } from "./readPdf.js";

/** Declares the tests of each figure. */
export function gallery(figures: Readonly<Record<string, PlotlyFigure>>, themes: readonly Theme[]): void {
  const folder = mkdtempSync(join(tmpdir(), "blockcache-gallery-"));
  let browser: Browser | undefined;
  beforeAll(async () => {
    if (hasChromium) browser = await openChromium();
  });
  afterAll(async () => {
    await browser?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  describe.each(Object.entries(figures))("%s", (name, figure) => {
    const at = (ending: string): string => join(folder, `${name.replaceAll(" ", "-")}.${ending}`);

    it.each(themes)("exports to every format in the %s theme", async (theme) => {
      for (const ending of ["html", "svg", "png", "pdf", "json"]) await exportFigure(figure, at(ending), { theme });
      const svg = readFileSync(at("svg"), "utf8");
      expect(svg).not.toMatch(/NaN|undefined/);
      expect(svgWords(svg).length).toBeGreaterThan(5);
      const { width, height } = await sharp(at("png")).metadata();
      expect(svg).toMatch(new RegExp(`^<svg[^>]* width="${width / 2}" height="${height / 2}"`));
      const page = readFileSync(at("html"), "utf8");
      expect(page).not.toMatch(/<(script|link|img)[^>]+(src|href)="https?:/);
      expect(JSON.parse(readFileSync(at("json"), "utf8"))).toHaveProperty("data");
    });

    it.skipIf(!POPPLER).each(themes)("has every word inside the page of its PDF in the %s theme", async (theme) => {
      await exportFigure(figure, at("svg"), { theme });
      await exportFigure(figure, at("pdf"), { theme });
      const { width, height, words } = pdfPage(at("pdf"));
      const found = words.map(({ text }) => text);
      const missing = svgWords(readFileSync(at("svg"), "utf8")).filter((word) => {
        const index = found.indexOf(word);
        if (index >= 0) found.splice(index, 1);
        return index < 0;
      });
      expect(missing).toEqual([]);
      const outside = words.filter(
        ({ box }) => box.left < 0 || box.top < 0 || box.right > width || box.bottom > height,
      );
      expect(outside).toEqual([]);
    });

    it.skipIf(!POPPLER)("looks in its PDF as in its PNG", async () => {
      await exportFigure(figure, at("png"), { theme: "print", scale: 1 });
      await exportFigure(figure, at("pdf"), { theme: "print" });
      const { width, height } = await sharp(at("png")).metadata();
      await expectAlike(readFileSync(at("png")), pdfPicture(at("pdf"), width, height));
    });

    it.skipIf(!hasChromium)("looks in Chromium as it does without", async () => {
      const [width, height] = [900, 600];
      const { data, layout } = withoutControls(figure);
      await exportFigure(
        { data, layout: { ...layout, width, height }, config: { staticPlot: true, responsive: false } },
        at("html"),
      );
      await exportFigure(figure, at("png"), { width, height, scale: 1 });
      if (browser === undefined) throw new Error("Chromium did not start");
      const page = await browser.newPage({ viewport: { width, height } });
      const problems: string[] = [];
      page.on("pageerror", (error) => problems.push(error.message));
      await page.goto(pathToFileURL(at("html")).href);
      await page.waitForSelector(".js-plotly-plot .main-svg");
      await page.evaluate("document.fonts.ready");
      await page.waitForTimeout(300);
      const shot = await page.screenshot({ clip: { x: 0, y: 0, width, height } });
      await page.close();
      expect(problems).toEqual([]);
      await expectAlike(readFileSync(at("png")), shot);
    });
  });
}

/** Letters and lines are smoothed in different ways: blurred by a few pixels, the two pictures must agree. */
async function expectAlike(ours: Buffer, theirs: Buffer): Promise<void> {
  const blurred = (input: Buffer): Promise<Buffer> => sharp(input).removeAlpha().greyscale().blur(3).raw().toBuffer();
  const [a, b] = await Promise.all([blurred(ours), blurred(theirs)]);
  expect(a.length).toBe(b.length);
  const apart = Array.from(a, (grey, index) => Math.abs(grey - b[index]));
  expect(apart.reduce((sum, each) => sum + each, 0) / a.length).toBeLessThan(2.5);
  expect(apart.filter((each) => each > 40).length / a.length).toBeLessThan(0.01);
}
