/** The same UNet as one ONNX model and one session: what splitting into blocks is measured against. */
import { open, writeFile } from "node:fs/promises";
import { join } from "node:path";
import * as ort from "onnxruntime-node";
import protobuf from "protobufjs/minimal.js";
import { hasMerge } from "../src/graphs/block.js";
import type { BlockInput } from "../src/graphs/block.js";
import { FLOAT32, GraphBuilder } from "../src/graphs/graphBuilder.js";
import type { Value, WeightLayout } from "../src/graphs/graphBuilder.js";
import { writeExternalTensor } from "../src/graphs/onnx.js";
import { UNET_OUTPUT, upsampleSizeName } from "../src/graphs/unet.js";
import type { UNet } from "../src/graphs/unet.js";
import { transposed } from "../src/numerics/tensor.js";
import type { Weights } from "../src/models/weights.js";

export interface GraphWeight {
  readonly value: Value;
  readonly tensor: string;
  readonly dims: readonly number[];
  readonly layout: WeightLayout;
}

/** A graph whose weights lie in a file beside it, as a model beyond protobuf's 2 GiB must. */
export class ExternalWeightsGraph extends GraphBuilder {
  readonly weights: GraphWeight[] = [];

  override weight(tensor: string, dims: readonly number[], layout: WeightLayout = "as stored"): Value {
    const known = this.weights.find((weight) => weight.tensor === tensor && weight.layout === layout);
    if (known) return known.value;
    const value = `external_${this.weights.length}`;
    this.weights.push({ value, tensor, dims, layout });
    return value;
  }
}

/** All stages' branches and merges, chained into one graph. */
export function wholeGraph(unet: UNet): ExternalWeightsGraph {
  const graph = new ExternalWeightsGraph("unet", FLOAT32);
  const { config } = unet;
  const values = new Map<string, Value>();
  const read = (name: string): Value => {
    const value = values.get(name);
    if (value === undefined) throw new TypeError(`${name} is read before anything computes it`);
    return value;
  };
  // What no stage gives is fed.
  const feed = ({ value, dims, elementType }: BlockInput): void => {
    if (!values.has(value)) values.set(value, graph.input(value, dims, elementType));
  };
  for (const stage of unet.stages) {
    const target = unet.upsampleTargets.get(stage.id);
    if (target !== undefined)
      values.set(upsampleSizeName(stage.id), graph.node("Shape", [read(target)], { start: 2n, end: 4n }));
    stage.inputs.forEach(feed);
    const inputs = stage.inputs.map((input) => read(input.value));
    const branch = stage.branch(graph, inputs);
    values.set(stage.id, hasMerge(stage) ? stage.merge(graph, inputs, branch) : branch);
  }
  graph.output("out", read(UNET_OUTPUT), ["batch", config.out_channels, "height", "width"]);
  return graph;
}

/** Fields of onnx.proto3's ModelProto and GraphProto. */
const [GRAPH, INITIALIZER] = [7, 5];
const lengthDelimited = (field: number): number => (field << 3) | 2;

/** Writes the model into `folder` and compiles it with onnxruntime's default session options. */
export async function openSingleSession(
  unet: UNet,
  weights: Weights,
  folder: string,
  threads: number,
): Promise<ort.InferenceSession> {
  const graph = wholeGraph(unet);
  const location = "weights.bin";
  const file = await open(join(folder, location), "w");
  const initializers = protobuf.Writer.create();
  initializers.uint32(lengthDelimited(GRAPH)).fork();
  let offset = 0;
  try {
    for (const { value, tensor, dims, layout } of graph.weights) {
      const stored = await weights.read(tensor, dims);
      const { data, dims: laidOut } = layout === "transposed" ? transposed(stored) : stored;
      await file.write(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), 0, data.byteLength, offset);
      initializers.uint32(lengthDelimited(INITIALIZER)).fork();
      writeExternalTensor(
        initializers,
        { name: value, elementType: "float32", dims: laidOut },
        { location, offset, length: data.byteLength },
      );
      initializers.ldelim();
      offset += data.byteLength;
    }
  } finally {
    await file.close();
  }
  initializers.ldelim();
  // Protobuf merges a message field that occurs twice, so the initializers can follow the graph.
  const model = join(folder, "unet.onnx");
  await writeFile(model, Buffer.concat([graph.encodeWithoutWeights().bytes, initializers.finish()]));
  return ort.InferenceSession.create(model, {
    executionProviders: ["cpu"],
    intraOpNumThreads: threads,
    logSeverityLevel: 3,
  });
}
