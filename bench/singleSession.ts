/** The same UNet as one graph and one session: what splitting into blocks is measured against. */
import { hasMerge } from "../src/graphs/block.js";
import type { BlockInput } from "../src/graphs/block.js";
import { FLOAT32, GraphBuilder } from "../src/graphs/graphBuilder.js";
import type { Value } from "../src/graphs/graphBuilder.js";
import { embedTimestep, TIME_INPUTS } from "../src/graphs/timestepEmbedding.js";
import { UNET_INPUTS, UNET_OUTPUT, upsampleSizeName } from "../src/graphs/unet.js";
import type { UNet } from "../src/graphs/unet.js";
import type { Weights } from "../src/models/weights.js";
import type { CompiledGraph } from "../src/engine/backend.js";
import type { Device } from "../src/engine/device.js";
import type { UNetInputs } from "../src/engine/network/unetInputs.js";
import { releaseAll } from "../src/engine/tensor.js";
import { download, upload } from "../src/engine/transfer.js";

/** All stages' branches and merges, chained into one graph. */
export function wholeGraph(unet: UNet): GraphBuilder {
  const graph = new GraphBuilder("unet", FLOAT32);
  const { config } = unet;
  const values = new Map<string, Value>();
  const read = (name: string): Value => {
    const value = values.get(name);
    if (value === undefined) throw new TypeError(`${name} is read before anything computes it`);
    return value;
  };
  // What no stage produces becomes an input of the graph.
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

/** Compiles the whole network; meanwhile all weights are in JavaScript's memory. */
export async function openSingleSession(unet: UNet, weights: Weights, { backend }: Device): Promise<CompiledGraph> {
  return backend.compile(await wholeGraph(unet).encode(weights));
}

/** One evaluation of it. */
export async function runSingleSession(
  graph: CompiledGraph,
  { config }: UNet,
  inputs: UNetInputs,
  device: Device,
): Promise<Float32Array> {
  const width = config.block_out_channels[0];
  const feeds = {
    [UNET_INPUTS.sample]: upload(device, inputs.sample),
    [TIME_INPUTS.timestepEmbedding]: upload(device, {
      dims: [1, width],
      data: embedTimestep(config, width, inputs.timestep),
    }),
    [UNET_INPUTS.encoderHiddenStates]: upload(device, inputs.encoderHiddenStates),
  };
  try {
    const [out] = await graph.run(feeds, ["out"]);
    using read = out;
    return (await download(device, read)).data;
  } finally {
    releaseAll(Object.values(feeds));
  }
}
