/** Hooks of a user's: what they return is checked, what they write into what they are shown changes nothing; NaN is found. */
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { cachedRun } from "../../src/caching/run/cachedRun.js";
import { regularSchedule } from "../../src/caching/schedule/regularSchedule.js";
import { loadPipeline } from "../../src/diffusion/pipeline.js";
import type { Pipeline } from "../../src/diffusion/pipeline.js";
import { generate, sample } from "../../src/diffusion/sample.js";
import { ArgumentError, NotFiniteError } from "../../src/errors.js";
import { checkBlocks } from "../../src/instrument/hooks/checkBlocks.js";
import { hook } from "../../src/instrument/hooks/hooks.js";
import type { HookEvent } from "../../src/instrument/hooks/hooks.js";
import type { FloatTensor } from "../../src/numerics/tensor.js";

const BLOCK = "mid_block.resnets.0";
const options = { prompt: "red apple", seed: 1, steps: 3, solver: "dpmsolver++" as const };
let pipeline: Pipeline;
let plain: FloatTensor;

beforeAll(async () => {
  pipeline = await loadPipeline(fileURLToPath(new URL("../fixtures/models/sd1-like", import.meta.url)));
  ({ latents: plain } = await generate(pipeline, options));
});
afterAll(() => pipeline.dispose());

const latentsWith = async (...hooks: ReturnType<typeof hook>[]): Promise<FloatTensor> =>
  (await generate(pipeline, { ...options, hooks })).latents;

describe("what a hook is shown", () => {
  it("may be written into, at once and later, without a change to the run, to recordings or to the next hook", async () => {
    const shown: HookEvent[] = [];
    const seen: Float32Array[] = [];
    const spoil = hook("all", (event) => {
      for (const earlier of [...shown.slice(-3), event])
        for (const { data } of [earlier.branch, earlier.out]) data.fill(NaN);
      (event.branch.dims as number[]).length = 0;
      shown.push(event);
    });
    const watch = hook(BLOCK, ({ branch }) => void seen.push(branch.data));
    expect((await latentsWith(spoil, watch)).data).toEqual(plain.data);
    expect(seen.flatMap((data) => [...data]).every(Number.isFinite)).toBe(true);
  });

  it("is its own in what it returns: one array refilled for every block gives what new arrays give", async () => {
    const halved = (into: (length: number) => Float32Array) =>
      hook("down_blocks.**.resnets.*", ({ out }) => {
        const data = into(out.data.length);
        out.data.forEach((value, index) => (data[index] = value / 2));
        return { out: { dims: out.dims, data } };
      });
    const arrays = new Map<number, Float32Array>();
    const refilled = halved((length) => {
      const data = arrays.get(length) ?? new Float32Array(length);
      arrays.set(length, data);
      return data;
    });
    const expected = await latentsWith(halved((length) => new Float32Array(length)));
    expect((await latentsWith(refilled)).data).toEqual(expected.data);
    expect(expected.data).not.toEqual(plain.data);
  });

  it("latents of a step may be written into as well", async () => {
    let last: FloatTensor | undefined;
    for await (const { latents, predictedOriginal } of sample(pipeline, options)) {
      last = { dims: latents.dims, data: latents.data.slice() };
      for (const { data } of [latents, predictedOriginal]) data.fill(NaN);
    }
    expect(last?.data).toEqual(plain.data);
  });
});

