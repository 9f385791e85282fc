/**
 * The explorer's page in Chromium: how long a move of δ takes, how soon the first picture comes after a change, what
 * the page costs a run, and what a long stretch of random edits leaves behind.
 *
 *   npm run build && npm run bench:explorer -- [--pairs 10] [--minutes 60]
 *
 * Writes bench/results/explorer.json and explorer.md.
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { chromium } from "playwright-core";
import type { Browser, Page } from "playwright-core";
import { evaluationSeconds } from "../src/caching/costs/predictSeconds.js";
import { cachedRun } from "../src/caching/run/cachedRun.js";
import { decodeImages } from "../src/diffusion/decodeImages.js";
import { loadPipeline } from "../src/diffusion/pipeline.js";
import { sample } from "../src/diffusion/sample.js";
import type { SampleOptions } from "../src/diffusion/samplingPlan.js";
import type { Profile } from "../src/instrument/profile/profile.js";
import { median } from "../src/instrument/profile/statistics.js";
import { childWorker } from "../src/live/childWorker.js";
import type { LiveDocument } from "../src/live/document.js";
import { localWorker } from "../src/live/localWorker.js";
import { LiveSession } from "../src/live/session.js";
import { sampleOptions } from "../src/live/settings.js";
import type { LiveWorker, ModelDescription } from "../src/live/worker.js";
import { measurementsFromJson } from "../src/planning/plainData.js";
import { serveExplorer } from "../src/server/explorerServer.js";
import { writeResult } from "./results.js";

const MODEL = join("models", "fluent-ldm");
const [BLOCKS, EVALUATIONS] = [100, 50];

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: { pairs: { type: "string", default: "10" }, minutes: { type: "string", default: "60" } },
  });
  const browser = await chromium.launch({
    executablePath: "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu"],
  });
  const cacheFolder = mkdtempSync(join(tmpdir(), "blockcache-bench-"));
  const sliderMilliseconds = await slider(browser);
  const { overhead, previews } = await watching(browser, cacheFolder, Number(values.pairs));
  const soaked = await soak(browser, cacheFolder, Number(values.minutes));
  await browser.close();
  rmSync(cacheFolder, { recursive: true });
  const span = (all: readonly number[], digits: number): string =>
    `${median(all).toFixed(digits)} (${Math.min(...all).toFixed(digits)}–${Math.max(...all).toFixed(digits)})`;
  const text = [
    "| what | median (least–most) | goal |",
    "|---|---|---|",
    `| a move of δ to its drawn grid and prediction, ${BLOCKS} blocks × ${EVALUATIONS} evaluations, ms | ${span(sliderMilliseconds, 1)} | 50 |`,
    `| first preview after a change ÷ one evaluation | ${span(previews, 2)} | 1.5 |`,
    `| cached beside plain with the page ÷ both without | ${span(overhead, 3)} | 1.05 |`,
    `| memory at the end of ${soaked.minutes} minutes of ${soaked.edits} random edits ÷ after a tenth of them: server and worker, page | ${soaked.processes.toFixed(2)}, ${soaked.page.toFixed(2)} | 1.10 |`,
    `| the page's plan at the end is the session's | ${soaked.same ? "yes" : "no"} | yes |`,
    "",
  ].join("\n");
  await writeResult("explorer.json", JSON.stringify({ sliderMilliseconds, overhead, previews, soaked }));
  await writeResult("explorer.md", text);
  console.log(text);
}

/** In the page: from the input event to the frame that is drawn after it. */
async function slider(browser: Browser): Promise<number[]> {
  const session = new LiveSession(madeUpWorker(), { model: "made-up", cacheFolder: "" });
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
  return taken;
}

