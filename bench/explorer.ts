/**
 * The explorer's page in Chromium: how long a move of δ takes, how soon the first picture comes after a change, how
 * much the page slows a run down, and what a long series of random edits leaves behind.
 *
 *   npm run build && npm run bench:explorer -- [--pairs 8] [--minutes 60] [slider] [watching] [soak]
 *
 * Writes bench/results/explorer.json and explorer.md; parts that are not named keep their earlier results.
 */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { chromium } from "playwright-core";
import type { Browser, Page } from "playwright-core";
import { cachedRun } from "../src/caching/run/cachedRun.js";
import { decodeImages } from "../src/diffusion/decodeImages.js";
import { loadPipeline } from "../src/diffusion/pipeline.js";
import { sample } from "../src/diffusion/sample.js";
import type { SampleOptions } from "../src/diffusion/samplingPlan.js";
import { median } from "../src/instrument/profile/statistics.js";
import { childWorker } from "../src/live/childWorker.js";
import type { LiveDocument } from "../src/live/document.js";
import { localWorker } from "../src/live/localWorker.js";
import { LiveSession } from "../src/live/session.js";
import { sampleOptions } from "../src/live/settings.js";
import { serveExplorer } from "../src/server/explorerServer.js";
import { madeUpModel, madeUpWorker } from "../test/live/madeUpWorker.js";
import { writeResult } from "./results.js";

const MODEL = join("models", "fluent-ldm");
/** Measurements are kept here for the next run. */
const CACHE = join(".cache", "bench", "explore");
const [BLOCKS, EVALUATIONS] = [100, 50];
/** What has not come by then never will. */
const PATIENCE_MILLISECONDS = 300_000;

interface Results {
  /** ms from a move of δ to the frame that is drawn after it */
  slider?: readonly number[];
  watching?: {
    /** wall time of both runs with the page ÷ without */
    readonly overhead: readonly number[];
    /** from a change in the page to the first preview there ÷ one plain evaluation */
    readonly previews: readonly number[];
  };
  soak?: Soaked;
}

interface Soaked {
  readonly minutes: number;
  readonly edits: number;
  /** memory at the end ÷ after a third of the time */
  readonly processes: number;
  readonly page: number;
  readonly same: boolean;
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    options: { pairs: { type: "string", default: "8" }, minutes: { type: "string", default: "60" } },
    allowPositionals: true,
  });
  const file = join("bench", "results", "explorer.json");
  const results: Results = existsSync(file) ? (JSON.parse(readFileSync(file, "utf8")) as Results) : {};
  const browser = await chromium.launch({
    executablePath: "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu"],
  });
  const parts = {
    slider: async () => (results.slider = await slider(browser)),
    watching: async () => (results.watching = await watching(browser, Number(values.pairs))),
    soak: async () => (results.soak = await soak(browser, Number(values.minutes))),
  };
  try {
    for (const [part, work] of Object.entries(parts)) {
      if (positionals.length > 0 && !positionals.includes(part)) continue;
      console.error(`${part} …`);
      await work();
      await writeResult("explorer.json", JSON.stringify(results));
      await writeResult("explorer.md", tableOf(results));
    }
  } finally {
    await browser.close();
  }
  console.log(tableOf(results));
}

function tableOf({ slider: moves, watching: watched, soak: soaked }: Results): string {
  const span = (all: readonly number[], digits: number): string =>
    `${median(all).toFixed(digits)} (${Math.min(...all).toFixed(digits)}–${Math.max(...all).toFixed(digits)})`;
  const grid = `${BLOCKS} blocks × ${EVALUATIONS} evaluations`;
  return [
    "| what | median (least–most) | goal |",
    "|---|---|---|",
    ...(moves === undefined
      ? []
      : [`| a move of δ to its drawn grid and prediction, ${grid}, ms | ${span(moves, 1)} | 50 |`]),
    ...(watched === undefined
      ? []
      : [
          `| first preview in the page after a change there ÷ one plain evaluation | ${span(watched.previews, 2)} | 1.5 |`,
          `| cached beside plain with the page ÷ both without | ${span(watched.overhead, 3)} | 1.05 |`,
        ]),
    ...(soaked === undefined
      ? []
      : [
          `| ${soaked.minutes} minutes of ${soaked.edits} random edits, memory at the end ÷ after a third: server and worker | ${soaked.processes.toFixed(2)} | 1.10 |`,
          `| the same, the page's heap | ${soaked.page.toFixed(2)} | 1.10 |`,
          `| a page opened afterwards shows what the page shows | ${soaked.same ? "yes" : "no"} | yes |`,
        ]),
    "",
  ].join("\n");
}

