/** The explorer in real Chromium, with a worker process and a small model. */
import { spawnSync } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { Browser, Page } from "playwright-core";
import sharp from "sharp";
import ts from "typescript";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { loadCosts } from "../../src/caching/costs/costsFile.js";
import { predictSpeedup } from "../../src/caching/costs/predictSeconds.js";
import { threshold } from "../../src/caching/heuristics/threshold.js";
import { loadProfile } from "../../src/instrument/profile/profileFile.js";
import { hasChromium, openChromium } from "../chromium.js";
import {
  PATIENCE,
  delta,
  eventually,
  explore,
  finished,
  main,
  openPage,
  seriousFaults,
  speedup,
  workerOf,
} from "./page.js";

describe.skipIf(!hasChromium)("the explorer's page", () => {
  const folder = mkdtempSync(join(tmpdir(), "blockcache-explorer-"));
  const heuristic = join(folder, "mine.mjs");
  let explorer: ChildProcess;
  let url: string;
  let browser: Browser;
  let page: Page;
  const faults: string[] = [];
  const outside: string[] = [];

  const open = (): Promise<Page> => openPage(browser, url, { faults, outside });

  const cell = (of: Page = page): Promise<string> => of.locator("#active-cell").innerText();
  async function follow(on: boolean): Promise<void> {
    await page.getByLabel("on every change").setChecked(on);
  }

  beforeAll(async () => {
    writeFileSync(heuristic, ownHeuristic(2));
    ({ explorer, url } = await explore(["--cache", folder, "--heuristic", heuristic]));
    browser = await openChromium();
    page = await open();
    await finished(page);
  }, 2 * PATIENCE);
  afterAll(async () => {
    await browser?.close();
    explorer?.kill();
    rmSync(folder, { recursive: true, force: true });
  });
  beforeEach(async () => {
    await page.bringToFront();
    // A button that is disabled meanwhile does nothing.
    const undo = page.getByRole("button", { name: "Undo" });
    while (await undo.isEnabled()) await undo.evaluate((button) => (button as HTMLButtonElement).click());
  });

  it(
    "predicts what the library predicts, at each δ",
    async () => {
      await follow(false);
      const file = (kind: string): string =>
        join(folder, readdirSync(folder).find((name) => name.startsWith(kind)) ?? "");
      const [profile, costs] = [await loadProfile(file("profile-")), await loadCosts(file("costs-"))];
      for (const value of [0, 0.1, 0.35, 0.8]) {
        await delta(page).fill(String(value));
        const found = await delta(page).inputValue();
        const schedule = threshold(profile, { delta: Number(found), kinds: ["transformer"] });
        await eventually(() => speedup(page)).toBe(`${predictSpeedup(costs, schedule).toFixed(2)} ×`);
      }
    },
    PATIENCE,
  );

  it(
    "maps the network: names, shares, a card on hover, components on a click",
    async () => {
      await page.mouse.move(0, 0);
      const block = page.getByRole("button", {
        name: /^down_blocks\.0\.attentions\.0, spatial transformer, .* of the time$/,
      });
      await block.hover();
      await page
        .locator(".tooltip")
        .getByRole("img", { name: /relative L1 change of C/ })
        .waitFor();
      expect(await page.locator(".tooltip").innerText()).toContain("parameters");
      await block.click();
      await page.waitForSelector(".strip img");
      await eventually(() => page.locator(".strip img").count()).toBe(6);
      // Start, two words, end, and what fills up the prompt; then five pixels.
      await eventually(() => page.locator(".attention img").count()).toBe(10);
      const shares = await page.locator(".attention").first().locator("th span").allInnerTexts();
      expect(shares.reduce((sum, share) => sum + Number.parseFloat(share), 0)).toBeGreaterThan(98);
      for (const name of ["Save curve", "Save the attention maps: (start)"]) {
        const download = page.waitForEvent("download");
        await page.getByRole("button", { name, exact: true }).click();
        expect((await download).suggestedFilename()).toMatch(/^down_blocks\.0\.attentions\.0-/);
      }
      await page.getByRole("tab", { name: "Pictures" }).click();
    },
    PATIENCE,
  );

  it(
    "is painted by mouse: a cell, a drag, a row, a column, a whole kind; and what is painted stays when δ moves",
    async () => {
      await follow(false);
      const grid = await page.locator(".grid canvas").boundingBox();
      if (grid === null) throw new Error("the grid is not shown");
      const width = (await page.locator(".grid canvas").evaluate((canvas) => canvas.clientWidth)) - 160;
      const x = (column: number): number => grid.x + 158 + ((column + 0.5) * width) / 20;
      const y = (row: number): number => grid.y + 18 + (row + 0.5) * 13;
      const before = await speedup(page);
      await page.locator(".brushes").getByText("Reuse", { exact: true }).click();
      await page.mouse.move(x(3), y(1));
      await page.mouse.down();
      await page.mouse.move(x(4), y(1));
      await page.mouse.move(x(5), y(1));
      await page.mouse.up();
      expect(await page.locator(".told").innerText()).toMatch(/evaluation 5, timestep \d+: reuses, painted/);
      // One drag is one step back.
      await page.getByRole("button", { name: "Undo" }).click();
      await page.mouse.move(x(5), y(1));
      await eventually(() => page.locator(".told").innerText()).toMatch(/: computes, always/);
      await page.getByRole("button", { name: "Redo" }).click();
      await delta(page).fill("0.5");
      await page.mouse.move(x(4), y(1));
      await eventually(() => page.locator(".told").innerText()).toMatch(/: reuses, painted/);
      await page.mouse.click(grid.x + 60, y(2));
      await page.mouse.click(x(7), grid.y + 6);
      await page.mouse.move(x(9), y(2));
      await eventually(() => page.locator(".told").innerText()).toMatch(/: reuses, painted/);
      await page.mouse.move(x(7), y(4));
      await eventually(() => page.locator(".told").innerText()).toMatch(/: reuses, painted/);
      await page.getByLabel("Paint a whole kind of block").selectOption({ label: "ResNet block" });
      await eventually(() => speedup(page)).not.toBe(before);
      await page.locator(".brushes").getByText("Toggle").click();
    },
    PATIENCE,
  );

  it(
    "is painted by keyboard, and says what stands where",
    async () => {
      await page.getByRole("grid").focus();
      await page.keyboard.press("PageUp");
      await page.keyboard.press("Home");
      await page.keyboard.press("ArrowDown");
      await page.keyboard.press("ArrowRight");
      expect(await cell()).toMatch(/evaluation 1, timestep \d+: computes, always/);
      const [grid, outline] = [
        await page.locator(".grid canvas").boundingBox(),
        await page.locator(".outline").boundingBox(),
      ];
      expect([(outline?.y ?? 0) - (grid?.y ?? 0), outline?.height]).toEqual([18 + 13, 13]);
      await page.keyboard.press("Space");
      await eventually(() => cell()).toMatch(/evaluation 1, timestep \d+: reuses, painted/);
      await page.keyboard.press("Backspace");
      await eventually(() => cell()).toMatch(/: computes, always/);
      await page.keyboard.press("Shift+R");
      await page.keyboard.press("End");
      await eventually(() => cell()).toMatch(/: reuses, painted/);
      await page.keyboard.press("Control+Z");
      await eventually(() => cell()).toMatch(/: computes, always/);
      await page.keyboard.press("Control+Shift+Z");
      await eventually(() => cell()).toMatch(/: reuses, painted/);
    },
    PATIENCE,
  );

  it(
    "takes heuristics with their options, a target, windows, a reuse rule",
    async () => {
      await follow(false);
      await page.getByLabel("Heuristic").selectOption("quantile");
      await page.getByRole("combobox", { name: "over", exact: true }).selectOption("time");
      await page.getByLabel("Heuristic").selectOption("uniform");
      await page.getByLabel("target speed-up").check();
      await page.getByLabel("Times as fast").fill("1.15");
      await page.keyboard.press("Enter");
      await eventually(async () => Number.parseFloat(await speedup(page))).toBeGreaterThanOrEqual(1.15);
      await page.getByLabel("Times as fast").fill("50");
      await page.keyboard.press("Enter");
      await eventually(() => page.locator(".controls .fault").first().innerText()).toMatch(/speedup: expected at most/);
      await page.getByLabel("target speed-up").uncheck();
      await page.getByLabel("Last computed").fill("20");
      await page.keyboard.press("Enter");
      await eventually(() => speedup(page)).toBe("1.00 ×");
      await page.getByLabel("Reuse rule").selectOption("linear");
    },
    PATIENCE,
  );

  it(
    "shows two schedules and where they differ",
    async () => {
      await follow(false);
      await page.getByRole("button", { name: "Keep as B" }).click();
      await page.getByText("B predicted").waitFor();
      await delta(page).fill("0.9");
      await eventually(async () => (await page.locator(".predicted .speedup").allInnerTexts()).length).toBe(2);
      const [a, b] = await page.locator(".predicted .speedup").allInnerTexts();
      expect(a).not.toBe(b);
      await page.getByRole("button", { name: "Drop B" }).click();
    },
    PATIENCE,
  );

  it(
    "exports a schedule and its picture, and imports it again",
    async () => {
      await follow(false);
      const download = page.waitForEvent("download");
      await page.getByRole("button", { name: "Export" }).click();
      const path = join(folder, "schedule.json");
      await (await download).saveAs(path);
      const drawn = page.waitForEvent("download");
      await page.getByRole("button", { name: "Save picture", exact: true }).click();
      const grid = await sharp(await (await drawn).path()).metadata();
      // A row of each block of the schedule, and letters need eleven pixels.
      const { blocks } = JSON.parse(readFileSync(path, "utf8")) as { blocks: object };
      expect(grid.height).toBeGreaterThan(11 * Object.keys(blocks).length);
      const before = await speedup(page);
      await delta(page).fill("0.95");
      await eventually(() => speedup(page)).not.toBe(before);
      await page.getByLabel("Import schedule: file").setInputFiles(path);
      await eventually(() => speedup(page)).toBe(before);
      writeFileSync(path, JSON.stringify({ ...JSON.parse(readFileSync(path, "utf8")), blocks: { a: [3] } }));
      await page.getByLabel("Import schedule: file").setInputFiles(path);
      await eventually(() => page.locator(".problems").innerText()).toMatch(/schedule.*starts with 0/);
    },
    PATIENCE,
  );

  it(
    "samples live: step by step, stale when something changes, aborted by a change",
    async () => {
      await follow(true);
      // A small model's steps come and go: everything that the panel ever said is kept.
      await page.evaluate(`window.seen = new Set();
        new MutationObserver(() => {
          for (const each of document.querySelectorAll(".banner, figcaption span")) window.seen.add(each.textContent);
        }).observe(document.querySelector(".tabpanel"), { subtree: true, childList: true, characterData: true })`);
      await page.getByLabel("Steps").fill("40");
      await page.keyboard.press("Enter");
      await delta(page).fill("0.45");
      await eventually(() => page.evaluate("[...window.seen].join('\\n')")).toMatch(/cached step \d+ of 40/);
      await finished(page);
      expect(await page.evaluate("window.seen.has('Computing …')")).toBe(true);
      expect(await page.locator(".measured .speedup").innerText()).toMatch(/^\d+\.\d\d ×$/);
      await follow(false);
      await page.getByLabel("Seed").fill("7");
      await page.keyboard.press("Enter");
      await page.waitForSelector(".banner.stale");
      await page.getByRole("button", { name: "Sample", exact: true }).click();
      await finished(page);
      await page.getByLabel("Steps").fill("20");
      await page.keyboard.press("Enter");
    },
    PATIENCE,
  );

  it(
    "judges on a set, and a point brings back its schedule",
    async () => {
      await follow(false);
      await page.getByRole("tab", { name: "Judge" }).click();
      await page.getByLabel("Reference steps").fill("30");
      await page.keyboard.press("Enter");
      await delta(page).fill("0.3");
      const before = await speedup(page);
      await page.getByRole("button", { name: "Judge this schedule" }).click();
      await page.getByRole("button", { name: "Plain runs" }).click();
      await eventually(async () =>
        (await page.locator(".judge tbody td:last-child").allInnerTexts()).every((count) => count === "2"),
      ).toBe(true);
      await eventually(() => page.locator(".js-plotly-plot .point").count()).toBe(7);
      // Nothing is left to go on with.
      await eventually(() => page.getByRole("button", { name: "Go on" }).isDisabled()).toBe(true);
      for (const colorScheme of ["light", "dark", "no-preference"] as const) {
        await page.emulateMedia({ colorScheme });
        await page.mouse.move(500, 5);
        expect(await seriousFaults(page)).toEqual([]);
      }
      await delta(page).fill("0.8");
      await eventually(() => speedup(page)).not.toBe(before);
      await page.locator(".judge tbody button").first().click();
      await eventually(() => speedup(page)).toBe(before);
      await page.getByRole("button", { name: "Forget all" }).click();
      await page.getByRole("tab", { name: "Pictures" }).click();
    },
    PATIENCE,
  );

  it(
    "loads a user's own heuristic anew when its file changes",
    async () => {
      await follow(false);
      await page.getByLabel("Heuristic").selectOption("mine");
      await eventually(() => speedup(page)).not.toBe("–");
      const before = Number.parseFloat(await speedup(page));
      writeFileSync(heuristic, ownHeuristic(5));
      await eventually(async () => Number.parseFloat(await speedup(page))).toBeGreaterThan(before);
      writeFileSync(heuristic, "export default 3");
      await page.getByText(/expected a function/).waitFor();
      writeFileSync(heuristic, ownHeuristic(2));
      await page.getByText(/expected a function/).waitFor({ state: "detached" });
    },
    PATIENCE,
  );

  it(
    "saves a session that opens the same",
    async () => {
      await follow(false);
      await delta(page).fill("0.6");
      await page.getByRole("button", { name: "Sample", exact: true }).click();
      await finished(page);
      const [before, picture] = [await speedup(page), await page.getByAltText(/^cached/).getAttribute("src")];
      const download = page.waitForEvent("download");
      await page.getByRole("button", { name: "Save", exact: true }).first().click();
      const path = join(folder, "session.json");
      await (await download).saveAs(path);
      await delta(page).fill("0.1");
      await page.getByLabel("Prompt", { exact: true }).fill("something else");
      await page.keyboard.press("Enter");
      await page.getByLabel("Open: file").setInputFiles(path);
      await eventually(() => speedup(page)).toBe(before);
      expect(await page.getByAltText(/^cached/).getAttribute("src")).toBe(picture);
      expect(await page.getByLabel("Prompt", { exact: true }).inputValue()).not.toBe("something else");
    },
    PATIENCE,
  );

  it(
    "gives code that does the same: a command and a cell, run here",
    async () => {
      await page.getByRole("button", { name: "Sample", exact: true }).click();
      await finished(page);
      await page.getByRole("button", { name: "Copy …" }).click();
      const cell = page.getByLabel("notebook cell");
      await eventually(() => cell.inputValue()).toMatch(/cachedRun\(schedule/);
      const command = await page.getByLabel("command", { exact: true }).inputValue();
      const code = await cell.inputValue();
      await page.getByRole("button", { name: "Close" }).click();

      const shell = command.replace("npx blockcache", `"${process.execPath}" "${main}"`);
      expect(spawnSync("sh", ["-ec", shell], { cwd: folder, encoding: "utf8" }).stderr).toBe("");
      const uri = await page.getByAltText(/^cached/).getAttribute("src");
      const shown = Buffer.from((uri ?? "").split(",")[1], "base64");
      const pixels = (file: string | Buffer): Promise<Buffer> => sharp(file).removeAlpha().raw().toBuffer();
      expect(Buffer.compare(await pixels(join(folder, "cached.png")), await pixels(shown))).toBe(0);

      const module = join(dirname(main), `cell-${process.pid}.mjs`);
      writeFileSync(module, ts.transpile(code, { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2022 }));
      try {
        const { stdout, stderr } = spawnSync(process.execPath, [module], { encoding: "utf8" });
        expect(stdout, stderr).toMatch(/image/);
      } finally {
        rmSync(module);
      }
    },
    PATIENCE,
  );

  it(
    "shows two tabs the same session",
    async () => {
      const second = await open();
      await delta(second).fill("0.55");
      await eventually(() => delta(page).inputValue()).toBe("0.55");
      await page.getByLabel("Seed").fill("11");
      await page.getByLabel("Seed").press("Enter");
      await eventually(() => second.getByLabel("Seed").inputValue()).toBe("11");
      await second.close();
    },
    PATIENCE,
  );

  it(
    "shows that the worker was killed, starts it again, and loses nothing",
    async () => {
      await delta(page).fill("0.65");
      const before = await speedup(page);
      process.kill(workerOf(explorer), "SIGKILL");
      await page
        .getByText(/the worker ended by SIGKILL/)
        .first()
        .waitFor();
      await page
        .getByText(/the worker ended by SIGKILL/)
        .first()
        .waitFor({ state: "detached" });
      expect(await speedup(page)).toBe(before);
      await page.getByRole("button", { name: "Sample", exact: true }).click();
      await finished(page);
    },
    PATIENCE,
  );

  it.each(["light", "dark"] as const)(
    "has no serious fault that axe finds, in %s, on any of its tabs",
    async (colorScheme) => {
      await page.emulateMedia({ colorScheme });
      for (const tab of ["Pictures", "Block", "Judge"]) {
        await page.getByRole("tab", { name: tab }).click();
        await page.mouse.move(500, 5);
        expect(await seriousFaults(page)).toEqual([]);
      }
      await page.getByRole("tab", { name: "Pictures" }).click();
    },
    PATIENCE,
  );

  it("fits into 1024 × 700: nothing scrolls the page itself", async () => {
    expect(
      await page.evaluate("[document.documentElement.scrollWidth, document.documentElement.scrollHeight]"),
    ).toEqual([1024, 700]);
  });

  it("had no fault, and asked nobody else", () => {
    expect(faults.filter((text) => !/the server responded with a status of 400/.test(text))).toEqual([]);
    expect(outside).toEqual([]);
  });
});

/** A heuristic that computes at every so many evaluations. */
function ownHeuristic(interval: number): string {
  return `import { createSchedule, computeWhen } from ${JSON.stringify(new URL("../../dist/planning/index.js", import.meta.url).href)};
export const parameter = "unused";
export const values = [1];
export default (profile, { kinds }) =>
  createSchedule(profile, { name: "mine" }, computeWhen(profile, profile.blocks.filter(({ kind }) => kinds.includes(kind)), (_, evaluation) => evaluation % ${interval} === 0));
`;
}
