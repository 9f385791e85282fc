/** The explorer's page when something goes wrong: a lost connection, a killed server, a killed worker, a strange session. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Browser, Page } from "playwright-core";
import sharp from "sharp";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { provenanceOf } from "../../src/caching/adjustment/adjustment.js";
import { loadAdjustment, saveAdjustment } from "../../src/caching/adjustment/adjustmentFile.js";
import { predictSpeedup } from "../../src/caching/costs/predictSeconds.js";
import { cachedRun } from "../../src/caching/run/cachedRun.js";
import { defineReuseRule } from "../../src/caching/run/reuseRule.js";
import { threshold } from "../../src/caching/heuristics/threshold.js";
import { saveSchedule } from "../../src/caching/schedule/scheduleFile.js";
import { scheduleSampling } from "../../src/caching/schedule/scheduleSampling.js";
import { loadPipeline } from "../../src/diffusion/pipeline.js";
import { generate } from "../../src/diffusion/sample.js";
import { loadProfile } from "../../src/instrument/profile/profileFile.js";
import { LiveSession } from "../../src/live/session.js";
import { bytes } from "../../web/src/format.js";
import { serveExplorer } from "../../src/server/explorerServer.js";
import type { PageServer } from "../../src/server/pageServer.js";
import { madeUpWorker, measurements } from "../live/madeUpWorker.js";
import { faultyProxy } from "./faultyProxy.js";
import type { FaultyProxy } from "./faultyProxy.js";
import { hasChromium, openChromium } from "../chromium.js";
import {
  PATIENCE,
  delta,
  eventually,
  explore,
  finished,
  main,
  model,
  openPage,
  seriousFaults,
  speedup,
  workerOf,
} from "./page.js";

const LOST = /The connection to blockcache is lost/;

let browser: Browser;
const watched = { faults: [] as string[], outside: [] as string[] };
beforeAll(async () => {
  if (hasChromium) browser = await openChromium();
});
afterAll(async () => {
  await browser?.close();
});

describe.skipIf(!hasChromium)("a lost connection", () => {
  let session: LiveSession;
  let server: PageServer;
  let proxy: FaultyProxy;
  let page: Page;
  const deltas = (): unknown => session.document.plan.options.delta;
  beforeEach(async () => {
    session = new LiveSession(madeUpWorker(), { model: "made-up", cacheFolder: "/nowhere" });
    server = await serveExplorer(session);
    proxy = await faultyProxy(server.url);
    page = await openPage(browser, proxy.url, watched);
  }, PATIENCE);
  afterEach(async () => {
    await page.close();
    proxy.close();
    await server.close();
    await session.close();
  });

  it(
    "is said; edits show at once and wait; then all goes on where it was lost, at both ends",
    async () => {
      proxy.cut();
      await page.getByText(LOST).waitFor();
      const before = await speedup(page);
      await delta(page).fill("0.4");
      await eventually(() => speedup(page)).not.toBe(before);
      expect(deltas()).toBe(0.2);
      session.do({ command: "settings", values: { seed: 5 } });
      proxy.mend();
      await page.getByText(LOST).waitFor({ state: "detached" });
      await eventually(async () => deltas()).toBe(0.4);
      await eventually(() => page.getByLabel("Seed").inputValue()).toBe("5");
      expect(proxy.resumed[0]).toBeUndefined();
      expect(proxy.resumed.at(-1)).toMatch(/\/\d+$/);
    },
    PATIENCE,
  );

  it(
    "for so long that the session forgot what was missed brings the whole document, and keeps the page's own edit",
    async () => {
      proxy.cut();
      await page.getByText(LOST).waitFor();
      for (let seed = 0; seed < 700; seed++) session.do({ command: "settings", values: { seed } });
      await delta(page).fill("0.7");
      proxy.mend();
      await eventually(() => page.getByLabel("Seed").inputValue()).toBe("699");
      await eventually(async () => deltas()).toBe(0.7);
      expect(await delta(page).inputValue()).toBe("0.7");
    },
    PATIENCE,
  );

  it(
    "again and again loses no edit",
    async () => {
      for (let time = 1; time <= 5; time++) {
        await delta(page).fill(String(time / 10));
        proxy.cut();
        await page.getByText(LOST).waitFor();
        await page.getByLabel("Seed").fill(String(time));
        await page.keyboard.press("Enter");
        proxy.mend();
        await eventually(async () => [deltas(), session.document.settings?.seed]).toEqual([time / 10, time]);
      }
    },
    PATIENCE,
  );
});

describe.skipIf(!hasChromium)("a strange session file", () => {
  it(
    "that names what is not there leaves the page alive, and says so",
    async () => {
      const session = new LiveSession(madeUpWorker(), { model: "made-up", cacheFolder: "/nowhere" });
      const server = await serveExplorer(session);
      const page = await openPage(browser, server.url, watched);
      session.do({ command: "other", do: "keep" });
      const file = session.save();
      session.reopen({
        ...file,
        plan: { ...file.plan, reuse: "mine" },
        other: file.other && { ...file.other, reuse: "mine" },
      });
      await page
        .getByText(/reuse: expected hold/)
        .first()
        .waitFor();
      session.reopen({ ...file, plan: { ...file.plan, heuristic: "gone", options: {} } });
      await eventually(() => page.getByLabel("Heuristic").inputValue()).not.toBe("threshold");
      session.reopen(file);
      await eventually(() => speedup(page)).toMatch(/^\d+\.\d\d ×$/);
      await page.close();
      await server.close();
      await session.close();
    },
    PATIENCE,
  );
});

describe.skipIf(!hasChromium)("a user's own reuse rule", () => {
  it(
    "stands in the picker once it is defined, and its schedule is found and predicted",
    async () => {
      const session = new LiveSession(madeUpWorker(), { model: "made-up", cacheFolder: "/nowhere" });
      const server = await serveExplorer(session);
      const page = await openPage(browser, server.url, watched);
      defineReuseRule({ name: "mean", history: 3, weights: (_, kept) => kept.map(() => 1 / kept.length) });
      await page.getByLabel("Reuse rule").selectOption({ label: "mean (yours)" });
      await eventually(async () => session.document.plan.reuse).toBe("mean");
      const { schedule } = session;
      if (schedule === undefined) throw new TypeError("not measured");
      const { costs } = measurements;
      await eventually(() => speedup(page)).toBe(`${predictSpeedup(costs, schedule, { history: 3 }).toFixed(2)} ×`);
      await page.getByRole("button", { name: "Keep as B" }).click();
      await eventually(async () => new Set(await page.locator(".predicted .speedup").allInnerTexts()).size).toBe(1);
      expect(await page.locator(".predicted .speedup").count()).toBe(2);
      await page.close();
      await server.close();
      await session.close();
    },
    PATIENCE,
  );
});

describe.skipIf(!hasChromium)("with the small model", () => {
  const folder = mkdtempSync(join(tmpdir(), "blockcache-faults-"));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it(
    "a worker that is killed while it samples is started again, and the run is done again",
    async () => {
      const { explorer, url } = await explore(["--cache", folder]);
      const page = await openPage(browser, url, watched);
      await finished(page);
      await page.getByLabel("Steps").fill("200");
      await page.keyboard.press("Enter");
      await delta(page).fill("0.45");
      await page
        .getByText(/step \d+ of 200/)
        .first()
        .waitFor();
      expect(await seriousFaults(page)).toEqual([]);
      process.kill(workerOf(explorer), "SIGKILL");
      await page
        .getByText(/the worker ended by SIGKILL/)
        .first()
        .waitFor();
      expect(await seriousFaults(page)).toEqual([]);
      expect(await delta(page).inputValue()).toBe("0.45");
      await finished(page);
      await page.close();
      explorer.kill();
    },
    PATIENCE,
  );

  it(
    "a server that is killed while it samples takes its worker along, and the page keeps what it shows",
    async () => {
      const { explorer, url } = await explore(["--cache", folder]);
      const page = await openPage(browser, url, watched);
      await finished(page);
      const picture = await page.getByAltText(/^plain/).getAttribute("src");
      const worker = workerOf(explorer);
      await page.getByRole("button", { name: "Sample", exact: true }).click();
      explorer.kill("SIGKILL");
      await page.getByText(LOST).waitFor();
      await eventually(async () => existsSync(`/proc/${worker}`)).toBe(false);
      expect(picture).not.toBeNull();
      expect(await page.getByAltText(/^plain/).count()).toBe(1);
      await page.close();
    },
    PATIENCE,
  );

  it(
    "scale-shift is turned off and on where an adjustment is given, in the code that is copied too",
    async () => {
      const profile = readdirSync(folder).find((name) => name.startsWith("profile-")) ?? "";
      const schedule = threshold(await loadProfile(join(folder, profile)), { delta: 0.5, kinds: ["transformer"] });
      const [file, adjusted] = [join(folder, "schedule.json"), join(folder, "adjustment.safetensors")];
      await saveSchedule(file, schedule);
      const id = "down_blocks.0.attentions.0";
      const channels = 16;
      const table = (value: number): Float32Array => new Float32Array(channels * schedule.timesteps.length).fill(value);
      await saveAdjustment(adjusted, {
        schedule: provenanceOf(schedule),
        reuse: "hold",
        halves: 1,
        fit: { method: "closed-form" },
        report: {},
        library_version: "0",
        blocks: {
          [id]: { channels, terms: { scale: table(0.2), change: table(0.1), input_change: table(0.1) } },
        },
      });
      const { explorer, url } = await explore(["--cache", folder, "--schedule", file, "--adjustment", adjusted]);
      const page = await openPage(browser, url, watched);
      await finished(page);
      const check = page.getByLabel(/scale-shift by adjustment/);
      expect(await check.isChecked()).toBe(true);
      expect(await page.locator(".measured").innerText()).toMatch(/scale-shift\s+on/);
      // What the page predicts is what a run keeps: two values of C, and the blocks' inputs with them.
      const pipeline = await loadPipeline(model);
      const run = cachedRun(schedule, { adjustment: await loadAdjustment(adjusted) });
      await generate(pipeline, { prompt: "red apple", ...scheduleSampling(schedule), hooks: [run] });
      await pipeline.dispose();
      const memory = (): Promise<string> => page.locator(".predicted dd", { hasText: "cache" }).innerText();
      expect(await memory()).toBe(`cache ${bytes(run.peakCacheBytes)}`);
      const cached = (): Promise<string | null> => page.getByAltText(/^cached/).getAttribute("src");
      const on = await cached();

      await page.getByRole("button", { name: "Copy …" }).click();
      const command = page.getByLabel("command", { exact: true });
      await eventually(() => command.inputValue()).toContain("--adjustment");
      const shell = (await command.inputValue()).replace("npx blockcache", `"${process.execPath}" "${main}"`);
      expect(await seriousFaults(page)).toEqual([]);
      await page.getByRole("button", { name: "Close" }).click();
      expect(spawnSync("sh", ["-ec", shell], { cwd: folder, encoding: "utf8" }).stderr).toBe("");
      const pixels = (picture: string | Buffer): Promise<Buffer> => sharp(picture).removeAlpha().raw().toBuffer();
      const shown = Buffer.from((on ?? "").split(",")[1], "base64");
      expect(Buffer.compare(await pixels(join(folder, "cached.png")), await pixels(shown))).toBe(0);

      await check.uncheck();
      await eventually(memory).not.toBe(`cache ${bytes(run.peakCacheBytes)}`);
      await eventually(() => page.locator(".measured").innerText()).toMatch(/scale-shift\s+off/);
      await finished(page);
      expect(await cached()).not.toBe(on);
      await check.check();
      await page.getByLabel("Heuristic").selectOption("uniform");
      await page.getByText(/Not applied: .*fitted for another schedule/).waitFor();
      expect(await seriousFaults(page)).toEqual([]);
      await page.close();
      explorer.kill();
    },
    2 * PATIENCE,
  );

  it(
    "refuses an adjustment or a schedule that is not there, in one line",
    () => {
      for (const option of ["--adjustment", "--schedule", "--profile"]) {
        const { status, stderr } = spawnSync(
          process.execPath,
          [main, "explore", model, "--json", "--no-open", "--cache", folder, option, join(folder, "none")],
          { encoding: "utf8", timeout: PATIENCE },
        );
        expect(status, option).toBe(1);
        expect(stderr.trim().split("\n"), option).toHaveLength(1);
      }
    },
    PATIENCE,
  );
});

describe.skipIf(!hasChromium)("all that while", () => {
  it("no page had a fault of its own, and none asked anybody else", () => {
    expect(watched.faults.filter((text) => !/Failed to load resource|net::ERR/.test(text))).toEqual([]);
    expect(watched.outside).toEqual([]);
  });
});
