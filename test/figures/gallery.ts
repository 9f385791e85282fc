/** What holds for every figure: right files in each theme, and the same picture with and without a browser. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { chromium } from "playwright-core";
import type { Browser } from "playwright-core";
import sharp from "sharp";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { withoutControls } from "../../src/figures/charts/controls.js";
import { exportFigure } from "../../src/figures/index.js";
import type { PlotlyFigure, Theme } from "../../src/figures/index.js";

export const CHROMIUM = "/usr/bin/chromium";
if (!existsSync(CHROMIUM))
  console.log(`skipped: figures in Chromium (no ${CHROMIUM}; on Debian: apt install chromium)`);

export function openChromium(): Promise<Browser> {
  return chromium.launch({
    executablePath: CHROMIUM,
    args: [
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
  });
}

/** Declares the tests of each figure. */
export function gallery(figures: Readonly<Record<string, PlotlyFigure>>, themes: readonly Theme[]): void {
  const folder = mkdtempSync(join(tmpdir(), "blockcache-gallery-"));
  let browser: Browser | undefined;
  beforeAll(async () => {
    if (existsSync(CHROMIUM)) browser = await openChromium();
  });
  afterAll(async () => {
    await browser?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  describe.each(Object.entries(figures))("%s", (name, figure) => {
    const at = (ending: string): string => join(folder, `${name.replaceAll(" ", "-")}.${ending}`);

    it.each(themes)("exports to every format in the %s theme", async (theme) => {
      for (const ending of ["html", "svg", "png", "pdf", "json"])
        await exportFigure(figure, at(ending), { theme, width: 900, height: 600 });
      expect(await sharp(at("png")).metadata()).toMatchObject({ width: 1800, height: 1200 });
      const svg = readFileSync(at("svg"), "utf8");
      expect(svg).not.toMatch(/NaN|undefined/);
      expect(svg.match(/<text/g)?.length).toBeGreaterThan(5);
      const pdf = readFileSync(at("pdf"), "latin1");
      expect(pdf.slice(0, 5)).toBe("%PDF-");
      expect(pdf).toMatch(/\/FontFile2/);
      const page = readFileSync(at("html"), "utf8");
      expect(page).not.toMatch(/<(script|link|img)[^>]+(src|href)="https?:/);
      expect(JSON.parse(readFileSync(at("json"), "utf8"))).toHaveProperty("data");
    });

    it.skipIf(!existsSync(CHROMIUM))("looks in Chromium as it does without", async () => {
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
      // Letters are smoothed in different ways: blurred by a few pixels, the two must agree.
      const blurred = (input: string | Buffer): Promise<Buffer> =>
        sharp(input).removeAlpha().greyscale().blur(3).raw().toBuffer();
      const [ours, theirs] = await Promise.all([blurred(at("png")), blurred(shot)]);
      expect(ours.length).toBe(theirs.length);
      let difference = 0;
      let far = 0;
      ours.forEach((grey, index) => {
        const apart = Math.abs(grey - theirs[index]);
        difference += apart;
        if (apart > 40) far++;
      });
      expect(difference / ours.length).toBeLessThan(2.5);
      expect(far / ours.length).toBeLessThan(0.01);
    });
  });
}