/** The same two runs in turn: shown on the page, and without anybody looking. */
async function watching(
  browser: Browser,
  cacheFolder: string,
  pairs: number,
): Promise<{ overhead: number[]; previews: number[] }> {
  const pipeline = await loadPipeline(MODEL);
  const session = new LiveSession(localWorker(pipeline), { model: MODEL, cacheFolder });
  await until(session, ({ measured }) => measured !== undefined);
  session.do({ command: "follow", on: false });
  const server = await serveExplorer(session);
  const page = await opened(browser, server.url);
  const overhead: number[] = [];
  for (let pair = -1; pair < pairs; pair++) {
    const { settings } = session.document;
    const { schedule } = session;
    if (settings === undefined || schedule === undefined) throw new TypeError("not measured");
    const seed = 1000 + pair;
    const turns: Record<"shown" | "alone", () => Promise<number>> = {
      async shown() {
        session.do({ command: "settings", values: { seed } });
        const started = performance.now();
        session.do({ command: "sample" });
        await until(session, ({ comparison }) => comparison?.state === "finished");
        return performance.now() - started;
      },
      async alone() {
        const options = sampleOptions({ ...settings, seed });
        const run = async (hooks: SampleOptions["hooks"]): Promise<void> => {
          let latents;
          for await (const step of sample(pipeline, { ...options, hooks })) latents = step.latents;
          if (latents !== undefined) await decodeImages(pipeline, latents);
        };
        const started = performance.now();
        await run([cachedRun(schedule)]);
        await run([]);
        return performance.now() - started;
      },
    };
    const names = (["shown", "alone"] as const).toSorted(() => Math.random() - 0.5);
    const taken = { shown: 0, alone: 0 };
    for (const name of names) taken[name] = await turns[name]();
    if (pair >= 0) overhead.push(taken.shown / taken.alone);
  }
  // The plain run is kept from now on: a change waits for the cached one alone.
  session.do({ command: "follow", on: true });
  const text = session.measurementsText(session.document.measured ?? "");
  const evaluation = evaluationSeconds(measurementsFromJson(text ?? "").costs);
  const previews: number[] = [];
  for (let change = 0; change < 2 * pairs; change++) {
    await until(session, ({ comparison }) => comparison?.state === "computing" && comparison.lit.length > 2);
    const started = performance.now();
    session.do({ command: "edit", edit: { kind: "set", values: { options: { delta: 0.1 + 0.01 * change } } } });
    await until(session, ({ comparison }) => comparison?.state === "computing" && comparison.cached.step === 1);
    previews.push((performance.now() - started) / 1000 / evaluation);
  }
  await page.close();
  await server.close();
  await session.close();
  await pipeline.dispose();
  return { overhead, previews };
}

interface Soaked {
  readonly minutes: number;
  readonly edits: number;
  readonly processes: number;
  readonly page: number;
  readonly same: boolean;
}

