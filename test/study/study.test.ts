/** A study on a tiny folder: what it measures, interrupted and resumed, refused. */
import { cpSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { cachedRun } from "../../src/caching/run/cachedRun.js";
import { measureCosts } from "../../src/caching/costs/costs.js";
import type { Schedule } from "../../src/caching/schedule/schedule.js";
import { loadPipeline } from "../../src/diffusion/pipeline.js";
import type { Pipeline } from "../../src/diffusion/pipeline.js";
import { generate } from "../../src/diffusion/sample.js";
import { planSampling } from "../../src/diffusion/samplingPlan.js";
import { InterruptedError } from "../../src/errors.js";
import { runLocally } from "../../src/jobs/job.js";
import type { JobRunner } from "../../src/jobs/job.js";
import { openSafetensors } from "../../src/files/safetensors.js";
import { psnr, relativeDistances } from "../../src/quality/distance.js";
import { ssim } from "../../src/quality/ssim.js";
import type { Arm, StudyResult } from "../../src/study/result.js";
import { loadStudy } from "../../src/study/resultFile.js";
import { runStudy } from "../../src/study/runStudy.js";
import type { StudyOptions } from "../../src/study/runStudy.js";
import { VERSION } from "../../src/version.js";

const root = mkdtempSync(join(tmpdir(), "blockcache-study-"));
const base = {
  prompts: ["red apple", "blue book", "tree"],
  seeds: [0],
  steps: 4,
  convergedSteps: 7,
  solver: "ddim" as const,
  schedulerConfig: { timestep_spacing: "trailing" },
  batch: 2,
};
let pipeline: Pipeline;
let options: Omit<StudyOptions, "folder">;
let whole: StudyResult;

/** Without what depends on the clock. */
const timeless = (study: StudyResult): unknown => ({
  ...study,
  results: study.results.map(({ seconds: _, plainSeconds: __, ...rest }) => rest),
});

beforeAll(async () => {
  pipeline = await loadPipeline(join("test", "fixtures", "models", "sd1-like"));
  const { solver } = planSampling(pipeline, {
    prompt: "",
    solver: "ddim",
    steps: 4,
    schedulerConfig: { timestep_spacing: "trailing" },
  });
  const transformers = pipeline.network.blocks.filter(({ kind }) => kind === "transformer").map(({ id }) => id);
  const scheduleOf = (computing: number[]): Schedule => ({
    format: "blockcache-schedule",
    version: 1,
    model: { fingerprint: "", name: pipeline.name },
    solver: "ddim",
    num_inference_steps: 4,
    timesteps: solver.timesteps,
    guidance_scale: 5,
    heuristic: { name: "by hand" },
    blocks: Object.fromEntries(transformers.map((id) => [id, computing])),
  });
  const fingerprint = await pipeline.fingerprint();
  const cached = (name: string, computing: number[], reuse: string): Arm => ({
    name,
    solver: "ddim",
    steps: 4,
    cached: {
      schedule: { ...scheduleOf(computing), model: { fingerprint, name: pipeline.name } },
      reuse,
      kinds: "transformers",
    },
  });
  options = {
    ...base,
    arms: [
      { name: "plain 2", solver: "ddim", steps: 2 },
      cached("everywhere", [0, 1, 2, 3], "hold"),
      cached("every 2", [0, 2], "linear"),
    ],
  };
  whole = await runStudy(pipeline, { ...options, folder: join(root, "whole"), repeats: 2 });
}, 120_000);
afterAll(async () => {
  await pipeline.dispose();
  rmSync(root, { recursive: true, force: true });
});

describe("a study", () => {
  it("has of each arm and trajectory what sampling it alone gives", async () => {
    expect(whole.results.map(({ arm }) => arm.name)).toEqual(["plain 4", "plain 2", "everywhere", "every 2"]);
    expect(whole.trajectories).toEqual(base.prompts.map((prompt) => ({ prompt, seed: 0 })));
    for (const [row, { prompt }] of whole.trajectories.entries()) {
      const alone = (steps: number, schedule?: Schedule) =>
        generate(pipeline, {
          prompt,
          seed: [0],
          solver: "ddim",
          steps,
          schedulerConfig: { timestep_spacing: "trailing" },
          hooks: schedule ? [cachedRun(schedule)] : [],
        });
      const [converged, plain, fewer] = [await alone(7), await alone(4), await alone(2)];
      expect(whole.results[0].toConverged.latent[row]).toBeCloseTo(
        relativeDistances(plain.latents, converged.latents)[0],
        5,
      );
      expect(whole.results[1].toConverged.latent[row]).toBeCloseTo(
        relativeDistances(fewer.latents, converged.latents)[0],
        5,
      );
      expect(whole.results[1].toConverged.psnr[row]).toBeCloseTo(psnr(fewer.images[0], converged.images[0]), 1);
      expect(whole.results[1].toConverged.ssim[row]).toBeCloseTo(ssim(fewer.images[0], converged.images[0]), 2);
    }
    expect(whole.results[2].toPlain).toEqual({
      latent: [0, 0, 0],
      psnr: [Infinity, Infinity, Infinity],
      ssim: [1, 1, 1],
    });
    expect(whole.results[2].toConverged).toEqual(whole.results[0].toConverged);
    expect(whole.results.map(({ computedShare }) => computedShare)).toEqual([1, 1, 1, 0.5]);
    expect(whole.results[3].toPlain?.latent.every((distance) => distance > 0 && Number.isFinite(distance))).toBe(true);
  });

  it("times each arm in turn with the plain run: an entry a batch and repeat", () => {
    for (const { seconds, plainSeconds } of whole.results)
      expect([seconds.length, plainSeconds?.length]).toEqual([4, 4]);
    expect(whole.results[0].seconds).toEqual(whole.results[0].plainSeconds);
  });

  it("keeps the reference's latents and its result", async () => {
    expect(await loadStudy(join(root, "whole"))).toEqual(whole);
    const file = await openSafetensors(join(root, "whole", "converged.safetensors"));
    expect(file.tensors.get("latents")?.dims[0]).toBe(3);
    expect(JSON.parse(file.metadata.trajectories)).toEqual(whole.trajectories);
    await file.close();
  });

  it("resumes to the same values wherever it was interrupted, and runs no job twice", async () => {
    let runs = 0;
    const counting: JobRunner = ({ run, ...work }) => runLocally({ ...work, run: (data) => (runs++, run(data)) });
    // 2 batches × (reference + 4 arms): interrupted between jobs and inside of one, again and again
    const folder = join(root, "interrupted");
    let rounds = 0;
    for (;;) {
      const controller = new AbortController();
      rounds++;
      const limit = runs + (rounds % 3);
      const runner: JobRunner = ({ run, ...work }) =>
        counting({
          ...work,
          run: (data) => {
            if (runs >= limit) queueMicrotask(() => controller.abort());
            return run(data);
          },
        });
      const study = await runStudy(pipeline, {
        ...options,
        repeats: 2,
        folder,
        runner,
        signal: controller.signal,
      }).catch((error: unknown) => {
        expect(error).toBeInstanceOf(InterruptedError);
        expect(() => readFileSync(join(folder, "study.json"))).toThrow();
        return undefined;
      });
      if (study === undefined) continue;
      expect(timeless(study)).toEqual(timeless(whole));
      break;
    }
    expect(rounds).toBeGreaterThan(3);
    expect(readdirSync(join(folder, "jobs")).length).toBe(10);
    expect(readdirSync(join(folder, "jobs")).every((name) => name.endsWith(".json"))).toBe(true);
    const before = runs;
    await runStudy(pipeline, { ...options, repeats: 2, folder, runner: counting });
    expect(runs).toBe(before);
  });

  it("refuses a folder of another setting, and a result that is damaged or of another job", async () => {
    const folder = join(root, "refused");
    cpSync(join(root, "whole"), folder, { recursive: true });
    await expect(runStudy(pipeline, { ...options, repeats: 2, folder, guidanceScale: 3 })).rejects.toThrow(
      /setting\.json: holds a study with guidance_scale 5, and this one has 3/,
    );
    const [first, second] = readdirSync(join(folder, "jobs")).map((name) => join(folder, "jobs", name));
    const text = readFileSync(first, "utf8");
    const refused = (content: string, message: RegExp) => {
      writeFileSync(first, content);
      return expect(runStudy(pipeline, { ...options, repeats: 2, folder })).rejects.toThrow(message);
    };
    await refused(text.slice(0, -20), /expected a job's result.*delete the file, and its job runs again/);
    await refused(readFileSync(second, "utf8"), /id: expected .* as in the file's name/);
    await refused(text.replace(/"result":.*/, '"result":{"toConverged":3}}'), /result/);
    writeFileSync(first, text);
    expect(timeless(await runStudy(pipeline, { ...options, repeats: 2, folder }))).toEqual(timeless(whole));
    const result = JSON.parse(readFileSync(join(folder, "study.json"), "utf8")) as StudyResult;
    writeFileSync(
      join(folder, "study.json"),
      JSON.stringify({ ...result, trajectories: result.trajectories.slice(1) }),
    );
    await expect(loadStudy(folder)).rejects.toThrow(
      /results\.0\.toConverged\.latent: expected 2, one a trajectory, found 3 values/,
    );
  });

  it("counts network evaluations, and samples every arm with the changes to the scheduler config", async () => {
    const seen: [number, number][] = [];
    const sampling = {
      solver: "heun" as const,
      schedulerConfig: { timestep_spacing: "trailing", use_karras_sigmas: true },
    };
    const study = await runStudy(pipeline, {
      prompts: ["red apple"],
      seeds: [0],
      solver: "heun",
      schedulerConfig: sampling.schedulerConfig,
      steps: 3,
      convergedSteps: 5,
      arms: [{ name: "plain 2", solver: "heun", steps: 2 }],
      folder: join(root, "heun"),
      onProgress: (done, total) => void seen.push([done, total]),
    });
    // Heun has 2 n − 1 evaluations: 9 of the reference, 5 of plain 3, and 5 + 3 of plain 2 beside it.
    expect(seen).toEqual([
      [0, 22],
      [9, 22],
      [9, 22],
      [14, 22],
      [22, 22],
    ]);
    const [converged, plain] = await Promise.all(
      [5, 3].map((steps) => generate(pipeline, { prompt: "red apple", seed: [0], steps, ...sampling })),
    );
    expect(study.results[0].toConverged.latent[0]).toBeCloseTo(
      relativeDistances(plain.latents, converged.latents)[0],
      5,
    );
    expect(JSON.parse(readFileSync(join(root, "heun", "setting.json"), "utf8"))).toMatchObject({
      scheduler_config: { use_karras_sigmas: true },
      library_version: VERSION,
    });
  });

  it("takes a configuration for one however it is said, and no folder of another version", async () => {
    const folder = join(root, "said");
    cpSync(join(root, "whole"), folder, { recursive: true });
    const { solver } = planSampling(pipeline, {
      prompt: "",
      solver: "ddim",
      steps: 4,
      schedulerConfig: { timestep_spacing: "trailing" },
    });
    expect(
      timeless(await runStudy(pipeline, { ...options, repeats: 2, folder, schedulerConfig: solver.config })),
    ).toEqual(timeless(whole));
    const path = join(folder, "setting.json");
    const { library_version: version, ...older } = JSON.parse(readFileSync(path, "utf8")) as Record<string, unknown>;
    writeFileSync(path, JSON.stringify({ ...older, library_version: "0.0.1" }));
    await expect(runStudy(pipeline, { ...options, repeats: 2, folder })).rejects.toThrow(
      `holds a study with library_version "0.0.1", and this one has "${String(version)}"`,
    );
  });

  it("knows before it samples that its folder cannot be written", async () => {
    const file = join(root, "a file");
    writeFileSync(file, "");
    const taken = join(root, "taken");
    mkdirSync(join(taken, "study.json"), { recursive: true });
    for (const folder of [file, join(file, "study"), taken, ""]) {
      const onProgress = vi.fn();
      await expect(runStudy(pipeline, { ...options, folder, onProgress })).rejects.toThrow(
        /that can be written, found/,
      );
      expect(onProgress).not.toHaveBeenCalled();
    }
  });

  it("refuses arms that do not fit before it samples anything", async () => {
    const refused = (arms: readonly Arm[], message: RegExp) =>
      expect(runStudy(pipeline, { ...options, arms, folder: join(root, "none") })).rejects.toThrow(message);
    const [plain, everywhere] = options.arms;
    await refused([plain, plain], /"plain 2" twice/);
    await refused([{ ...everywhere, steps: 5 }], /made for 4 network evaluations, and this run has 5/);
    await refused(
      [
        {
          ...everywhere,
          cached: { ...everywhere.cached!, schedule: { ...everywhere.cached!.schedule, timesteps: [1] } },
        },
      ],
      /arms: "everywhere": schedule: blocks\..*: expected evaluations from 0 to 0/,
    );
    await expect(
      runStudy(pipeline, { ...options, solver: "euler-ancestral", folder: join(root, "none") }),
    ).rejects.toThrow(/solver: expected a solver that adds no noise.*found euler-ancestral/);
    await refused(
      [{ ...everywhere, cached: { ...everywhere.cached!, reuse: "lineer" } }],
      /reuse: expected hold, .*found "lineer"/,
    );
    const costs = await measureCosts(pipeline, { samples: 1, latentSize: [8, 16] });
    await expect(runStudy(pipeline, { ...options, costs, folder: join(root, "none") })).rejects.toThrow(
      /costs: expected those of 8×8 latents, found 8×16/,
    );
    await refused(
      [plain, { ...plain, name: "noisy", solver: "sde-dpmsolver++" }],
      /"noisy": expected a solver that adds no noise/,
    );
    await expect(runStudy(pipeline, { ...options, convergedSteps: 4, folder: join(root, "none") })).rejects.toThrow(
      /convergedSteps: expected more than the 4 steps/,
    );
    expect(readdirSync(root)).not.toContain("none");
  });
});
