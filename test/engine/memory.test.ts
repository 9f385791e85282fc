/** Weights are held once, whatever form the transformers run in, apart from what merging needs: counted, and told beforehand. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, it } from "vitest";
import { loadPipeline } from "../../src/diffusion/pipeline.js";
import type { Pipeline } from "../../src/diffusion/pipeline.js";
import { hasMerge } from "../../src/graphs/block.js";
import { blockMap } from "../../src/instrument/blockMap.js";
import { openSafetensors } from "../../src/files/safetensors.js";
import type { UNetInputs } from "../../src/engine/network/unetInputs.js";
import type { BlockObserver } from "../../src/engine/network/observer.js";
import { retain } from "../../src/engine/ownership.js";
import type { DeviceTensor } from "../../src/engine/session.js";

const folder = fileURLToPath(new URL("../fixtures/models/sd1-like", import.meta.url));
/** counted by PyTorch (test/fixtures/models.py) */
const { parameters } = JSON.parse(readFileSync(join(folder, "reference.json"), "utf8")) as { parameters: number };
const evaluation = { index: 0, timestep: 601, images: 2, guided: false };
let pipeline: Pipeline;
let inputs: UNetInputs;

beforeAll(async () => {
  pipeline = await loadPipeline(folder);
  const reference = await openSafetensors(join(folder, "reference.safetensors"));
  inputs = {
    sample: await reference.readFloat32("sample"),
    timestep: 601,
    encoderHiddenStates: await reference.readFloat32("prompt_embeds"),
  };
  await reference.close();
});
afterAll(() => pipeline.dispose());

it("transformers whole, in parts, and whole again hold every weight once and give the same", async () => {
  const { network } = pipeline;
  const inParts = new Set(network.blocks.filter(({ kind }) => kind === "transformer").map(({ id }) => id));
  expect(inParts.size).toBeGreaterThan(1);
  expect(network.weightBytes).toBe(4 * parameters);
  const whole = await network.forward(inputs);
  await network.forward(inputs, { inParts });
  expect(network.weightBytes).toBe(4 * parameters);
  // Both forms at once, as two samplings on one network may ask for.
  const [again] = await Promise.all([network.forward(inputs), network.forward(inputs, { inParts })]);
  expect(again.data).toEqual(whole.data);
  expect((await network.forward(inputs)).data).toEqual(whole.data);
  expect(network.weightBytes).toBe(4 * parameters);
  expect(network.sharedWeightBytes).toBe(0);
});

it("reusing blocks holds their shortcuts twice, as the dry run says", async () => {
  const { network } = pipeline;
  const branches = new Map<string, DeviceTensor>();
  const keep: BlockObserver = {
    wants: () => ({ branch: true, out: false }),
    async computed({ id }, { branch }) {
      branches.set(id, retain(branch));
      return undefined;
    },
  };
  const plain = await network.forward(inputs, { observer: keep, evaluation });
  const reuse: BlockObserver = {
    ...keep,
    wants: () => ({ branch: false, out: false }),
    standsIn: hasMerge,
    async standIn({ id }) {
      const branch = branches.get(id);
      if (branch === undefined) throw new Error(`no branch of ${id}`);
      return branch;
    },
  };
  expect((await network.forward(inputs, { observer: reuse, evaluation })).data).toEqual(plain.data);
  const shared = blockMap(pipeline)
    .filter(({ inside }) => inside === undefined)
    .reduce((sum, { sharedParameters }) => sum + sharedParameters, 0);
  expect(shared).toBeGreaterThan(0);
  expect(network.sharedWeightBytes).toBe(4 * shared);
  expect(network.weightBytes).toBe(4 * (parameters + shared));
});