/** In the page: from the input event to the frame that is drawn after it. */
async function slider(browser: Browser): Promise<number[]> {
  const worker = madeUpWorker(madeUpModel(BLOCKS, EVALUATIONS));
  const session = new LiveSession(worker, { model: "made-up", cacheFolder: "" });
  session.do({ command: "follow", on: false });
  const server = await serveExplorer(session);
  const page = await opened(browser, server.url);
  const taken = (await page.evaluate(`(async () => {
    const input = document.querySelector(".slider input[type=range]");
    const taken = [];
    for (let move = 0; move < 60; move++) {
      const started = performance.now();
      input.value = String(0.05 + 0.015 * (move % 50));
      input.dispatchEvent(new Event("input", { bubbles: true }));
      await new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)));
      taken.push(performance.now() - started);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    return taken.slice(10);
  })()`)) as number[];
  await page.close();
  await server.close();
  await session.close();
  return taken;
}

/** The same two runs in turn: shown on the page, and without anybody looking; then changes while a run forms. */
async function watching(browser: Browser, pairs: number): Promise<NonNullable<Results["watching"]>> {
  const pipeline = await loadPipeline(MODEL);
  const session = new LiveSession(localWorker(pipeline), { model: MODEL, cacheFolder: CACHE });
  session.do({ command: "follow", on: false });
  await until(session, "measurements", ({ measured }) => measured !== undefined);
  const server = await serveExplorer(session);
  const page = await opened(browser, server.url);
  const { settings } = session.document;
  const { schedule } = session;
  if (settings === undefined || schedule === undefined) throw new TypeError("not measured");
  const shown = async (seed: number): Promise<void> => {
    session.do({ command: "settings", values: { seed } });
    session.do({ command: "sample" });
    await until(session, "a comparison", ({ comparison: run }) => run?.state === "finished" && !run.stale);
  };
  const alone = async (seed: number): Promise<void> => {
    const run = async (hooks: SampleOptions["hooks"]): Promise<void> => {
      let latents;
      for await (const step of sample(pipeline, { ...sampleOptions({ ...settings, seed }), hooks }))
        latents = step.latents;
      if (latents !== undefined) await decodeImages(pipeline, latents);
    };
    await run([cachedRun(schedule)]);
    await run([]);
  };
  const timed = async (work: () => Promise<void>): Promise<number> => {
    const started = performance.now();
    await work();
    return (performance.now() - started) / 1000;
  };
  const overhead: number[] = [];
  // The first pair warms up.
  for (let pair = 0; pair <= pairs; pair++) {
    const seed = 1000 + pair;
    const before = pair % 2 === 0 ? await timed(() => shown(seed)) : undefined;
    const without = await timed(() => alone(seed));
    const withPage = before ?? (await timed(() => shown(seed)));
    if (pair > 0) overhead.push(withPage / without);
    console.error(`pair ${pair}: ${withPage.toFixed(2)} s with the page, ${without.toFixed(2)} s without`);
  }
  // The plain run of the last seed is kept, so that a change only waits for the cached one.
  const plainSeconds = session.document.comparison?.plain.seconds ?? NaN;
  const evaluation = plainSeconds / schedule.timesteps.length;
  session.do({ command: "follow", on: true });
  session.do({ command: "sample" });
  const previews: number[] = [];
  for (let change = 0; change < 2 * pairs; change++) {
    await until(
      session,
      "a run's third step",
      ({ comparison: run }) => run?.state === "computing" && run.cached.step > 2,
    );
    const milliseconds = (await page.evaluate(`(async () => {
      const input = document.querySelector(".slider input[type=range]");
      const step = () => Number(/cached step (\\d+) of/.exec([...document.querySelectorAll("figcaption span")].map((each) => each.textContent).join())?.[1]);
      while (!(step() > 2)) await new Promise((resolve) => setTimeout(resolve, 5));
      const before = step();
      const started = performance.now();
      input.value = ${JSON.stringify(String(0.1 + 0.01 * change))};
      input.dispatchEvent(new Event("input", { bubbles: true }));
      await new Promise((resolve) => {
        const observer = new MutationObserver(() => {
          if (!(step() < before)) return;
          observer.disconnect();
          resolve();
        });
        observer.observe(document.querySelector(".tabpanel"), { subtree: true, childList: true, characterData: true });
      });
      return performance.now() - started;
    })()`)) as number;
    previews.push(milliseconds / 1000 / evaluation);
  }
  await page.close();
  await server.close();
  await session.close();
  await pipeline.dispose();
  return { overhead, previews };
}