describe("what a hook returns", () => {
  const tensor = ({ branch }: HookEvent): FloatTensor => branch;
  it.each<[string, (event: HookEvent) => unknown, RegExp]>([
    [
      "another shape",
      ({ branch: { data } }) => ({ branch: { dims: [data.length], data } }),
      /branch: expected \{ dims: \[2, .*found dims \[\d+\]/,
    ],
    [
      "too few numbers",
      ({ branch: { dims } }) => ({ out: { dims, data: new Float32Array(3) } }),
      /out: expected .* found data: a Float32Array of 3/,
    ],
    [
      "a Float64Array",
      ({ branch: { dims, data } }) => ({ branch: { dims, data: Float64Array.from(data) } }),
      /found data: a Float64Array/,
    ],
    [
      "a list of numbers",
      ({ branch: { dims, data } }) => ({ branch: { dims, data: [...data] } }),
      /found data: a Array/,
    ],
    ["data alone", ({ branch: { data } }) => ({ branch: data }), /found a Float32Array/],
    ["a number for a tensor", () => ({ branch: 0 }), /branch: expected .* found 0/],
    ["the tensor itself", tensor, /expected nothing, or an object with branch, out or both, found dims/],
    ["another name", ({ branch }) => ({ brunch: branch }), /found brunch/],
    ["a list", ({ branch }) => [branch], /found a list/],
    ["a Map", () => new Map(), /found a Map/],
  ])("of the wrong kind (%s) is refused with block and evaluation", async (_, respond, message) => {
    const odd = hook(BLOCK, (event) => (event.step === 1 ? (respond(event) as undefined) : undefined));
    const found = await latentsWith(odd).catch((error: unknown) => error as Error);
    expect(found).toBeInstanceOf(ArgumentError);
    expect((found as Error).message).toMatch(/^hook: mid_block\.resnets\.0, evaluation 1: /);
    expect((found as Error).message).toMatch(message);
  });

  it("and no object changes nothing", async () => {
    const answers = [undefined, null, 3, "text", true, {}, { branch: undefined }];
    for (const answer of answers)
      expect((await latentsWith(hook(BLOCK, () => answer as undefined))).data).toEqual(plain.data);
  });

  it.each([NaN, Infinity])("%d in it is an error there", async (value) => {
    const odd = hook(BLOCK, ({ step, branch: { dims, data } }) => {
      if (step === 2) return { branch: { dims, data: data.fill(value, data.length / 2, data.length / 2 + 1) } };
      return undefined;
    });
    const found = await latentsWith(odd).catch((error: unknown) => error as Error);
    expect(found).toBeInstanceOf(NotFiniteError);
    expect((found as Error).message).toMatch(
      new RegExp(
        `^hook: mid_block\\.resnets\\.0, evaluation 2: branch: expected finite numbers, found ${value} in row 1 of 2`,
      ),
    );
  });
});

describe("a hook", () => {
  it("is of one sampling at a time: what it keeps would be another's", async () => {
    const schedule = await regularSchedule(pipeline, { ...options, interval: 2, kinds: ["resnet", "transformer"] });
    const shared = cachedRun(schedule);
    const expected = await latentsWith(cachedRun(schedule));
    const [first, second] = await Promise.allSettled([latentsWith(shared), latentsWith(shared)]);
    expect(first).toMatchObject({ status: "fulfilled", value: { data: expected.data } });
    expect(second).toMatchObject({ status: "rejected", reason: expect.any(ArgumentError) as unknown });
    await expect(latentsWith(shared, shared)).rejects.toThrow(
      /^hooks: expected each in one sampling at a time, found one twice/,
    );
    // Free again, after samplings that ended, failed, or were left in the middle.
    for await (const step of sample(pipeline, { ...options, hooks: [shared] })) if (step.index === 1) break;
    expect((await latentsWith(shared)).data).toEqual(expected.data);
  });

  it("at steps that the sampling does not have, or for results that there are not, is refused", async () => {
    for (const step of [3, -1, 1.5, NaN])
      await expect(latentsWith(hook("all", () => undefined, { steps: [0, step] }))).rejects.toThrow(
        `hook: steps: expected network evaluations from 0 to 2, found ${step}`,
      );
    expect(() => hook("all", () => undefined, { results: ["brnach" as "branch"] })).toThrow(/^hook: results: expected/);
  });
});

describe("NaN", () => {
  it("in given latents, and in a network's output, is an error where it first is", async () => {
    const latents = { dims: [1, 4, 8, 8], data: new Float32Array(256).fill(0.5) };
    latents.data[7] = NaN;
    await expect(generate(pipeline, { ...options, latents })).rejects.toThrow(
      /^latents: expected finite numbers, found NaN in row 0 of 1/,
    );
    // Finite, and too large for what comes after it
    const large = hook(BLOCK, ({ step, branch: { dims, data } }) => {
      if (step === 1) return { branch: { dims, data: data.fill(3e38) } };
      return undefined;
    });
    await expect(latentsWith(large)).rejects.toThrow(NotFiniteError);
    await expect(latentsWith(large)).rejects.toThrow(
      /^sampling: evaluation 1: the network's output at timestep \d+: expected finite numbers, found/,
    );
    await expect(latentsWith(large, checkBlocks())).rejects.toThrow(
      /^(mid|up)_block.*, evaluation 1: expected finite numbers, found/,
    );
  });

  it("checkBlocks names a block that is reused, not the one after it", async () => {
    const schedule = await regularSchedule(pipeline, { ...options, interval: 3, kinds: ["resnet"] });
    const only = { ...schedule, blocks: { [BLOCK]: schedule.blocks[BLOCK] } };
    // 3e38 times what is kept is infinite in the reused block itself.
    const reuse = { name: "large", history: 1, weights: () => [3e38] };
    await expect(latentsWith(cachedRun(only, { reuse }), checkBlocks())).rejects.toThrow(
      new RegExp(`^${BLOCK.replaceAll(".", "\\.")}, evaluation 1, reused: expected finite numbers, found`),
    );
    await expect(latentsWith(cachedRun(only), checkBlocks())).resolves.toEqual(await latentsWith(cachedRun(only)));
  });

  it("from a reuse rule, too", async () => {
    const schedule = await regularSchedule(pipeline, { ...options, interval: 3, kinds: ["resnet"] });
    const reuse = { name: "large", history: 1, weights: () => [3e38] };
    await expect(latentsWith(cachedRun(schedule, { reuse }))).rejects.toThrow(
      /^sampling: evaluation 1: .*checkBlocks\(\)/,
    );
  });
});
