/** The arms of a study that are the same, that were asked for a speed-up, or that fail; its trajectories and its folder. */
import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { saveAdjustment } from "../../src/caching/adjustment/adjustmentFile.js";
import { fitAdjustment } from "../../src/caching/adjustment/fitAdjustment.js";
import { measureCosts } from "../../src/caching/costs/costs.js";
import type { Costs } from "../../src/caching/costs/costs.js";
import { predictSeconds, predictSpeedup } from "../../src/caching/costs/predictSeconds.js";
import { defineHeuristic, heuristicNamed } from "../../src/caching/heuristics/registry.js";
import { threshold } from "../../src/caching/heuristics/threshold.js";
import { uniform } from "../../src/caching/heuristics/uniform.js";
import { defineReuseRule, hold, reuseRule } from "../../src/caching/run/reuseRule.js";
import { regularSchedule } from "../../src/caching/schedule/regularSchedule.js";
import type { Schedule } from "../../src/caching/schedule/schedule.js";
import { loadPipeline } from "../../src/diffusion/pipeline.js";
import type { Pipeline } from "../../src/diffusion/pipeline.js";
import { InUseError } from "../../src/errors.js";
import { profileChange } from "../../src/instrument/profile/profileChange.js";
import { loadProfile } from "../../src/instrument/profile/profileFile.js";
import type { Profile } from "../../src/instrument/profile/profile.js";
import { runLocally } from "../../src/jobs/job.js";
import type { JobRunner } from "../../src/jobs/job.js";
import { adjustmentReference } from "../../src/study/armAdjustment.js";
import { compareArms } from "../../src/study/compare.js";
import type { Arm } from "../../src/study/result.js";
import { loadStudy } from "../../src/study/resultFile.js";
import { runStudy } from "../../src/study/runStudy.js";
import type { StudyOptions } from "../../src/study/runStudy.js";
import { sweepArms } from "../../src/study/sweepArms.js";
import { comparisonTable } from "../../src/study/table.js";
import { studyWarnings } from "../../src/study/warnings.js";

const root = mkdtempSync(join(tmpdir(), "blockcache-arms-"));
const setting = { steps: 4, solver: "ddim" as const };
let pipeline: Pipeline;
let profile: Profile;
let costs: Costs;

beforeAll(async () => {
  // Its scheduler config says leading, as Stable Diffusion 1.x's does.
  pipeline = await loadPipeline(join("test", "fixtures", "models", "sd1-like"));
  profile = await profileChange(pipeline, { ...setting, prompts: ["tree"], seeds: [0] });
  costs = await measureCosts(pipeline, { samples: 1, rows: 2 });
}, 120_000);
afterAll(async () => {
  await pipeline.dispose();
  rmSync(root, { recursive: true, force: true });
});

const study = (folder: string, arms: readonly Arm[], more: Partial<StudyOptions> = {}) =>
  runStudy(pipeline, {
    ...setting,
    prompts: ["tree"],
    seeds: [0],
    convergedSteps: 6,
    arms,
    folder: join(root, folder),
    ...more,
  });
const armOf = (name: string, schedule: Schedule, reuse = "hold"): Arm => ({
  name,
  ...setting,
  cached: { schedule, reuse, kinds: "transformers" },
});
/** Counts the jobs that are done. */
function counting(done: unknown[]): JobRunner {
  return (work) => runLocally({ ...work, run: (data) => (done.push(data), work.run(data)) });
}

