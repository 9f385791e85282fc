/** Distribution with a real Redis and real workers; one is killed in the middle of a job. */
import { spawn, spawnSync } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Redis } from "ioredis";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { defineReuseRule } from "../../src/caching/run/reuseRule.js";
import type { Schedule } from "../../src/caching/schedule/schedule.js";
import { loadPipeline } from "../../src/diffusion/pipeline.js";
import type { Pipeline } from "../../src/diffusion/pipeline.js";
import { planSampling } from "../../src/diffusion/samplingPlan.js";
import { InterruptedError } from "../../src/errors.js";
import { profileChange } from "../../src/instrument/profile/profileChange.js";
import { loadProfile } from "../../src/instrument/profile/profileFile.js";
import { createJob } from "../../src/jobs/job.js";
import type { JobRunner } from "../../src/jobs/job.js";
import { redisRunner } from "../../src/jobs/redisRunner.js";
import type { StudyResult } from "../../src/study/result.js";
import { runStudy } from "../../src/study/runStudy.js";
import { freePort } from "../freePort.js";

const hasRedis = spawnSync("redis-server", ["--version"]).status === 0;
if (!hasRedis) console.log("skipped: redis-server is not installed (Debian: apt install redis-server)");

const root = mkdtempSync(join(tmpdir(), "blockcache-redis-"));
const workers: ChildProcess[] = [];
let server: ChildProcess;
let url: string;
let pipeline: Pipeline;

const said = new Map<ChildProcess, string>();

/** A worker process; resolves with it when its standard error says `line`. */
function startWorker(line: RegExp, ...options: string[]): Promise<ChildProcess> {
  const worker = spawn(
    process.execPath,
    [join("dist", "cli", "main.js"), "worker", "--redis", url, "--lost-after", "4", ...options],
    { stdio: ["ignore", "ignore", "pipe"] },
  );
  workers.push(worker);
  return new Promise((resolve, reject) => {
    worker.stderr.on("data", (chunk: Buffer) => {
      said.set(worker, `${said.get(worker) ?? ""}${chunk.toString()}`);
      if (line.test(said.get(worker) ?? "")) resolve(worker);
    });
    worker.on("exit", () => reject(new Error(`the worker ended: ${said.get(worker)}`)));
  });
}

/** Hands jobs to Redis, and counts how often each gave a result. */
async function countingRunner(counts: Map<string, number>): Promise<JobRunner> {
  const runner = redisRunner({
    url,
    model: { path: pipeline.folder.path, name: pipeline.name, fingerprint: await pipeline.fingerprint() },
  });
  return (work) =>
    runner({
      ...work,
      onResult: (job, result) => {
        counts.set(job.id, (counts.get(job.id) ?? 0) + 1);
        return work.onResult(job, result);
      },
    });
}

const timeless = (study: StudyResult): unknown => ({
  ...study,
  results: study.results.map(({ seconds: _, plainSeconds: __, ...rest }) => rest),
});

