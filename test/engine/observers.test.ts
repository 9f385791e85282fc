/** Several observers of one block: each sees what the one before it left, and no device memory is lost whatever they do. */
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { loadPipeline } from "../../src/diffusion/pipeline.js";
import type { Pipeline } from "../../src/diffusion/pipeline.js";
import { hook } from "../../src/instrument/hooks/hooks.js";
import type { HookReplacement } from "../../src/instrument/hooks/hookResult.js";
import type { HookEvent } from "../../src/instrument/hooks/hooks.js";
import { openSafetensors } from "../../src/files/safetensors.js";
import type { FloatTensor } from "../../src/numerics/tensor.js";
import { beginAll } from "../../src/diffusion/samplingHook.js";
import { InterruptedError, ReleasedError } from "../../src/errors.js";
import type { BlockObserver, BlockResult } from "../../src/engine/network/observer.js";
import { liveTensors } from "../../src/engine/tensor.js";
import type { Tensor } from "../../src/engine/tensor.js";
import type { UNetInputs } from "../../src/engine/network/unetInputs.js";

const folder = fileURLToPath(new URL("../fixtures/models/sd1-like", import.meta.url));
const evaluation = { index: 0, timestep: 601, images: 2, guided: false };
/** with a residual, and without */
const [RESNET, CONVOLUTION] = ["mid_block.resnets.0", "down_blocks.0.downsamplers.0"];
let pipeline: Pipeline;
let inputs: UNetInputs;
let plain: FloatTensor;
/** PyTorch's output with the branch of RESNET at zero (test/fixtures/models.py) */
let without: FloatTensor;

beforeAll(async () => {
  pipeline = await loadPipeline(folder);
  const reference = await openSafetensors(join(folder, "reference.safetensors"));
  inputs = {
    sample: await reference.readFloat32("sample"),
    timestep: 601,
    encoderHiddenStates: await reference.readFloat32("prompt_embeds"),
  };
  without = await reference.readFloat32(`unet_without/${RESNET}`);
  await reference.close();
  plain = await pipeline.network.forward(inputs);
});
afterAll(() => pipeline.dispose());

const zeros = ({ dims, data }: FloatTensor): FloatTensor => ({ dims, data: new Float32Array(data.length) });

async function run(
  block: string,
  ...callbacks: ((event: HookEvent) => HookReplacement | undefined | void)[]
): Promise<FloatTensor> {
  const hooks = callbacks.map((callback) => hook(block, callback));
  await beginAll(hooks, pipeline);
  return pipeline.network.forward(inputs, { observers: hooks, evaluation });
}

describe("hooks on one block", () => {
  it.each([RESNET, CONVOLUTION])("that leave %s as it is, by each of its results, change nothing", async (block) => {
    const output = await run(
      block,
      ({ branch }) => ({ branch }),
      ({ out }) => ({ out }),
      ({ branch, out }) => ({ branch, out }),
      () => undefined,
    );
    expect(output.data).toEqual(plain.data);
  });

  it("a second one sees the C that the first one left", async () => {
    let seen: FloatTensor | undefined;
    const output = await run(
      RESNET,
      ({ branch }) => ({ branch: zeros(branch) }),
      ({ branch }) => void (seen = branch),
    );
    expect(seen?.data.every((value) => value === 0)).toBe(true);
    without.data.forEach((value, index) => expect(output.data[index]).toBeCloseTo(value, 4));
  });

  it("without a residual, C and output are one for the second too", async () => {
    const seen: HookEvent[] = [];
    await run(
      CONVOLUTION,
      ({ branch }) => ({ branch: zeros(branch) }),
      (event) => void seen.push(event),
    );
    expect([...seen[0].branch.data, ...seen[0].out.data].every((value) => value === 0)).toBe(true);
  });

  it("a new C undoes the output that an earlier one gave", async () => {
    const output = await run(
      RESNET,
      ({ out }) => ({ out: zeros(out) }),
      ({ branch, out }) => {
        expect(out.data.every((value) => value === 0)).toBe(true);
        return { branch };
      },
    );
    expect(output.data).toEqual(plain.data);
  });

  it("an output counts whatever C is given with it", async () => {
    let given: FloatTensor | undefined;
    await run(RESNET, ({ out }) => void (given = out));
    const out = given;
    if (out === undefined) throw new Error("not called");
    expect((await run(RESNET, ({ branch }) => ({ branch: zeros(branch), out }))).data).toEqual(plain.data);
  });
});