it("one schedule for several budgets is run once and listed once, with all names, asked, predicted and achieved", async () => {
  const stubborn = defineHeuristic({
    name: "stubborn",
    parameter: "speedup",
    values: [1.1, 1.2, 1.35],
    find: (given) => uniform(given, { interval: 2 }),
  });
  const arms = sweepArms(profile, {
    heuristics: [{ heuristic: stubborn }, { heuristic: heuristicNamed("uniform"), values: [2, 4] }],
    kinds: [{ label: "transformers", kinds: ["transformer"] }],
    reuse: [hold],
    plainSteps: [2],
    costs,
  });
  const done: unknown[] = [];
  const result = await study("same", arms, { costs, runner: counting(done) });
  expect(result.results.map(({ arm }) => [arm.name, arm.also, arm.cached?.askedSpeedups])).toEqual([
    ["plain 2", undefined, undefined],
    ["plain 4", undefined, undefined],
    [
      "stubborn speedup 1.1, transformers, hold",
      [
        "stubborn speedup 1.2, transformers, hold",
        "stubborn speedup 1.35, transformers, hold",
        "uniform interval 2, transformers, hold",
      ],
      [1.1, 1.2, 1.35],
    ],
    ["uniform interval 4, transformers, hold", undefined, undefined],
  ]);
  // The reference and four arms, of one batch
  expect(done.length).toBe(5);
  const predicted = predictSpeedup(costs, uniform(profile, { interval: 2 }));
  expect(result.results[2].predictedSpeedup).toBeCloseTo(predicted, 9);
  expect(await loadStudy(join(root, "same"))).toEqual(result);
  // An arm of other steps is predicted beside the study's plain run, not beside its own.
  const shorter = await regularSchedule(pipeline, { ...setting, steps: 2, interval: 2, kinds: ["transformer"] });
  const two = await study("two", [{ ...armOf("two", shorter), steps: 2 }], { costs });
  const plainSeconds = predictSeconds(costs, { timesteps: [0, 1, 2, 3], blocks: {} });
  expect(two.results[1].predictedSpeedup).toBeCloseTo(plainSeconds / predictSeconds(costs, shorter), 9);
  const [head, , , line] = comparisonTable(compareArms(result));
  expect(head).toMatch(/asked +predicted +speed-up/);
  expect(line).toMatch(
    /^stubborn speedup 1\.1, .* = stubborn speedup 1\.2, .* = stubborn speedup 1\.35, .* = uniform interval 2, .* 50 % +1\.1, 1\.2, 1\.35 +\d+\.\d\d +\d+\.\d\d /,
  );
  expect(studyWarnings(result)).toContain(
    `"${[result.results[2].arm.name, ...(result.results[2].arm.also ?? [])].join(" = ")}" is one schedule, predicted at ${predicted.toFixed(2)}, and was asked for as 1.1, 1.2, 1.35`,
  );
  // With a further name for the same schedule nothing is left to run.
  done.length = 0;
  await study("same", [...arms, armOf("once more", uniform(profile, { interval: 2 }))], {
    costs,
    runner: counting(done),
  });
  expect(done).toEqual([]);
});

it("a block that always computes is as one that is not scheduled; another reuse rule is another arm", async () => {
  const [transformer, other] = Object.keys(threshold(profile, { delta: 1000 }).blocks);
  const every = [0, 1, 2, 3];
  const base = threshold(profile, { delta: 1000 });
  const { results } = await study("alike", [
    armOf("a", { ...base, blocks: { [transformer]: [0, 2] } }),
    armOf("b", { ...base, blocks: { [other]: every, [transformer]: [0, 2] } }),
    armOf("c", { ...base, blocks: { [transformer]: [0, 2] } }, "linear"),
  ]);
  expect(results.map(({ arm }) => [arm.name, arm.also])).toEqual([
    ["plain 4", undefined],
    ["a", ["b"]],
    ["c", undefined],
  ]);
});

