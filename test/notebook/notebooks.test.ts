/** The notebooks through the real kernel, and opened in real JupyterLab in Chromium. */
import { spawnSync } from "node:child_process";
import { copyFileSync, mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { hasChromium, openChromium } from "../chromium.js";
import { startLab } from "./lab.js";
import type { Lab } from "./lab.js";

const root = fileURLToPath(new URL("../..", import.meta.url));
const notebooks = join(root, "notebooks");
const python = join(root, ".venv", process.platform === "win32" ? "Scripts/python.exe" : "bin/python");
const names = readdirSync(notebooks).filter((name) => /^\d.*\.ipynb$/.test(name));
const PLOTLY = "application/vnd.plotly.v1+json";

interface Output {
  output_type: string;
  data?: Record<string, unknown>;
}
interface Cell {
  cell_type: string;
  id: string;
  source: string | string[];
  execution_count?: number | null;
  outputs?: Output[];
}

function codeCells(file: string): Cell[] {
  return (JSON.parse(readFileSync(file, "utf8")) as { cells: Cell[] }).cells.filter(
    ({ cell_type }) => cell_type === "code",
  );
}

function checkOutputs(file: string): void {
  for (const cell of codeCells(file)) {
    expect(cell.execution_count, `${file} ${cell.id}`).toBeGreaterThan(0);
    const outputs = cell.outputs ?? [];
    expect(outputs.filter(({ output_type }) => output_type === "error")).toEqual([]);
    const source = [cell.source].flat().join("");
    if (/await show\(/.test(source))
      expect(
        outputs.some(({ data }) => data !== undefined && (PLOTLY in data || "text/html" in data)),
        `${file} ${cell.id} shows nothing`,
      ).toBe(true);
  }
}

/** Copies live beside the notebooks, where the kernel finds the library. */
const copies: string[] = [];
function execute(notebook: string): { status: number | null; stderr: string; file: string } {
  const file = join(notebooks, `.test-${process.pid}-${copies.length}.ipynb`);
  copies.push(file);
  copyFileSync(notebook, file);
  const { status, stderr } = spawnSync(python, [join(root, "scripts", "execute_notebook.py"), file], {
    encoding: "utf8",
    cwd: root,
  });
  return { status, stderr, file };
}
afterAll(() => copies.forEach((file) => rmSync(file, { force: true })));

describe.each(names)("%s", (name) => {
  it("is committed executed, each figure in it", () => {
    checkOutputs(join(notebooks, name));
  });

  it("runs from start to end", () => {
    const { status, stderr, file } = execute(join(notebooks, name));
    expect(stderr).not.toMatch(/failed/);
    expect(status).toBe(0);
    checkOutputs(file);
  }, 420_000);
});

const SLIDER_NOTEBOOK = "04-thresholds-and-heuristics.ipynb";

describe.skipIf(!hasChromium)("in JupyterLab", () => {
  let lab: Lab;
  let browser: Browser;
  let page: Page;

  beforeAll(async () => {
    lab = await startLab();
    browser = await openChromium();
    page = await browser.newPage({ viewport: { width: 1400, height: 1000 } });
  }, 240_000);
  afterAll(async () => {
    await browser?.close();
    await lab?.stop();
  });

  it("opens with the figures' folder in sight, node_modules hidden, no error and no question", async () => {
    await page.goto(`${lab.address}/lab/tree/notebooks?reset`);
    await page.waitForSelector(".jp-DirListing-item", { timeout: 60_000 });
    // Extensions that ask, ask when the page has settled.
    await page.waitForLoadState("networkidle");
    expect(await page.locator(".Toastify__toast").count()).toBe(0);
    expect(await page.locator(".jp-DirListing-itemName").allTextContents()).toEqual(expect.arrayContaining(names));
    const { content } = (await (await fetch(`${lab.address}/api/contents/`)).json()) as { content: { name: string }[] };
    const shown = content.map(({ name }) => name);
    expect(shown).toEqual(expect.arrayContaining(["figures", "notebooks"]));
    expect(shown).not.toContain("node_modules");
    expect(lab.log()).not.toMatch(/Traceback|require is not defined|^\s+at /m);
  }, 120_000);

  it.each(names)(
    "%s: each figure is there and interactive",
    async (name) => {
      const figures = codeCells(join(notebooks, name))
        .flatMap(({ outputs = [] }) => outputs)
        .filter(({ data }) => data !== undefined && PLOTLY in data).length;
      await page.goto(`${lab.address}/lab/tree/notebooks/${name}?reset`);
      await page.waitForSelector(".jp-Notebook .jp-Cell", { timeout: 60_000 });
      const seen = new Set<string>();
      const cells = page.locator(".jp-Notebook .jp-CodeCell");
      await page.locator(".jp-Notebook .jp-Cell").first().click();
      for (let step = 0; step < 240 && seen.size < figures; step++) {
        for (const title of await page.locator(".js-plotly-plot .gtitle").allTextContents()) seen.add(title);
        await page.mouse.move(700, 600);
        // Down and, for figures that were still being drawn when they passed, up again.
        await page.mouse.wheel(0, step % 120 < 60 ? 500 : -500);
        await page.waitForTimeout(150);
      }
      expect(await cells.count()).toBeGreaterThan(0);
      expect(seen.size).toBeGreaterThanOrEqual(new Set(titlesOf(name)).size);

      // A point under the mouse answers with its label.
      const plot = page.locator(".js-plotly-plot .nsewdrag").first();
      await plot.scrollIntoViewIfNeeded();
      const box = await plot.boundingBox();
      let hovered = 0;
      for (let across = 0.1; box !== null && hovered === 0 && across < 0.95; across += 0.03) {
        for (const down of [0.2, 0.35, 0.5, 0.65, 0.8]) {
          await page.mouse.move(box.x + across * box.width, box.y + down * box.height);
          await page.waitForTimeout(25);
          hovered = await page.locator(".js-plotly-plot .hovertext").count();
          if (hovered > 0) break;
        }
      }
      expect(hovered).toBeGreaterThan(0);
    },
    300_000,
  );

  it("the slider over δ exchanges the pictures", async () => {
    await page.goto(`${lab.address}/lab/tree/notebooks/${SLIDER_NOTEBOOK}?reset`);
    await page.waitForSelector(".jp-Notebook .jp-Cell", { timeout: 60_000 });
    await page.locator(".jp-Notebook .jp-Cell").first().click();
    const rail = page.locator(".slider-rail-touch-rect");
    for (let step = 0; step < 80 && (await rail.count()) === 0; step++) {
      await page.mouse.move(700, 600);
      await page.mouse.wheel(0, 500);
      await page.waitForTimeout(150);
    }
    const pictures = (): Promise<(string | null)[]> =>
      page
        .locator(".js-plotly-plot:has(.slider-container) .layer-above image")
        .evaluateAll((images) => images.map((image) => image.getAttribute("href")));
    const before = await pictures();
    const box = await rail.boundingBox();
    if (box === null) throw new Error("the slider is not shown");
    // Waits until the page stands still: cells above may still be growing.
    await rail.click({ position: { x: 0.95 * box.width, y: box.height / 2 } });
    await expect.poll(pictures).not.toEqual(before);
    const after = await pictures();
    // Plain pictures stay, cached ones and differences change.
    const third = before.length / 3;
    expect(after.slice(0, third)).toEqual(before.slice(0, third));
    expect(after.slice(third).every((picture, index) => picture !== before[third + index])).toBe(true);
  }, 300_000);

  it("the slider works in a page that nbconvert made", async () => {
    const folder = mkdtempSync(join(tmpdir(), "blockcache-html-"));
    const { status, stderr } = spawnSync(
      python,
      ["-m", "nbconvert", "--to", "html", "--output-dir", folder, "--output", "page", join(notebooks, SLIDER_NOTEBOOK)],
      { encoding: "utf8", cwd: root },
    );
    expect(status, stderr).toBe(0);
    await page.goto(pathToFileURL(join(folder, "page.html")).href);
    const slider = page.locator('input[type="range"]');
    const picture = page.locator('div:has(> input[type="range"]) > img');
    const first = await picture.getAttribute("src");
    await slider.fill((await slider.getAttribute("max")) ?? "");
    await expect.poll(() => picture.getAttribute("src")).not.toBe(first);
    expect(await page.locator('div:has(> input[type="range"]) > output').textContent()).toBe("0.5");
    rmSync(folder, { recursive: true, force: true });
  }, 300_000);
});

function titlesOf(name: string): string[] {
  return codeCells(join(notebooks, name))
    .flatMap(({ outputs = [] }) => outputs)
    .flatMap(
      ({ data }) =>
        (data?.[PLOTLY] as { layout?: { title?: { text?: string } } } | undefined)?.layout?.title?.text ?? [],
    );
}
