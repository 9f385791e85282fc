/** Work stops with the signal that surrounds it, and only that work. */
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, it } from "vitest";
import {
  InterruptedError,
  computeProbability,
  defineHeuristic,
  generate,
  interruptible,
  loadPipeline,
  measureCosts,
  profileChange,
  sample,
  threshold,
  withinBudget,
} from "../src/index.js";
import type { Pipeline, Profile, Schedule } from "../src/index.js";
import { costsOf, profileOf } from "./caching/madeUp.js";
import { stopSignal } from "../src/interruption.js";

const run = { prompt: "a cat", steps: 4, solver: "ddim" as const };

let pipeline: Pipeline;
beforeAll(async () => {
  pipeline = await loadPipeline(join(fileURLToPath(new URL("fixtures/models", import.meta.url)), "plain-mid"));
});
afterAll(() => pipeline?.dispose());

it.each<readonly [string, () => Promise<unknown>]>([
  ["generate", () => generate(pipeline, run)],
  ["profileChange", () => profileChange(pipeline, { ...run, prompts: ["a cat"], seeds: [0] })],
  ["measureCosts", () => measureCosts(pipeline, { samples: 1 })],
  ["loadPipeline", () => loadPipeline(pipeline.folder.path)],
])("%s does not begin where its surroundings were stopped, and works outside of them", async (_, work) => {
  await expect(interruptible(AbortSignal.abort(), work)).rejects.toThrow(InterruptedError);
  await expect(work()).resolves.toBeDefined();
});

it("stops what began within, between two evaluations, and not what runs beside it", async () => {
  const controller = new AbortController();
  let within = 0;
  let beside = 0;
  const first = interruptible(controller.signal, async () => {
    for await (const _ of sample(pipeline, run)) if (++within === 2) controller.abort();
  });
  const second = (async () => {
    for await (const _ of sample(pipeline, run)) beside++;
  })();
  await expect(first).rejects.toThrow(InterruptedError);
  await second;
  expect([within, beside]).toEqual([2, 4]);
});

it("a calculation that lets nothing else run asks whether to stop, resampling as well as a search for a budget", () => {
  const profile = profileOf([[[0, 0.3, 0.1, 0.2]]]);
  const costs = costsOf(profile, [1], false);
  const find = (of: Profile): Schedule => threshold(of, { delta: 0.1 });
  const heuristic = defineHeuristic({ name: "mine", parameter: "delta", values: [0.1, 0.2], find });
  const calculations: readonly (() => unknown)[] = [
    () => computeProbability(profile, find, { resamples: 1e9 }),
    () => withinBudget(heuristic, profile, { costs, speedup: 1.01 }),
  ];
  for (const calculation of calculations) {
    let asked = 0;
    const isWanted = (): boolean => ++asked === 2;
    expect(() => interruptible(new AbortController().signal, calculation, isWanted)).toThrow(InterruptedError);
    expect(asked).toBe(2);
  }
});

it("the caller's signal and the surrounding one both stop", () => {
  const [own, around] = [new AbortController(), new AbortController()];
  const both = interruptible(around.signal, () => stopSignal(own.signal));
  expect(stopSignal()).toBeUndefined();
  expect(stopSignal(own.signal)).toBe(own.signal);
  around.abort();
  expect([both?.aborted, own.signal.aborted]).toEqual([true, false]);
});