it("each trajectory counts once, also where other letters are the same tokens; the study and its warnings say so", async () => {
  const arms = [armOf("cached", threshold(profile, { delta: 1000 }))];
  const once = await study("once", arms, { prompts: ["tree", "red apple"], seeds: [0, 1] });
  const twice = await study("twice", arms, { prompts: ["tree", "red apple", "Tree", "tree"], seeds: [0, 1, 0] });
  expect(once.repeated).toBeUndefined();
  expect(twice.repeated).toBe(8);
  expect(twice.trajectories).toEqual(once.trajectories);
  const intervals = [once, twice].map((each) => compareArms(each).map(({ againstPlain }) => againstPlain));
  expect(intervals[1]).toEqual(intervals[0]);
  expect(studyWarnings(twice)).toContainEqual(
    expect.stringMatching(/^8 of the trajectories are listed more than once/),
  );
  const measured = await profileChange(pipeline, { ...setting, prompts: ["tree", "tree"], seeds: [0, 0] });
  expect(measured.values).toEqual(profile.values);
});

it("an arm without finite numbers, or whose rule fails, fails by name, and is kept as failed; the others are as they are", async () => {
  const schedule = threshold(profile, { delta: 1000 });
  defineReuseRule({ name: "huge", history: 1, weights: () => [3e38] });
  defineReuseRule({
    name: "throws",
    history: 1,
    weights: () => {
      throw new Error("its own");
    },
  });
  const done: unknown[] = [];
  const arms = [armOf("good", schedule), armOf("bad", schedule, "huge"), armOf("worse", schedule, "throws")];
  const found = await study("failing", arms, { runner: counting(done) });
  const alone = await study("alone", [arms[0]]);
  expect(found.results.map(({ toConverged }) => toConverged)).toEqual(
    alone.results.map(({ toConverged }) => toConverged),
  );
  expect(found.failed?.map(({ arm, reason }) => [arm.name, reason])).toEqual([
    [
      "bad",
      expect.stringMatching(
        /^sampling: evaluation 1: the network's output at timestep \d+: expected finite numbers, found/,
      ),
    ],
    ["worse", expect.stringMatching(/^reuse: throws: .* at evaluation 1, and it threw: its own$/)],
  ]);
  expect(await loadStudy(join(root, "failing"))).toEqual(found);
  expect(studyWarnings(found)).toContainEqual(expect.stringMatching(/^"bad" failed: sampling: evaluation 1/));
  done.length = 0;
  expect((await study("failing", arms, { runner: counting(done) })).failed).toEqual(found.failed);
  expect(done).toEqual([]);
});

it("a rule defined anew under a name is another arm, whatever changed in it; one that gives others each time is refused", async () => {
  const schedule = threshold(profile, { delta: 1000 });
  const distance = async (folder: string, weight: number) => {
    // As text the two are the same.
    defineReuseRule({ name: "edited", history: 1, weights: () => [weight] });
    return (await study(folder, [armOf("mine", schedule, "edited")])).results[1].toConverged;
  };
  const first = await distance("kept", 1);
  expect(await distance("kept", 0.5)).toEqual(await distance("anew", 0.5));
  expect(await distance("kept", 1)).toEqual(first);
  expect(await distance("anew", 0.5)).not.toEqual(first);
  let calls = 0;
  defineReuseRule({ name: "counts", history: 1, weights: () => [++calls] });
  await expect(study("counts", [armOf("mine", schedule, "counts")])).rejects.toThrow(
    /arms: "mine": expected a reuse rule whose weights follow from its arguments alone, found that counts gives others each time/,
  );
  expect(reuseRule("counts").name).toBe("counts");
});

