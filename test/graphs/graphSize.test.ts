/** Graphs of large models: their parameters as diffusers counts them, and no more of them in memory at once than need be. */
import { appendFileSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { CLIP_L, OPEN_CLIP_BIG_G, SDXL_UNET, SD_VAE } from "../../bench/shapes.js";
import { ATTENTION_NAMES, decoderGraph, encoderGraph } from "../../src/graphs/autoencoder.js";
import { declareInputs, hasMerge } from "../../src/graphs/block.js";
import { clipEmbeddingsGraph, clipLayerGraph, clipNormGraph, clipProjectionGraph } from "../../src/graphs/clipText.js";
import { FLOAT32, GraphBuilder } from "../../src/graphs/graphBuilder.js";
import { describeUNet } from "../../src/graphs/unet.js";
import { parseAutoencoderConfig } from "../../src/models/configs/autoencoder.js";
import { parseClipTextConfig } from "../../src/models/configs/clipText.js";
import { parseUNetConfig } from "../../src/models/configs/unet.js";
import { openSafetensors } from "../../src/files/safetensors.js";
import type { Weights } from "../../src/models/weights.js";
import { BlockNetwork } from "../../src/engine/network/blockNetwork.js";
import { openDevice } from "../../src/engine/device.js";
import { upload } from "../../src/engine/transfer.js";

const GIB = 2 ** 30;

function stagesOf(json: object): GraphBuilder[] {
  return describeUNet(parseUNetConfig(json, "unet/config.json")).stages.map((stage) => {
    const graph = new GraphBuilder(stage.id, FLOAT32);
    const inputs = declareInputs(graph, stage);
    const branch = stage.branch(graph, inputs);
    if (hasMerge(stage)) stage.merge(graph, inputs, branch);
    return graph;
  });
}

function clipGraphs(json: object): GraphBuilder[] {
  const config = parseClipTextConfig(json, "config.json");
  const clip = { config, tokens: 77, prefix: "text_model." };
  const layers = Array.from({ length: config.num_hidden_layers }, (_, layer) => clipLayerGraph(clip, layer, FLOAT32));
  return [clipEmbeddingsGraph(clip, FLOAT32), ...layers, clipNormGraph(clip, FLOAT32)];
}

const sum = (graphs: readonly GraphBuilder[]): number =>
  graphs.reduce((total, graph) => total + graph.parameterCount(), 0);
const largest = (graphs: readonly GraphBuilder[]): number => Math.max(...graphs.map((graph) => graph.weightBytes()));

describe("graphs of SDXL's shape", () => {
  it("the UNet has as many parameters as diffusers counts, in graphs of at most 1.4 GiB", () => {
    const graphs = stagesOf(SDXL_UNET);
    // sum(p.numel() for p in UNet2DConditionModel(**SDXL_UNET).parameters()), on the meta device
    expect(sum(graphs)).toBe(2_567_463_684);
    expect(largest(graphs)).toBeLessThan(1.4 * GIB);
  });

  it("the text encoders too, layer by layer", () => {
    const [first, second] = [CLIP_L, OPEN_CLIP_BIG_G].map(clipGraphs);
    const clip = { config: parseClipTextConfig(OPEN_CLIP_BIG_G, "config.json"), tokens: 77, prefix: "text_model." };
    second.push(clipProjectionGraph(clip, 49407, FLOAT32));
    // the same count of CLIPTextModel(CLIPTextConfig(**CLIP_L)) and CLIPTextModelWithProjection(CLIPTextConfig(**OPEN_CLIP_BIG_G))
    expect([sum(first), sum(second)]).toEqual([123_060_480, 694_659_840]);
    expect(4 * sum(second)).toBeGreaterThan(2 * GIB);
    expect(largest([...first, ...second])).toBeLessThan(0.3 * GIB);
  });

  it("and the autoencoder's two halves", () => {
    const vae = parseAutoencoderConfig(SD_VAE, "vae/config.json");
    const graphs = [decoderGraph(vae, FLOAT32, ATTENTION_NAMES), encoderGraph(vae, FLOAT32, ATTENTION_NAMES)];
    // the same count of AutoencoderKL(**SD_VAE)
    expect(sum(graphs)).toBe(83_653_863);
    expect(largest(graphs)).toBeLessThan(0.3 * GIB);
  });

  it("a weight that onnxruntime would not take is refused before one is read", async () => {
    const graph = new GraphBuilder("huge", FLOAT32);
    graph.weight("small", [1]);
    graph.weight("too.large", [32768, 32768]);
    const weights: Weights = {
      files: [],
      names: () => [],
      read: () => Promise.reject(new Error("was read")),
      close: () => Promise.resolve(),
    };
    await expect(graph.encode(weights)).rejects.toThrow(/^huge: too\.large of 4\.00 GiB is not supported/);
  });
});

/** Takes 10 GiB of memory and three minutes: run with BLOCKCACHE_LARGE=1. */
describe.skipIf(!process.env.BLOCKCACHE_LARGE)("beyond 2 GiB", () => {
  const MINUTES = 60_000;
  /** Weights that take no disk: zeros, but the last bias, which is then the network's output. */
  const weights: Weights = {
    files: [],
    names: () => [],
    read: async (name, dims) => {
      const data = new Float32Array(dims.reduce((product, dim) => product * dim, 1));
      return { dims, data: name === "conv_out.bias" ? data.map((_, channel) => channel + 1) : data };
    },
    close: () => Promise.resolve(),
  };

  it(
    "in all its blocks together a network loads and runs",
    async () => {
      const config = {
        ...SDXL_UNET,
        block_out_channels: [640, 1280],
        down_block_types: ["DownBlock2D", "CrossAttnDownBlock2D"],
        up_block_types: ["CrossAttnUpBlock2D", "UpBlock2D"],
        transformer_layers_per_block: [1, 4],
        attention_head_dim: [10, 20],
        layers_per_block: 1,
        addition_embed_type: null,
      };
      const network = await BlockNetwork.load(
        describeUNet(parseUNetConfig(config, "unet/config.json")),
        async () => weights,
        await openDevice(),
      );
      expect(network.weightBytes).toBeGreaterThan(2 * GIB);
      const output = await network.forward({
        sample: { dims: [1, 4, 4, 4], data: new Float32Array(64).fill(1) },
        timestep: 1,
        encoderHiddenStates: { dims: [1, 2, 2048], data: new Float32Array(4096) },
      });
      expect(output.data).toEqual(Float32Array.from({ length: 64 }, (_, index) => 1 + (index >> 4)));
      await network.dispose();
    },
    10 * MINUTES,
  );

  it(
    "a tensor is read in pieces that Node can read",
    async () => {
      const folder = mkdtempSync(join(tmpdir(), "blockcache-large-"));
      try {
        const path = join(folder, "large.safetensors");
        const bytes = 2 ** 31 + 8;
        const header = Buffer.from(JSON.stringify({ x: { dtype: "U8", shape: [bytes], data_offsets: [0, bytes] } }));
        const length = Buffer.alloc(8);
        length.writeBigUInt64LE(BigInt(header.length));
        writeFileSync(path, Buffer.concat([length, header]));
        truncateSync(path, 8 + header.length + bytes - 1);
        appendFileSync(path, Uint8Array.of(7));
        const file = await openSafetensors(path);
        const data = await file.readRaw("x");
        expect([data.length, data[0], data.at(-1)]).toEqual([bytes, 0, 7]);
        await file.close();
      } finally {
        rmSync(folder, { recursive: true, force: true });
      }
    },
    10 * MINUTES,
  );

  it(
    "a single graph runs",
    async () => {
      const graph = new GraphBuilder("large", FLOAT32);
      const [rows, columns] = [16384, 20000];
      const input = graph.input("x", [1, rows]);
      const products = ["first", "second"].map((weight) =>
        graph.node("MatMul", [input, graph.weight(weight, [rows, columns])]),
      );
      graph.output("y", graph.node("Add", products), [1, columns]);
      expect(graph.weightBytes()).toBeGreaterThan(2.4 * GIB);
      const ones: Weights = {
        ...weights,
        read: async (_, dims) => ({ dims, data: new Float32Array(rows * columns).fill(1) }),
      };
      const device = await openDevice();
      const compiled = await device.backend.compile(await graph.encode(ones));
      const x = upload(device, { dims: [1, rows], data: new Float32Array(rows).fill(1) });
      const [y] = await compiled.run({ x }, ["y"]);
      expect(new Set(y.view() as Float32Array)).toEqual(new Set([2 * rows]));
      for (const held of [x, y, compiled]) held.release();
    },
    10 * MINUTES,
  );
});