describe("memory", () => {
  /** what is left of it after one evaluation in which an observer looks at a block */
  async function leftBy(
    id: string,
    respond: (result: BlockResult) => BlockResult | undefined,
  ): Promise<{ left: number; error: unknown }> {
    const before = liveTensors();
    const observer: BlockObserver = {
      answer: (block) => (block.id === id ? { look: ["branch", "out"] } : "compute"),
      look: async (_, result) => respond(result),
    };
    const error: unknown = await pipeline.network.forward(inputs, { observers: [observer], evaluation }).then(
      () => undefined,
      (reason: unknown) => reason,
    );
    return { left: liveTensors() - before, error };
  }

  it.each([RESNET, CONVOLUTION])(
    "of %s is given back once, whether an observer returns its results, others, nothing, or throws",
    async (id) => {
      const failure = new Error("a callback's own");
      expect(await leftBy(id, () => undefined)).toEqual({ left: 0, error: undefined });
      expect(await leftBy(id, ({ branch }) => ({ branch }))).toEqual({ left: 0, error: undefined });
      expect(await leftBy(id, ({ out }) => ({ out }))).toEqual({ left: 0, error: undefined });
      const thrown = await leftBy(id, () => {
        throw failure;
      });
      expect(thrown).toEqual({ left: 0, error: failure });
    },
  );

  it("that an observer keeps is its own until it releases it", async () => {
    const kept: Tensor[] = [];
    await leftBy(RESNET, ({ branch }) => {
      if (branch !== undefined) kept.push(branch.retain());
      return undefined;
    });
    const numbers = kept[0].view().slice();
    await pipeline.network.forward(inputs);
    expect(kept[0].view()).toEqual(numbers);
    kept[0].release();
    expect(() => kept[0].view()).toThrow(ReleasedError);
    expect(() => kept[0].release()).toThrow(ReleasedError);
  });

  it("is given back by a thousand evaluations, whether they end, abort or throw", async () => {
    const before = liveTensors();
    for (let index = 0; index < 1000; index++) {
      const controller = new AbortController();
      const observer: BlockObserver = {
        answer: ({ id }) => (id === RESNET ? { look: ["branch"] } : "compute"),
        async look() {
          if (index % 3 === 1) controller.abort();
          if (index % 3 === 2) throw new Error("a callback's own");
          return undefined;
        },
      };
      const run = pipeline.network.forward(inputs, { observers: [observer], evaluation, signal: controller.signal });
      if (index % 3 === 0) await run;
      else await expect(run).rejects.toThrow(index % 3 === 1 ? InterruptedError : "a callback's own");
    }
    expect(liveTensors()).toBe(before);
  });
});

describe("disposing of a pipeline", () => {
  it("while it evaluates ends the evaluation with an error, and later ones too", async () => {
    const doomed = await loadPipeline(folder);
    const before = liveTensors();
    const observer: BlockObserver = {
      answer: ({ id }) => (id === RESNET ? { look: ["branch"] } : "compute"),
      async look() {
        await doomed.dispose();
        return undefined;
      },
    };
    await expect(doomed.network.forward(inputs, { observers: [observer], evaluation })).rejects.toThrow(ReleasedError);
    await expect(doomed.network.forward(inputs)).rejects.toThrow(/disposed of — load the pipeline again/);
    expect(liveTensors()).toBe(before);
  });
});
