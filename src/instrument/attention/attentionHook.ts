/** What the queries of a spatial transformer attend to, computed beside its run from what the run feeds it. */
import type { Pipeline } from "../../diffusion/pipeline.js";
import type { SamplingHook } from "../../diffusion/samplingHook.js";
import type { CompiledGraph } from "../../engine/backend.js";
import { Lazy } from "../../engine/lazy.js";
import type { Tensor } from "../../engine/tensor.js";
import { releaseAll } from "../../engine/tensor.js";
import { download } from "../../engine/transfer.js";
import { ArgumentError } from "../../errors.js";
import { declareInputs, isBlock } from "../../graphs/block.js";
import type { Block, BlockAttention } from "../../graphs/block.js";
import { GraphBuilder } from "../../graphs/graphBuilder.js";
import type { FloatTensor } from "../../numerics/tensor.js";

/** One layer's attention at one network evaluation. */
export interface AttentionEvent {
  /** diffusers module path of the attention: `….transformer_blocks.0.attn2` */
  readonly id: string;
  readonly to: BlockAttention["to"];
  /** network evaluation, 0-based */
  readonly step: number;
  /**
   * the mean over heads [batch, queries, keys], each row with sum 1; with guidance the last half is the conditional one
   */
  readonly weights: FloatTensor;
}

export interface AttentionHookOptions {
  /** network evaluations at which the attention is read. Default: all */
  readonly steps?: readonly number[];
  /**
   * the pixels whose weights over all pixels are read, counted row by row from the top left. Weights over the text are
   * read for every pixel
   */
  readonly pixels: readonly number[];
}

type AttendingBlock = Block & Required<Pick<Block, "attention">>;

/**
 * Calls `callback` with the attention weights of each layer of a spatial transformer. The network's own operator does
 * not give them, so a graph of norm, to_q and to_k computes them again from the layer's input and the text, just as
 * exactly.
 *
 * @param transformer id of the spatial transformer
 * @throws ArgumentError where no spatial transformer has that id; when sampling starts, InvalidFileError for its
 *   weights
 */
export function hookAttention(
  pipeline: Pipeline,
  transformer: string,
  callback: (event: AttentionEvent) => void,
  { steps, pixels }: AttentionHookOptions,
): SamplingHook {
  const { device, folder } = pipeline;
  const layers = new Map(attentionsOf(pipeline, transformer).map((block) => [block.id, block]));
  if (layers.size === 0)
    throw new ArgumentError(
      `attention: expected a spatial transformer, found ${transformer} — \`blockcache inspect\` lists those of the model`,
    );
  const graphs = new Map<string, Lazy<CompiledGraph>>();
  /** the text embedding, which `look` does not show */
  const read = new Map<string, Tensor>();
  const contexts = new Set([...layers.values()].map(({ inputs }) => inputs[1].value));

  const graphOf = (block: AttendingBlock): Promise<CompiledGraph> => {
    const known =
      graphs.get(block.id) ??
      new Lazy(async () => {
        const graph = new GraphBuilder(`${block.id}.weights`, device);
        const inputs = declareInputs(graph, block);
        const queries = graph.input(QUERIES, ["queries"], "int64");
        graph.output(WEIGHTS, block.attention.weights(graph, inputs, queries), ["batch", "queries", "keys"]);
        const weights = await folder.openUNetWeights();
        try {
          return await device.backend.compile(await graph.encode(weights));
        } finally {
          await weights.close();
        }
      });
    graphs.set(block.id, known);
    return known.get();
  };
  const forget = (): void => {
    releaseAll(read.values());
    read.clear();
  };

  return {
    async begin() {
      return [transformer];
    },
    answer({ id }, { index }) {
      return layers.has(id) && (steps?.includes(index) ?? true) ? { look: ["input"] } : "compute";
    },
    value(name, value) {
      if (!contexts.has(name)) return;
      read.get(name)?.release();
      read.set(name, value.retain());
    },
    async look({ id }, { input }, { index }) {
      const block = layers.get(id);
      if (block === undefined || input === undefined) return undefined;
      const { to } = block.attention;
      const asked = to === "pixels" ? pixels : [...Array(input.dims[1]).keys()];
      const queries = device.backend.upload({
        type: "int64",
        dims: [asked.length],
        data: BigInt64Array.from(asked, BigInt),
      });
      try {
        const graph = await graphOf(block);
        const feeds: Record<string, Tensor> = { input_0: input, [QUERIES]: queries };
        const context = read.get(block.inputs[1].value);
        if (context !== undefined && graph.inputs.includes("input_1")) feeds.input_1 = context;
        const [weights] = await graph.run(feeds, [WEIGHTS], { toHost: true });
        try {
          callback({ id, to, step: index, weights: await download(device, weights) });
        } finally {
          weights.release();
        }
      } finally {
        queries.release();
      }
      return undefined;
    },
    evaluated: forget,
    end() {
      forget();
      for (const graph of graphs.values()) void graph.take().then((taken) => taken?.release());
      graphs.clear();
    },
  };
}

const [QUERIES, WEIGHTS] = ["queries", "weights"];

/** The attentions inside a spatial transformer, layer by layer; none in another block. */
export function attentionsOf({ network }: Pick<Pipeline, "network">, transformer: string): AttendingBlock[] {
  const block = network.blocks.find(({ id }) => id === transformer);
  return (block?.parts ?? []).filter(isBlock).filter(attends);
}

function attends(block: Block): block is AttendingBlock {
  return block.attention !== undefined;
}
