/** Table 1 on a tiny random model: what is kept, what is compared, how it goes on. */
import { existsSync, mkdtempSync, readdirSync, renameSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { saveAdjustment } from "../../src/caching/adjustment/adjustmentFile.js";
import { fitAdjustment } from "../../src/caching/adjustment/fitAdjustment.js";
import { cachedRun } from "../../src/caching/run/cachedRun.js";
import { regularSchedule } from "../../src/caching/schedule/regularSchedule.js";
import { loadPipeline } from "../../src/diffusion/pipeline.js";
import type { Pipeline } from "../../src/diffusion/pipeline.js";
import { generate } from "../../src/diffusion/sample.js";
import type { JobRunner } from "../../src/jobs/job.js";
import { decodeData, encodeData } from "../../src/jobs/plainData.js";
import { loadFeatures } from "../../src/quality/features/featureFile.js";
import { readPicture } from "../../src/quality/pictures/readPictures.js";
import { frechetDistance } from "../../src/quality/sets/frechet.js";
import { adjustmentReference, openAdjustment } from "../../src/study/armAdjustment.js";
import { runAnyJob } from "../../src/study/anyJob.js";
import type { AnyJob } from "../../src/study/anyJob.js";
import {
  PAPER_TABLE_1,
  evaluate,
  evaluationCsv,
  evaluationTable,
  loadEvaluation,
  paperRowOf,
} from "../../src/study/evaluation/index.js";
import type { EvaluateOptions, Evaluation } from "../../src/study/evaluation/index.js";
import type { Arm } from "../../src/study/result.js";

const folder = mkdtempSync(join(tmpdir(), "blockcache-evaluation-"));
const sampling = { solver: "ddim" as const, schedulerConfig: { timestep_spacing: "trailing" } };
let pipeline: Pipeline;
let settings: Arm[];
let options: EvaluateOptions;
let evaluation: Evaluation;

beforeAll(async () => {
  pipeline = await loadPipeline(join("test", "fixtures", "models", "sd2-like"));
  const schedule = await regularSchedule(pipeline, { ...sampling, steps: 6, interval: 2, kinds: ["transformer"] });
  const file = join(folder, "adjustment.safetensors");
  await saveAdjustment(file, await fitAdjustment(pipeline, schedule, { prompts: ["rocket", "cake"], seeds: [0] }));
  const adjustment = await adjustmentReference(file);
  const cached = { schedule, reuse: "hold", kinds: "transformers" };
  settings = [
    { name: "plain-6", solver: "ddim", steps: 6 },
    { name: "plain-3", solver: "ddim", steps: 3 },
    { name: "cached-6", solver: "ddim", steps: 6, cached },
    { name: "adjusted-6", solver: "ddim", steps: 6, cached: { ...cached, adjustment } },
  ];
  options = {
    settings,
    prompts: ["red apple", "blue book", "a cat"],
    seeds: [0, 1],
    schedulerConfig: sampling.schedulerConfig,
    batch: 2,
    folder: join(folder, "first"),
    metrics: ["frechet", "clip-score", "latent", "psnr", "ssim"],
  };
  evaluation = await evaluate(pipeline, options);
}, 120_000);
afterAll(async () => {
  await pipeline.dispose();
  rmSync(folder, { recursive: true });
});

test("the pictures are those of generate, in the order of prompts and seeds", async () => {
  expect(readdirSync(join(options.folder, "plain-3")).length).toBe(6);
  const { images } = await generate(pipeline, {
    ...sampling,
    steps: 3,
    prompt: ["blue book", "blue book"],
    seed: [0, 1],
  });
  expect(await readPicture(join(options.folder, "plain-3", "00002.png"))).toEqual(images[0]);
  expect(await readPicture(join(options.folder, "plain-3", "00003.png"))).toEqual(images[1]);
});

test("each setting has its speed, its multiply-adds and every metric, with differences to the baseline", async () => {
  const [plain, fewer, cached] = evaluation.settings;
  expect(plain.multiply_adds).toBe(2 * fewer.multiply_adds);
  expect(cached.multiply_adds).toBeGreaterThan(fewer.multiply_adds);
  expect(cached.multiply_adds).toBeLessThan(plain.multiply_adds);
  expect(plain.speedup).toEqual({ value: 1, low: 1, high: 1 });
  for (const { images_per_second: speed } of evaluation.settings) expect(speed.value).toBeGreaterThan(0);
  expect(Object.keys(plain.metrics)).toEqual(["frechet", "clip-score"]);
  expect(Object.keys(cached.metrics)).toEqual(["frechet", "clip-score", "latent", "psnr", "ssim"]);
  expect(plain.metrics.frechet.difference).toBeUndefined();
  const { value = NaN } = cached.metrics.frechet.difference ?? {};
  expect(value).toBeCloseTo(cached.metrics.frechet.value - plain.metrics.frechet.value, 10);
  expect(cached.metrics.latent.value).toBeGreaterThan(0);
  expect(await loadEvaluation(options.folder)).toEqual(evaluation);
});

test("the table and the CSV hold them all", () => {
  const [head, ...rows] = evaluationTable(evaluation);
  expect(head).toMatch(/setting +solver +steps +caching +scale-shift +Fréchet distance ↓ +− plain-6's +CLIP score ↑/);
  expect(rows[2]).toMatch(/^cached-6 +ddim +6 +✓ regular, hold {2}/);
  expect(rows[3]).toMatch(/^adjusted-6 +ddim +6 +✓ regular, hold +✓/);
  const lines = evaluationCsv(evaluation).trim().split("\n");
  expect(lines.length).toBe(5);
  expect(new Set(lines.map((line) => line.split(",").length)).size).toBe(1);
});

test("goes on: pictures that are there stay, a lost one is made again, more settings and metrics are added", async () => {
  const kept = join(options.folder, "plain-6", "00005.png");
  const before = statSync(kept).mtimeMs;
  rmSync(join(options.folder, "plain-6", "00000.png"));
  const reference = join(options.folder, "features", "plain-6.safetensors");
  const more: Arm = { name: "plain-2", solver: "ddim", steps: 2 };
  const again = await evaluate(pipeline, {
    ...options,
    settings: [...settings, more],
    metrics: ["frechet", "kid", "cmmd"],
    reference,
  });
  expect(statSync(kept).mtimeMs).toBe(before);
  expect(existsSync(join(options.folder, "plain-6", "00000.png"))).toBe(true);
  expect(again.settings.length).toBe(5);
  // Against its own features a set is at no distance, and another is where the features say.
  expect(again.settings[0].metrics.frechet.value).toBeCloseTo(0, 6);
  const [own, others] = await Promise.all([
    loadFeatures(join(options.folder, "features", "plain-2.safetensors")),
    loadFeatures(reference),
  ]);
  expect(again.settings[4].metrics.frechet.value).toBe(frechetDistance(own, others, { resamples: 0 }).value);
});

test("jobs give the same on a queue, as text in between; an abort stops, and what was made stays", async () => {
  const throughText: JobRunner = async ({ jobs, onResult }) => {
    for (const job of jobs) {
      const data = decodeData(encodeData(job.data)) as AnyJob;
      await onResult(job, decodeData(encodeData(await runAnyJob(pipeline, data))) as never);
    }
  };
  const other = join(folder, "queue");
  const controller = new AbortController();
  const aborted = evaluate(pipeline, {
    ...options,
    folder: other,
    signal: controller.signal,
    onProgress: (done) => done >= 2 && controller.abort(),
  });
  await expect(aborted).rejects.toThrow(/interrupted/);
  expect(existsSync(join(other, "plain-6", "00001.png"))).toBe(true);
  expect(existsSync(join(other, "evaluation.json"))).toBe(false);
  const queued = await evaluate(pipeline, { ...options, folder: other, runner: throughText });
  const metrics = ({ settings: each }: Evaluation) => each.map((setting) => setting.metrics);
  expect(metrics(queued)).toEqual(metrics(evaluation));
});

test("an adjusted setting's pictures are those of generate with the adjustment; its file may lie elsewhere later", async () => {
  const adjusted = settings[3];
  const { schedule, adjustment: reference } = adjusted.cached!;
  const adjustment = await openAdjustment(reference!);
  const [picture, unadjusted] = await Promise.all(
    ["adjusted-6", "cached-6"].map((name) => readPicture(join(options.folder, name, "00000.png"))),
  );
  expect(picture).not.toEqual(unadjusted);
  const { images } = await generate(pipeline, {
    ...sampling,
    steps: 6,
    prompt: ["red apple", "red apple"],
    seed: [0, 1],
    hooks: [cachedRun(schedule, { adjustment })],
  });
  expect(picture).toEqual(images[0]);

  const moved = join(folder, "moved.safetensors");
  renameSync(reference!.file, moved);
  const madeAt = statSync(join(options.folder, "adjusted-6", "00000.png")).mtimeMs;
  settings[3] = { ...adjusted, cached: { ...adjusted.cached!, adjustment: await adjustmentReference(moved) } };
  await evaluate(pipeline, options);
  expect(statSync(join(options.folder, "adjusted-6", "00000.png")).mtimeMs).toBe(madeAt);
});

test("what does not fit is refused before anything is sampled", async () => {
  const empty = join(folder, "refused");
  const refused = (changes: Partial<EvaluateOptions>) => evaluate(pipeline, { ...options, folder: empty, ...changes });
  const [plain, , cached, adjusted] = settings;
  await expect(refused({ settings: [plain, plain] })).rejects.toThrow(/"plain-6": expected names that differ/);
  await expect(refused({ settings: [{ ...plain, name: "a/b" }] })).rejects.toThrow(/as it names a folder/);
  await expect(refused({ settings: [{ ...cached, steps: 5 }] })).rejects.toThrow(/made for 6 network evaluations/);
  const { schedule, adjustment, ...rest } = adjusted.cached!;
  const withRule = { ...adjusted, cached: { ...rest, schedule, adjustment, reuse: "linear" } };
  await expect(refused({ settings: [withRule] })).rejects.toThrow(
    /settings: "adjusted-6": adjustment: fitted for the reuse rule hold, and this run's is linear/,
  );
  const [id, ...ids] = Object.keys(schedule.blocks);
  const blocks = { [id]: [0], ...Object.fromEntries(ids.map((each) => [each, schedule.blocks[each]])) };
  const withSchedule = { ...adjusted, cached: { ...rest, adjustment, schedule: { ...schedule, blocks } } };
  await expect(refused({ settings: [withSchedule] })).rejects.toThrow(
    /"adjusted-6": adjustment: fitted for another sch/,
  );
  const other = { ...adjustment!, sha256: "0".repeat(64) };
  await expect(
    refused({ settings: [{ ...adjusted, cached: { ...rest, schedule, adjustment: other } }] }),
  ).rejects.toThrow(/expected the adjustment that the settings were given \(sha256 0000.*found another file/);
  await expect(refused({ baseline: "other" })).rejects.toThrow(/baseline: expected one of plain-6, plain-3, cached-6/);
  await expect(refused({ metrics: ["fid"] })).rejects.toThrow(/metric: expected frechet/);
  expect(existsSync(empty)).toBe(false);
  await expect(evaluate(pipeline, { ...options, guidanceScale: 3 })).rejects.toThrow(
    /guidance_scale 5, and this one has 3/,
  );
});

test("the paper's numbers agree with each other: each speed-up is that of its images a second", () => {
  let plain = PAPER_TABLE_1[0];
  for (const row of PAPER_TABLE_1) {
    if (row.speedup === 1) plain = row;
    // Its images a second have two decimals, too.
    const rounding = row.speedup * (0.005 / row.imagesPerSecond + 0.005 / plain.imagesPerSecond) + 0.005;
    expect(Math.abs(row.imagesPerSecond / plain.imagesPerSecond - row.speedup)).toBeLessThan(rounding);
  }
});

test("a setting that is one of the paper's has its row beside it, others have none", () => {
  const { schedule, adjustment, ...rest } = settings[3].cached!;
  const found = { ...rest, schedule: { ...schedule, heuristic: { name: "threshold", delta: 0.1 } } };
  const arm = (solver: Arm["solver"], steps: number, cached?: Arm["cached"]): Arm => ({
    name: "x",
    solver,
    steps,
    cached,
  });
  expect(paperRowOf(arm("dpmsolver++", 14))).toMatchObject({ fid: 18.67, speedup: 1.43 });
  expect(paperRowOf(arm("ddim", 50, { ...found, adjustment }))).toMatchObject({ fid: 15.15, imagesPerSecond: 1.56 });
  const richer = { ...adjustment!, terms: [...adjustment!.terms, "change" as const] };
  expect(paperRowOf(arm("ddim", 50, { ...found, adjustment: richer }))).toBeUndefined();
  expect(paperRowOf(arm("ddim", 20, found))).toMatchObject({ fid: 16.52, scaleShift: false });
  expect(paperRowOf(arm("ddim", 20, settings[3].cached))).toBeUndefined();
  expect(paperRowOf(arm("ddim", 20, { ...found, reuse: "linear" }))).toBeUndefined();
  expect(paperRowOf(arm("ddim", 17))).toBeUndefined();
  expect(evaluationTable(evaluation)[0]).not.toMatch(/paper/);
  const [plain, ...others] = evaluation.settings;
  const twenty = { ...evaluation, settings: [{ ...plain, arm: arm("ddim", 20) }, ...others] };
  expect(evaluationTable(twenty)[1]).toMatch(/\| 17\.43 +2\.17 +1\.00$/);
  expect(evaluationTable(twenty).at(-1)).toMatch(/paper's: Wimbauer et al\. 2024, Table 1: LDM-512/);
});