/** Random edits in the page, one after another. */
async function soak(browser: Browser, cacheFolder: string, minutes: number): Promise<Soaked> {
  const worker = childWorker(MODEL);
  const session = new LiveSession(worker, { model: MODEL, cacheFolder });
  await until(session, ({ measured }) => measured !== undefined);
  const server = await serveExplorer(session);
  const page = await opened(browser, server.url);
  const devtools = await page.context().newCDPSession(page);
  const resident = (pid: number | undefined): number =>
    Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid ?? "self"}/status`, "utf8"))?.[1]);
  const heap = async (): Promise<number> => {
    await devtools.send("HeapProfiler.collectGarbage");
    return ((await page.evaluate("performance.memory.usedJSHeapSize")) as number) / 1024;
  };
  const measure = async (): Promise<{ processes: number; page: number }> => ({
    processes: resident(undefined) + resident(worker.processId()),
    page: await heap(),
  });
  const end = performance.now() + 60_000 * minutes;
  const early = performance.now() + 6_000 * minutes;
  let before: Awaited<ReturnType<typeof measure>> | undefined;
  let edits = 0;
  for (; performance.now() < end; edits++) {
    if (before === undefined && performance.now() > early) before = await measure();
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
    else await page.getByLabel("Seed").fill(String(Math.floor(100 * Math.random())));
    await page.waitForTimeout(300 * Math.random());
  }
  const after = await measure();
  before ??= after;
  await page.waitForTimeout(1000);
  const shown = await page.locator(".predicted .speedup").first().innerText();
  const fresh = await opened(browser, server.url);
  const same = shown === (await fresh.locator(".predicted .speedup").first().innerText());
  await server.close();
  await session.close();
  return { minutes, edits, processes: after.processes / before.processes, page: after.page / before.page, same };
}

async function opened(browser: Browser, url: string): Promise<Page> {
  const page = await browser.newPage({ viewport: { width: 1440, height: 900 } });
  await page.goto(url);
  await page.waitForSelector(".gridframe canvas");
  return page;
}

function until(session: LiveSession, isSo: (document: LiveDocument) => boolean): Promise<void> {
  return new Promise((resolve) => {
    const check = (): void => {
      if (!isSo(session.document)) return;
      stop();
      resolve();
    };
    const stop = session.subscribe(check);
    check();
  });
}

/** Measurements of a large network, without one. */
function madeUpWorker(): LiveWorker {
  const blocks = Array.from({ length: BLOCKS }, (_, index) => ({
    id: `down_blocks.${index % 4}.attentions.${Math.floor(index / 4)}`,
    kind: "transformer" as const,
    resolution: [32, 32] as const,
  }));
  const curve = (block: number): Float64Array =>
    Float64Array.from({ length: EVALUATIONS }, (_, step) => (step === 0 ? 0 : 0.05 + 0.2 / (1 + step) + 0.001 * block));
  const setting = { fingerprint: "sha256:0", name: "made up" };
  const profile: Profile = {
    setting: {
      model: setting,
      solver: "ddim",
      solver_config: {},
      num_inference_steps: EVALUATIONS,
      timesteps: Array.from({ length: EVALUATIONS }, (_, step) => 999 - 20 * step),
      guidance_scale: 5,
      negative_prompt: "",
      latent_size: [64, 64],
    },
    device: "cpu",
    precision: "float32",
    library_version: "0",
    trajectories: [{ prompt: "a", seed: 0 }],
    blocks,
    values: { change: Object.fromEntries(blocks.map(({ id }, block) => [id, curve(block)])) },
  };
  const seconds = (value: number): Record<string, Float64Array> =>
    Object.fromEntries(blocks.map(({ id }) => [id, Float64Array.of(value)]));
  const costs = {
    setting: { fingerprint: "sha256:0", device: "cpu", rows: 2, latent_size: [64, 64] as const },
    compute: seconds(0.01),
    keep: seconds(0.01),
    reuse: seconds(0.001),
    reuse2: seconds(0.001),
    reuse3: seconds(0.001),
    rest: Float64Array.of(0.01),
    text: Float64Array.of(0),
    network: blocks.map(({ id }, index) => {
      const reads = [blocks[index - 1]?.id ?? "sample"];
      return { id, reads, merge_reads: reads, bytes_per_row: 1000 };
    }),
  };
  const model: ModelDescription = {
    name: "made up",
    fingerprint: "sha256:0",
    device: "cpu",
    precision: "float32",
    blocks: blocks.map((block) => ({
      ...block,
      shape: [320, 32, 32],
      channels: 320,
      bytes: 1000,
      parameters: 1,
      sharedParameters: 0,
      multiplyAdds: 1,
      cacheable: true,
    })),
    solvers: ["ddim"],
    settings: {
      prompt: "a",
      negativePrompt: "",
      seed: 0,
      solver: "ddim",
      schedulerConfig: {},
      steps: EVALUATIONS,
      guidanceScale: 5,
      height: 512,
      width: 512,
    },
    pixelsOfLatent: 8,
  };
  return {
    run: async (kind: string) => (kind === "describe" ? model : { profile, costs }),
    watch: (listener) => listener({ state: "ready" }),
    close: async () => undefined,
  };
}

await main();