describe.skipIf(!hasRedis)("jobs over Redis", () => {
  const trajectories = {
    prompts: ["red apple", "blue book", "tree"],
    seeds: [0],
    solver: "ddim" as const,
    steps: 3,
    batch: 1,
  };
  const study = {
    ...trajectories,
    convergedSteps: 6,
    arms: [2, 4].map((steps) => ({ name: `plain ${steps}`, solver: "ddim" as const, steps })),
  };

  beforeAll(async () => {
    const port = await freePort();
    url = `redis://127.0.0.1:${port}`;
    server = spawn("redis-server", ["--port", String(port), "--bind", "127.0.0.1", "--save", "", "--dir", root], {
      stdio: ["ignore", "pipe", "ignore"],
    });
    await new Promise<void>((resolve) =>
      server.stdout?.on("data", (chunk: Buffer) => chunk.includes("Ready to accept connections") && resolve()),
    );
    pipeline = await loadPipeline(join("test", "fixtures", "models", "sd1-like"));
  }, 60_000);
  afterAll(async () => {
    for (const worker of workers) worker.kill("SIGKILL");
    server.kill("SIGKILL");
    await pipeline.dispose();
    rmSync(root, { recursive: true, force: true });
  });

  it("give what a local run gives, each once, though a worker is killed and the coordinator interrupted", async () => {
    const local = await runStudy(pipeline, { ...study, folder: join(root, "local") });
    const folder = join(root, "distributed");
    const counts = new Map<string, number>();
    const controller = new AbortController();
    const killed = startWorker(/job \w+ begun/).then((worker) => (worker.kill("SIGKILL"), worker));
    const survivor = startWorker(/waiting for jobs/);
    const runner = await countingRunner(counts);
    const interrupted = runStudy(pipeline, {
      ...study,
      folder,
      runner,
      signal: controller.signal,
      onProgress: () => void (counts.size >= 5 && controller.abort()),
    });
    await expect(interrupted).rejects.toBeInstanceOf(InterruptedError);
    const lost = /job (\w+) begun/.exec(said.get(await killed) ?? "")?.[1];
    expect(said.get(await killed)).not.toContain("done");
    expect(timeless(await runStudy(pipeline, { ...study, folder, runner }))).toEqual(timeless(local));
    expect(said.get(await survivor)).toContain(`job ${lost} done`);
    // 3 batches × (reference + 3 arms)
    expect(counts.size).toBe(12);
    expect([...counts.values()].every((count) => count === 1)).toBe(true);
    expect(readdirSync(join(folder, "jobs")).sort()).toEqual([...counts.keys()].map((id) => `${id}.json`).sort());

    const counted = new Map<string, number>();
    const profile = await profileChange(pipeline, { ...trajectories, runner: await countingRunner(counted) });
    expect(profile).toEqual(await profileChange(pipeline, trajectories));
    expect([...counted.values()]).toEqual([1, 1, 1]);

    const redis = new Redis(url);
    expect((await redis.keys("bull:blockcache-*")).filter((key) => /:[0-9a-f]{32}/.test(key))).toEqual([]);
    await redis.quit();
  }, 120_000);

  it("know a user's reuse rule where the worker was told of it, and say how where it was not", async () => {
    const { solver } = planSampling(pipeline, { prompt: "", solver: "ddim", steps: 3 });
    const schedule: Schedule = {
      format: "blockcache-schedule",
      version: 1,
      model: { fingerprint: await pipeline.fingerprint(), name: pipeline.name },
      solver: "ddim",
      num_inference_steps: 3,
      timesteps: solver.timesteps,
      guidance_scale: 5,
      heuristic: { name: "by hand" },
      blocks: { "mid_block.attentions.0": [0] },
    };
    const module = join(root, "half.mjs");
    writeFileSync(module, "export const history = 1;\nexport default () => [0.5];\n");
    defineReuseRule({ name: "half", history: 1, weights: () => [0.5] });
    const cached = {
      ...study,
      prompts: ["tree"],
      arms: [
        { name: "half", solver: "ddim" as const, steps: 3, cached: { schedule, reuse: "half", kinds: "mid block" } },
      ],
    };
    const local = await runStudy(pipeline, { ...cached, folder: join(root, "half-local") });
    const options = { ...cached, folder: join(root, "half"), runner: await countingRunner(new Map()) };
    await expect(runStudy(pipeline, options)).rejects.toThrow(
      /failed on a worker: reuse: expected hold, .*found "half" — .*--reuse \.\/half\.mjs/,
    );
    for (const worker of workers) worker.kill("SIGKILL");
    // A worker that was started before the module was edited.
    writeFileSync(module, "export default () => [0.25];\n");
    const outdated = await startWorker(/waiting for jobs/, "--reuse", module);
    writeFileSync(module, "export const history = 1;\nexport default () => [0.5];\n");
    await expect(runStudy(pipeline, options)).rejects.toThrow(
      /failed on a worker: arms: "half": expected the study's own reuse rule half, found one that gives other weights/,
    );
    outdated.kill("SIGKILL");
    await startWorker(/waiting for jobs/, "--reuse", module);
    expect(timeless(await runStudy(pipeline, options))).toEqual(timeless(local));
  }, 120_000);

  it("are done by a worker with a model in a single file, and its configs", async () => {
    const [single, config] = [
      join("test", "fixtures", "singleFile", "sd1-like.safetensors"),
      join("test", "fixtures", "models", "sd1-like"),
    ];
    const ofFile = await loadPipeline(single, { config });
    const job = [
      "profile",
      single,
      "--config",
      config,
      "--prompts",
      join(root, "prompts.txt"),
      "--steps",
      "2",
      "--solver",
      "ddim",
      "--redis",
      url,
      "--out",
      join(root, "single.safetensors"),
    ];
    writeFileSync(join(root, "prompts.txt"), "tree\n");
    const coordinator = spawn(process.execPath, [join("dist", "cli", "main.js"), ...job], {
      stdio: ["ignore", "ignore", "pipe"],
    });
    let errors = "";
    coordinator.stderr.on("data", (chunk: Buffer) => (errors += chunk.toString()));
    const [code] = (await once(coordinator, "exit")) as [number];
    expect({ code, errors }).toEqual({ code: 0, errors: expect.not.stringMatching(/blockcache:/) });
    const { values } = await profileChange(ofFile, { prompts: ["tree"], seeds: [0], solver: "ddim", steps: 2 });
    expect((await loadProfile(join(root, "single.safetensors"))).values).toEqual(values);
    await ofFile.dispose();
  }, 120_000);

  it("that fail say why, and leave the queue empty", async () => {
    const runner = redisRunner({
      url,
      model: { path: pipeline.folder.path, name: pipeline.name, fingerprint: await pipeline.fingerprint() },
    });
    const fail = (): Promise<void> =>
      runner({ jobs: [createJob({ kind: "nonsense" })], run: async () => undefined, onResult: async () => undefined });
    await expect(fail()).rejects.toThrow(
      /failed on a worker: job: expected kind profile, converged, arm or pictures, found "nonsense"/,
    );
    // a failed job is tried anew, not remembered
    await expect(fail()).rejects.toThrow(/failed on a worker/);
  });

  it("say how to start Redis where none answers", async () => {
    const runner = redisRunner({ url: "redis://127.0.0.1:1", model: { path: "", name: "", fingerprint: "" } });
    await expect(
      runner({ jobs: [createJob({})], run: async () => undefined, onResult: async () => undefined }),
    ).rejects.toThrow(/redis:\/\/127\.0\.0\.1:1 does not answer \(.*\) — start one with `redis-server`/);
  });
});
