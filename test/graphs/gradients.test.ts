/** Gradients against PyTorch's autograd on every configuration of test/fixtures/models, and against finite differences. */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, test } from "vitest";
import { loadPipeline } from "../../src/diffusion/pipeline.js";
import type { Pipeline } from "../../src/diffusion/pipeline.js";
import { NetworkGradients } from "../../src/engine/network/networkGradients.js";
import type { UNetInputs } from "../../src/engine/network/unetInputs.js";
import { openDevice } from "../../src/engine/device.js";
import { releaseAll } from "../../src/engine/tensor.js";
import type { Tensor } from "../../src/engine/tensor.js";
import { download, upload } from "../../src/engine/transfer.js";
import { openSafetensors } from "../../src/files/safetensors.js";
import type { SafetensorsFile } from "../../src/files/safetensors.js";
import { FLOAT32, GraphBuilder } from "../../src/graphs/graphBuilder.js";
import type { Value } from "../../src/graphs/graphBuilder.js";
import { vectorJacobianProduct } from "../../src/graphs/gradients/vectorJacobianProduct.js";
import { activation, attention, doubleNearest, resizeNearest } from "../../src/graphs/layers.js";
import { elementCount } from "../../src/numerics/tensor.js";
import type { FloatTensor } from "../../src/numerics/tensor.js";

const models = join("test", "fixtures", "models");
/** as test/fixtures/gradients.py stores them */
const STRIDE = 7;

/** sin(0), sin(1), … */
function sines(dims: readonly number[]): FloatTensor {
  return { dims, data: Float32Array.from({ length: elementCount(dims) }, (_, index) => Math.sin(index)) };
}

describe.each(readdirSync(models))("%s: the gradients are PyTorch's", (name) => {
  let pipeline: Pipeline;
  let gradients: NetworkGradients;
  let reference: SafetensorsFile;
  let expected: SafetensorsFile;

  beforeAll(async () => {
    pipeline = await loadPipeline(join(models, name));
    gradients = new NetworkGradients(pipeline.network, () => pipeline.folder.openUNetWeights());
    reference = await openSafetensors(join(models, name, "reference.safetensors"));
    expected = await openSafetensors(join("test", "fixtures", "gradients.safetensors"));
  });
  afterAll(async () => {
    await gradients.dispose();
    await pipeline.dispose();
    await reference.close();
    await expected.close();
  });

  async function inputs(): Promise<UNetInputs> {
    const given = async (tensor: string): Promise<FloatTensor | undefined> =>
      reference.tensors.has(tensor) ? reference.readFloat32(tensor) : undefined;
    const [textEmbeds, timeIds] = [await given("text_embeds"), await given("time_ids")];
    return {
      sample: await reference.readFloat32("sample"),
      timestep: 601,
      encoderHiddenStates: await reference.readFloat32("prompt_embeds"),
      addedConditions: textEmbeds && timeIds && { textEmbeds, timeIds },
      timestepCond: await given("timestep_cond"),
    };
  }

  it("at the latents and at every block's out", async () => {
    const values = new Map<string, Tensor>();
    const out = await pipeline.network.forward(await inputs(), {
      evaluation: { index: 0, timestep: 601, images: 2, guided: false },
      observers: [{ answer: () => "compute", value: (value, tensor) => void values.set(value, tensor.retain()) }],
    });
    const stages = pipeline.network.blocks.map(({ id }) => ({ id, how: "computed" as const }));
    const found = await gradients.backward(stages, values, new Map([["conv_out", sines(out.dims)]]));
    releaseAll(values.values());
    const names = [...expected.tensors.keys()].filter((tensor) => tensor.startsWith(`${name}/`));
    expect(names.length).toBe(pipeline.network.blocks.length + 1);
    for (const tensor of names) {
      const { data } = await expected.readFloat32(tensor);
      const gradient = found.values.get(tensor.slice(name.length + 1))?.data ?? new Float32Array();
      const size = Math.max(...data.map(Math.abs));
      const largest = Math.max(...data.map((value, index) => Math.abs(value - gradient[index * STRIDE])));
      expect(largest / size, tensor).toBeLessThan(1e-4);
    }
  });
});

type Build = (graph: GraphBuilder, x: Value) => Value;

/** A graph of one input and one result, as a function. */
async function compile(dims: readonly number[], build: Build): Promise<(x: FloatTensor) => Promise<FloatTensor>> {
  const graph = new GraphBuilder("test", { ...FLOAT32, fusedAttention: false });
  const y = build(graph, graph.input("x", dims));
  graph.output("y", y, ["a", "b", "c", "d"].slice(0, dims.length));
  const device = await openDevice();
  const compiled = await device.backend.compile(graph.encodeWithoutWeights());
  return async (numbers) => {
    using x = upload(device, numbers);
    const [result] = await compiled.run({ x }, ["y"]);
    using read = result;
    return download(device, read);
  };
}

