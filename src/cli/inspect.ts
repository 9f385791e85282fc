import type { Command } from "commander";
import type { Pipeline } from "../diffusion/pipeline.js";
import { ELEMENT_BYTES } from "../graphs/onnx.js";
import { blockMap, timeBlocks } from "../instrument/blockMap.js";
import type { BlockMapEntry } from "../instrument/blockMap.js";
import { alignedTable } from "../study/table.js";
import { MODEL, command, latentSizeOf, mebibytes, openPipeline, positiveInteger, print } from "./command.js";
import type { CommonOptions, SizeOptions } from "./command.js";

interface InspectOptions extends CommonOptions, SizeOptions {
  readonly inside?: boolean;
}

/** `blockcache inspect`: every block of a model with kind, shape, size and share of time. */
export function inspectCommand(): Command {
  return command(
    "inspect",
    "List the blocks of a model: id, kind, shape, parameters, multiply-adds, share of time.",
    "blockcache inspect fluent-ldm --inside",
  )
    .argument("<model>", MODEL)
    .option("--height <pixels>", "image height (default: what the model was trained at)", positiveInteger)
    .option("--width <pixels>", "image width", positiveInteger)
    .option("--inside", "list attn1, attn2 and ff inside the spatial transformers too")
    .action(async (model: string, options: InspectOptions) => {
      const pipeline = await openPipeline(model, options);
      const latentSize = latentSizeOf(options, pipeline) ?? pipeline.defaultLatentSize;
      const seconds = await timeBlocks(pipeline, 3, latentSize);
      const total = sum([...seconds.values()]);
      const blocks = blockMap(pipeline, latentSize)
        .filter((entry) => options.inside || entry.inside === undefined)
        .map((entry) => (entry.inside === undefined ? { ...entry, seconds: seconds.get(entry.id) } : entry));
      const memory = memoryOf(pipeline, blocks);
      print(options, { model: pipeline.name, latent_size: latentSize, blocks, memory }, [
        ...table(blocks, total),
        "",
        ...memoryLines(memory),
      ]);
      await pipeline.dispose();
    });
}

/** Bytes, of the denoising network unless said otherwise. */
interface Memory {
  readonly weights: number;
  /** the part of the weights that is held twice once every block has been reused */
  readonly shared_weights: number;
  /** C of every cacheable block, once, for one batch row: what `hold` keeps; guidance has two rows per image */
  readonly cache_per_row: number;
  /** the whole process now: sessions and their working memory after evaluations of two rows, the text encoder, Node itself */
  readonly process: number;
}

function memoryOf({ device, network }: Pipeline, blocks: readonly BlockMapEntry[]): Memory {
  const bytesOfParameter = ELEMENT_BYTES[device.precision];
  const whole = blocks.filter(({ inside }) => inside === undefined);
  return {
    weights: network.weightBytes - network.sharedWeightBytes,
    shared_weights: sum(whole.map(({ sharedParameters }) => sharedParameters)) * bytesOfParameter,
    cache_per_row: sum(whole.filter(({ cacheable }) => cacheable).map(({ bytes }) => bytes)),
    process: process.memoryUsage.rss(),
  };
}

function memoryLines(memory: Memory): string[] {
  return [
    `weights ${mebibytes(memory.weights)}, held once; ${mebibytes(memory.shared_weights)} of them twice where all blocks are reused (the ResNet blocks' shortcuts)`,
    `cache ${mebibytes(memory.cache_per_row)} per batch row where every cacheable block keeps its C; guidance has two rows per image`,
    `process ${mebibytes(memory.process)} resident, including sessions and their working memory at two rows`,
  ];
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

function table(blocks: readonly BlockMapEntry[], total: number): string[] {
  const header = [
    "block",
    "kind",
    "C of one row",
    "KiB",
    "parameters",
    "M multiply-adds",
    "share of time",
    "cacheable",
  ];
  const rows = blocks.map((block) => [
    block.id,
    block.kind,
    block.shape.join("×"),
    (block.bytes / 1024).toFixed(0),
    block.parameters.toLocaleString("en"),
    (block.multiplyAdds / 1e6).toFixed(1),
    block.seconds === undefined ? "" : `${((100 * block.seconds) / total).toFixed(1)} %`,
    block.cacheable ? "yes" : "no",
  ]);
  return alignedTable([header, ...rows], 3);
}
