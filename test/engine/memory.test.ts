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
import { KeptBranches } from "../../src/engine/keptBranches.js";

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

it("reusing blocks holds their shortcuts a second time, as the dry run says", async () => {
  const { network } = pipeline;
  const kept = new KeptBranches<undefined>(1);
  const keep: BlockObserver = {
    answer: () => ({ look: ["branch"] }),
    async look({ id }, { branch }) {
      if (branch !== undefined) kept.keep(id, branch, undefined);
      return undefined;
    },
  };
  const plain = await network.forward(inputs, { observers: [keep], evaluation });
  // A small network has a graph that gives C beside the one that does not.
  const looked = network.sharedWeightBytes;
  const reuse: BlockObserver = {
    answer: (block) =>
      hasMerge(block) ? { standIn: { terms: [{ tensor: kept.of(block.id)[0].branch, weight: 1 }] } } : "compute",
  };
  expect((await network.forward(inputs, { observers: [reuse], evaluation })).data).toEqual(plain.data);
  kept.clear();
  const shared = blockMap(pipeline)
    .filter(({ inside }) => inside === undefined)
    .reduce((sum, { sharedParameters }) => sum + sharedParameters, 0);
  expect(shared).toBeGreaterThan(0);
  expect(network.sharedWeightBytes - looked).toBe(4 * shared);
  expect(network.weightBytes).toBe(4 * (parameters + shared) + looked);
});
