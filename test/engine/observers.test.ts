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
import { combineObservers } from "../../src/engine/network/observer.js";
import type { BlockObserver, BlockResult } from "../../src/engine/network/observer.js";
import type { DeviceTensor } from "../../src/engine/session.js";
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
  for (const each of hooks) each.inParts?.(pipeline);
  return pipeline.network.forward(inputs, { observer: combineObservers(hooks), evaluation });
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

describe("device memory", () => {
  /** Lets a host tensor pass for one in device memory where ownership is settled, and notes when that is given back. */
  function track(tensor: DeviceTensor, name: string, disposed: string[]): void {
    const settling = (): boolean => new Error().stack?.includes("ownership") === true;
    Object.defineProperty(tensor, "location", { get: () => (settling() ? "gpu-buffer" : "cpu") });
    Object.defineProperty(tensor, "dispose", { value: () => disposed.push(name) });
  }

  async function disposedBy(
    id: string,
    respond: (result: BlockResult) => Partial<BlockResult> | undefined,
  ): Promise<{ disposed: string[]; error: unknown }> {
    const disposed: string[] = [];
    const observer: BlockObserver = {
      wants: (block) => ({ branch: block.id === id, out: block.id === id }),
      async computed(_, result) {
        track(result.out, "out", disposed);
        if (result.branch !== result.out) track(result.branch, "C", disposed);
        return respond(result);
      },
    };
    const error: unknown = await pipeline.network.forward(inputs, { observer, evaluation }).then(
      () => undefined,
      (reason: unknown) => reason,
    );
    return { disposed: disposed.sort(), error };
  }

  it.each([
    [RESNET, ["C", "out"]],
    [CONVOLUTION, ["out"]],
  ])(
    "of %s is given back once, whether an observer returns its results, others, nothing, or throws",
    async (id, results) => {
      const failure = new Error("a callback's own");
      expect(await disposedBy(id, () => undefined)).toEqual({ disposed: results, error: undefined });
      expect(await disposedBy(id, ({ branch }) => ({ branch }))).toEqual({ disposed: results, error: undefined });
      expect(await disposedBy(id, ({ out }) => ({ out }))).toEqual({ disposed: results, error: undefined });
      const thrown = await disposedBy(id, () => {
        throw failure;
      });
      expect(thrown).toEqual({ disposed: results, error: failure });
    },
  );
});