it("an adjusted arm is one of its own, predicted by what it keeps and timed beside plain; wherever its file lies it is the same", async () => {
  const schedule = threshold(profile, { delta: 1000 });
  const options = { prompts: ["cat face", "rocket"], terms: ["scale", "change", "shift"] as const };
  const [here, there] = ["a", "b"].map((name) => join(root, `${name}.safetensors`));
  await saveAdjustment(here, await fitAdjustment(pipeline, schedule, options));
  copyFileSync(here, there);
  const plainArm = armOf("cached", schedule);
  const adjusted = async (name: string, file: string): Promise<Arm> => ({
    ...plainArm,
    name,
    cached: { ...plainArm.cached!, adjustment: await adjustmentReference(file) },
  });
  const arms = [plainArm, await adjusted("adjusted", here), await adjusted("the same", there)];
  const done: unknown[] = [];
  const found = await study("adjusted", arms, { costs, runner: counting(done) });
  expect(found.results.map(({ arm }) => [arm.name, arm.also])).toEqual([
    ["plain 4", undefined],
    ["cached", undefined],
    ["adjusted", ["the same"]],
  ]);
  expect(done.length).toBe(4);
  const [, cached, mended] = found.results;
  expect(mended.toConverged).not.toEqual(cached.toConverged);
  expect(mended.plainSeconds?.length).toBe(mended.seconds.length);
  // Its change term reads two kept values, as the linear rule does.
  expect(mended.predictedSpeedup).toBeCloseTo(predictSpeedup(costs, schedule, { history: 2 }), 9);
  expect(await loadStudy(join(root, "adjusted"))).toEqual(found);
  done.length = 0;
  await study("adjusted", [await adjusted("adjusted", there)], { costs, runner: counting(done) });
  expect(done).toEqual([]);
  const other = { ...arms[1], cached: { ...arms[1].cached!, schedule: threshold(profile, { delta: 0 }) } };
  await expect(study("refused", [other])).rejects.toThrow(/arms: "adjusted": adjustment: fitted for another schedule/);
  expect(existsSync(join(root, "refused"))).toBe(false);
});

it("profile, schedule and study fit with the model's own scheduler config, and where they do not the option is named", async () => {
  const own = await study("own", [armOf("cached", threshold(profile, { delta: 1000 }))]);
  expect(own.timestep_spacing).toBe("leading");
  const schedulerConfig = { timestep_spacing: "trailing" };
  const trailing = await profileChange(pipeline, { ...setting, schedulerConfig, prompts: ["tree"], seeds: [0] });
  const arms = [armOf("cached", threshold(trailing, { delta: 1000 }))];
  await expect(study("other", arms)).rejects.toThrow(
    'solver_config.timestep_spacing is "trailing", and this run\'s is "leading" — sample with schedulerConfig: { timestep_spacing: "trailing" } (--scheduler-config timestep_spacing="trailing"',
  );
  expect(existsSync(join(root, "other"))).toBe(false);
  expect((await study("other", arms, { schedulerConfig })).timestep_spacing).toBe("trailing");
});

it("two studies in one folder, and two profiles in one file, do not work at a time; a dead process's lock is taken over", async () => {
  const arms = [armOf("cached", threshold(profile, { delta: 1000 }))];
  const file = join(root, "p.safetensors");
  const measured = { ...setting, seeds: [0, 1], batch: 1, file };
  const [first, second] = await Promise.allSettled([
    profileChange(pipeline, { ...measured, prompts: ["red apple"] }),
    profileChange(pipeline, { ...measured, prompts: ["blue book"] }),
  ]);
  const refused = [first, second].filter(({ status }) => status === "rejected");
  expect(refused).toEqual([{ status: "rejected", reason: expect.any(InUseError) as InUseError }]);
  for (const prompts of [["red apple"], ["blue book"]]) await profileChange(pipeline, { ...measured, prompts });
  expect((await loadProfile(file)).trajectories.length).toBe(4);

  const studies = await Promise.allSettled([study("busy", arms), study("busy", arms)]);
  expect(studies.map(({ status }) => status).sort()).toEqual(["fulfilled", "rejected"]);
  writeFileSync(join(root, "busy", "study.json.lock"), JSON.stringify({ token: "dead", host: "", pid: 1, since: "" }));
  await expect(study("busy", arms)).rejects.toThrow(/study\.json\.lock$/);
  expect(JSON.parse(readFileSync(join(root, "busy", "study.json.lock"), "utf8"))).toMatchObject({ token: "dead" });
});