/** Random edits in the page, one after another. */
async function soak(browser: Browser, minutes: number): Promise<Soaked> {
  const worker = childWorker(MODEL);
  const session = new LiveSession(worker, { model: MODEL, cacheFolder: CACHE });
  await until(session, "measurements", ({ measured }) => measured !== undefined);
  const server = await serveExplorer(session);
  const page = await opened(browser, server.url);
  const devtools = await page.context().newCDPSession(page);
  const resident = (pid: number | undefined): number =>
    Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid ?? "self"}/status`, "utf8"))?.[1]);
  const heap = async (): Promise<number> => {
    await devtools.send("HeapProfiler.collectGarbage");
    return (await devtools.send("Runtime.getHeapUsage")).usedSize;
  };
  const measure = async (): Promise<{ processes: number; page: number }> => ({
    processes: resident(undefined) + resident(worker.processId()),
    page: await heap(),
  });
  const begun = performance.now();
  const end = begun + 60_000 * minutes;
  let before: Awaited<ReturnType<typeof measure>> | undefined;
  let edits = 0;
  for (; performance.now() < end; edits++) {
    if (before === undefined && performance.now() > begun + (end - begun) / 3) before = await measure();
    const at = Math.random();
    if (at < 0.4) await page.locator(".slider input[type=range]").fill(String(Math.round(200 * Math.random()) / 200));
    else if (at < 0.8) {
      await page.getByRole("grid").focus();
      for (let key = 0; key < 3; key++)
        await page.keyboard.press(
          ["ArrowDown", "ArrowRight", "ArrowUp", "ArrowLeft", "Space", "Shift+R", "Alt+C"][
            Math.floor(7 * Math.random())
          ],
        );
    } else if (at < 0.95) await page.keyboard.press("Control+Z");
    else {
      await page.getByLabel("Seed").fill(String(Math.floor(100 * Math.random())));
      await page.keyboard.press("Enter");
    }
    await page.waitForTimeout(300 * Math.random());
  }
  const after = await measure();
  before ??= after;
  // Two seconds are enough for changes that are still on their way to arrive.
  await page.waitForTimeout(2000);
  const speedup = (of: Page): Promise<string> => of.locator(".predicted .speedup").first().innerText();
  const fresh = await opened(browser, server.url);
  const same = (await speedup(page)) === (await speedup(fresh));
  await fresh.close();
  await page.close();
  await server.close();
  await session.close();
  return { minutes, edits, processes: after.processes / before.processes, page: after.page / before.page, same };
}

async function opened(browser: Browser, url: string): Promise<Page> {
  const page = await browser.newPage({ viewport: { width: 1440, height: 900 } });
  page.setDefaultTimeout(PATIENCE_MILLISECONDS);
  await page.goto(url);
  await page.waitForSelector(".gridframe canvas");
  return page;
}

/**
 * Waits until the document satisfies `isSo`. Throws Error where it does not within five minutes, or where the session
 * reports a problem.
 */
function until(session: LiveSession, what: string, isSo: (document: LiveDocument) => boolean): Promise<void> {
  return new Promise((resolve, reject) => {
    const end = (settle: () => void): void => {
      clearTimeout(timer);
      stop();
      settle();
    };
    const check = (): void => {
      const { problem } = session.document;
      if (isSo(session.document)) end(resolve);
      else if (problem !== undefined) end(() => reject(new Error(`${what}: ${problem}`)));
    };
    const timer = setTimeout(
      () => end(() => reject(new Error(`${what}: not there after ${PATIENCE_MILLISECONDS / 1000} s`))),
      PATIENCE_MILLISECONDS,
    );
    const stop = session.subscribe(check);
    check();
  });
}

await main();
