/** Interrupting a cell stops its work: the kernel's process computes no more, and the kernel goes on. */
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startKernel } from "./kernel.js";
import type { Kernel } from "./kernel.js";

/** Of one core; an idle kernel takes less than a hundredth. */
const IDLE = 0.1;

const folder = mkdtempSync(join(tmpdir(), "blockcache-interrupt-"));
const seesCpuTime = existsSync("/proc/self/stat");
let kernel: Kernel;

describe.skipIf(!seesCpuTime)("an interrupted cell", () => {
  beforeAll(async () => {
    kernel = await startKernel();
    const ran = await kernel.run(
      `import * as blockcache from "blockcache";
      const { computeProbability, distilAdjustment, evaluate, fitAdjustment, generate, live, loadPipeline, measureCosts, measureTransfer, profileChange, refineOnTrajectory, regularSchedule, runStudy, sample, threshold, timeBlocks } = blockcache;
      const pipeline = await loadPipeline("fluent-ldm");
      const folder = ${JSON.stringify(folder)};
      const many = Array.from({ length: 500 }, (_, seed) => seed);
      const prompts = ["cat"];
      const tell = () => console.log("under way");`,
    );
    expect(ran.error).toBeUndefined();
  }, 240_000);
  afterAll(async () => {
    await kernel?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  /** Waits until the process computes no more. What is interrupted here would go on for minutes. */
  async function becomesIdle(): Promise<void> {
    await expect.poll(() => kernel.busy(), { timeout: 50_000, interval: 0 }).toBeLessThan(IDLE);
  }

  it.each([
    ["generate", 'tell(); await generate(pipeline, { prompt: "cat", steps: 900 });'],
    [
      "sample",
      'for await (const step of sample(pipeline, { prompt: "cat", steps: 900 })) { if (step.index === 2) tell(); }',
    ],
    ["live", 'tell(); await live(pipeline, { prompt: "cat", steps: 900 });'],
    ["live beside a cached run", 'tell(); await live(pipeline, { prompt: "cat", steps: 900, delta: 0.2 });'],
    ["measureCosts", "await measureCosts(pipeline, { samples: 5000, onProgress: (done) => done >= 2 && tell() });"],
    [
      "profileChange",
      "await profileChange(pipeline, { prompts, seeds: many, steps: 20, onProgress: (done) => done >= 3 && tell() });",
    ],
    ["timeBlocks", "tell(); await timeBlocks(pipeline, 5000);"],
    [
      "measureTransfer",
      "const [one, two] = [await profileChange(pipeline, { prompts, seeds: [0], steps: 2 }), await profileChange(pipeline, { prompts, seeds: [0], steps: 3 })];\nconst profiles = Object.fromEntries(Array.from({ length: 200 }, (_, index) => [`${index}`, index % 2 ? one : two]));\nawait measureTransfer(pipeline, profiles, (profile) => threshold(profile, { delta: 0.1 }), { onProgress: (done) => done >= 2 && tell() });",
    ],
    [
      "a calculation of the library's",
      "const measured = await profileChange(pipeline, { prompts, seeds: [0, 1], steps: 3 });\ntell();\ncomputeProbability(measured, (profile) => threshold(profile, { delta: 0.1 }), { resamples: 10_000_000 });",
    ],
    [
      "what it did not await",
      'void generate(pipeline, { prompt: "cat", steps: 900 }).finally(() => undefined);\ntell();\nawait new Promise(() => undefined);',
    ],
    ["a loop of its own", "let i = 0;\nfor (;;) { if (i++ === 1000) tell(); }"],
    ["a loop of its own after an await", "await null;\nlet i = 0;\nwhile (true) { if (i++ === 1000) tell(); }"],
    [
      "a loop that awaits",
      "for (let i = 0; ; i++) { if (i === 1000) tell(); await null; await new Promise(setImmediate); }",
    ],
  ])(
    "%s",
    async (_, code) => {
      const ran = await kernel.run(code, { interruptAt: "under way" });
      expect(ran.status).toBe("error");
      expect(ran.error?.ename).toBe("InterruptedError");
      await becomesIdle();
      const { stdout } = await kernel.run(
        'let steps = 0;\nfor await (const _ of sample(pipeline, { prompt: "cat", steps: 2 })) steps++;\nconsole.log(steps);',
      );
      expect(stdout).toBe("2\n");
    },
    120_000,
  );

  /** Of calls that keep what they do: what the cell is, the file, and what says that some of the work is in it. */
  it.each([
    [
      "fitAdjustment",
      "const long = await regularSchedule(pipeline, { steps: 400, interval: 2, kinds: ['transformer'] });",
      "await fitAdjustment(pipeline, long, { prompts, file, onProgress: (done) => done >= 3 && tell() });",
    ],
    [
      "distilAdjustment",
      "const short = await regularSchedule(pipeline, { steps: 3, interval: 2, kinds: ['transformer'] });\nconst start = await fitAdjustment(pipeline, short, { prompts });",
      "await distilAdjustment(pipeline, short, start, { prompts, iterations: 900, file, onProgress: (done) => done >= 1 && tell() });",
    ],
    [
      "refineOnTrajectory",
      "const first = await regularSchedule(pipeline, { steps: 6, interval: 3, kinds: ['transformer'] });\nconst costs = await measureCosts(pipeline, { samples: 1 });",
      "await refineOnTrajectory(pipeline, first, { costs, speedup: 1, trajectories: [{ prompt: 'cat', seed: 0 }], runs: 900, file, onProgress: (done) => done >= 2 && tell() });",
    ],
    [
      "profileChange",
      "",
      "await profileChange(pipeline, { prompts, seeds: many, steps: 3, batch: 1, file, onProgress: (done) => done >= 6 && tell() });",
    ],
  ])(
    "%s: what was done is kept, and gone on with",
    async (name, before, code) => {
      const file = join(folder, `${name}.kept`);
      expect((await kernel.run(`${before}\nconst file = ${JSON.stringify(file)};`)).error).toBeUndefined();
      for (const time of ["at first", "gone on with"]) {
        const ran = await kernel.run(code, { interruptAt: "under way" });
        expect(ran.error?.ename, `${time}: ${ran.error?.evalue}`).toBe("InterruptedError");
        await becomesIdle();
        expect(existsSync(file)).toBe(true);
        expect(existsSync(`${file}.lock`)).toBe(false);
      }
    },
    240_000,
  );

  it("evaluate: the pictures that were made are kept", async () => {
    const table = join(folder, "table");
    const ran = await kernel.run(
      `await evaluate(pipeline, { settings: [{ name: "plain", solver: "ddim", steps: 3 }], prompts, seeds: many, batch: 1, metrics: ["clip-score"], folder: ${JSON.stringify(table)}, onProgress: (done) => done >= 2 && tell() });`,
      { interruptAt: "under way" },
    );
    expect(ran.error?.ename, ran.error?.evalue).toBe("InterruptedError");
    await becomesIdle();
    expect(readdirSync(join(table, "plain")).length).toBeGreaterThanOrEqual(2);
    expect(readdirSync(table)).not.toContain("evaluation.json.lock");
  }, 120_000);

  it("runStudy: the jobs that were done are kept", async () => {
    const study = join(folder, "study");
    const ran = await kernel.run(
      `await runStudy(pipeline, { prompts, seeds: many, folder: ${JSON.stringify(study)}, steps: 4, solver: "ddim", convergedSteps: 8, batch: 1, arms: [], onProgress: (done) => done >= 24 && tell() });`,
      { interruptAt: "under way" },
    );
    expect(ran.error?.ename, ran.error?.evalue).toBe("InterruptedError");
    await becomesIdle();
    expect(readdirSync(join(study, "jobs")).filter((name) => name.endsWith(".json")).length).toBeGreaterThanOrEqual(3);
  }, 120_000);

  it("work that an earlier cell began and nobody awaits stops too, between cells", async () => {
    await kernel.run('void generate(pipeline, { prompt: "cat", steps: 900 }).catch(() => undefined);');
    await kernel.interrupt();
    await becomesIdle();
  }, 120_000);

  it("keeps what it had finished, and the cells behind it do not run", async () => {
    const [interrupted, behind] = await kernel.runAll(
      ['const done = 1;\ntell();\nawait generate(pipeline, { prompt: "cat", steps: 900 });', 'console.log("ran");'],
      { interruptAt: "under way" },
    );
    expect([interrupted.status, behind.status]).toEqual(["error", "aborted"]);
    expect((await kernel.run("console.log(done);")).stdout).toBe("1\n");
  }, 120_000);
});

it.skipIf(!seesCpuTime)(
  "a kernel whose Jupyter is killed ends, also in the middle of a loop",
  async () => {
    const abandoned = await startKernel();
    const pid = await abandoned.pid();
    // The loop begins when the cell's answer is here: a kernel that loops answers nothing any more.
    const own = mkdtempSync(join(tmpdir(), "blockcache-kernel-"));
    const begin = join(own, "begin");
    await abandoned.run(
      `import { existsSync } from "node:fs"; setInterval(() => { while (existsSync(${JSON.stringify(begin)})); }, 50);`,
    );
    writeFileSync(begin, "");
    await expect.poll(() => abandoned.busy(), { timeout: 50_000, interval: 0 }).toBeGreaterThan(IDLE);
    await abandoned.abandon();
    const isThere = (): boolean => {
      try {
        return process.kill(pid, 0);
      } catch {
        return false;
      }
    };
    await expect.poll(isThere, { timeout: 50_000 }).toBe(false);
    rmSync(own, { recursive: true });
  },
  240_000,
);