/** The gradient of Σ sin(index) · y[index]. */
async function gradientOf(build: Build, x: FloatTensor, outDims: readonly number[]): Promise<FloatTensor> {
  const gradient = await compile(x.dims, (graph, input) => {
    const y = build(graph, input);
    const [found] = vectorJacobianProduct(graph, new Map([[y, graph.constant(sines(outDims))]]), [input]);
    return found ?? "";
  });
  return gradient(x);
}

const convolution = (graph: GraphBuilder, x: Value, stride: number, pads: number[]): Value =>
  graph.node("Conv", [x, graph.constant(sines([3, 4, 3, 3]))], {
    kernel_shape: [3n, 3n],
    strides: [BigInt(stride), BigInt(stride)],
    pads: pads.map(BigInt),
  });

const cases: Record<string, { dims: number[]; build: Build }> = {
  silu: { dims: [2, 4, 3, 3], build: (graph, x) => activation(graph, x, "silu") },
  quick_gelu: { dims: [2, 4, 3, 3], build: (graph, x) => activation(graph, x, "quick_gelu") },
  gelu: { dims: [2, 4, 3, 3], build: (graph, x) => activation(graph, x, "gelu") },
  mish: { dims: [2, 4, 3, 3], build: (graph, x) => activation(graph, x, "mish") },
  relu: { dims: [2, 4, 3, 3], build: (graph, x) => activation(graph, x, "relu") },
  "a convolution": { dims: [2, 4, 5, 6], build: (graph, x) => convolution(graph, x, 1, [1, 1, 1, 1]) },
  "one of stride 2, even": { dims: [1, 4, 6, 8], build: (graph, x) => convolution(graph, x, 2, [1, 1, 1, 1]) },
  "one of stride 2, odd": { dims: [1, 4, 5, 7], build: (graph, x) => convolution(graph, x, 2, [1, 1, 1, 1]) },
  "one padded below": { dims: [1, 4, 6, 7], build: (graph, x) => convolution(graph, x, 2, [0, 0, 1, 1]) },
  "enlarged by two": { dims: [1, 2, 3, 4], build: (graph, x) => doubleNearest(graph, x) },
  "enlarged to odd sizes": {
    dims: [1, 2, 4, 3],
    build: (graph, x) => resizeNearest(graph, x, graph.integers([7, 5])),
  },
  "self-attention": {
    dims: [2, 5, 8],
    build: (graph, x) => attention(graph, x, x, x, { heads: 2, headWidth: 4 }),
  },
  "a value used twice": { dims: [2, 3], build: (graph, x) => graph.node("Mul", [graph.node("Add", [x, x]), x]) },
  "halves put together again": {
    dims: [2, 6],
    build: (graph, x) => {
      const [left, right] = graph.nodeWithOutputs("Split", 2, [x], { axis: 1n, num_outputs: 2n });
      return graph.node("Concat", [graph.node("Mul", [left, right]), left], { axis: 1n });
    },
  },
};

describe("a rule is what finite differences say", () => {
  test.each(Object.entries(cases))("%s", async (_, { dims, build }) => {
    const x: FloatTensor = { dims, data: sines(dims).data.map((value) => 1.3 * value + 0.2) };
    const run = await compile(dims, build);
    const y = await run(x);
    const gradient = await gradientOf(build, x, y.dims);
    expect(gradient.dims).toEqual(dims);
    const weights = sines(y.dims).data;
    const at = async (index: number, step: number): Promise<number> => {
      const moved = { dims, data: x.data.slice() };
      moved.data[index] += step;
      const { data } = await run(moved);
      return data.reduce((sum, value, place) => sum + value * weights[place], 0);
    };
    const size = Math.max(...gradient.data.map(Math.abs));
    for (let index = 0; index < x.data.length; index += 5) {
      const step = 0.01;
      const difference = ((await at(index, step)) - (await at(index, -step))) / (2 * step);
      expect(Math.abs(difference - gradient.data[index]) / size).toBeLessThan(2e-3);
    }
  });

  it("of an operator without a rule: said so", () => {
    const graph = new GraphBuilder("gradient", FLOAT32);
    const x = graph.input("x", [2]);
    const y = graph.node("Ceil", [x]);
    expect(() => vectorJacobianProduct(graph, new Map([[y, x]]), [x])).toThrow(/the operator Ceil has no rule/);
  });
});
