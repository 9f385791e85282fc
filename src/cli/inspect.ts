import type { Command } from "commander";
import { ArgumentError } from "../errors.js";
import { blockMap, timeBlocks } from "../instrument/blockMap.js";
import type { BlockMapEntry } from "../instrument/blockMap.js";
import { MODEL, command, openPipeline, positiveInteger, print } from "./command.js";
import type { CommonOptions } from "./command.js";

interface InspectOptions extends CommonOptions {
  readonly height?: number;
  readonly width?: number;
  readonly inside?: boolean;
}

/** `blockcache inspect`: every hook of a model with kind, shape, size and share of time. */
export function inspectCommand(): Command {
  return command("inspect", "List the blocks of a model: id, kind, shape, parameters, multiply-adds, share of time.", "blockcache inspect fluent-ldm --inside")
    .argument("<model>", MODEL)
    .option("--height <pixels>", "image height (default: what the model was trained at)", positiveInteger)
    .option("--width <pixels>", "image width", positiveInteger)
    .option("--inside", "list attn1, attn2 and ff inside the spatial transformers too")
    .action(async (model: string, options: InspectOptions) => {
      const pipeline = await openPipeline(model, options);
      const latentSize = latentSizeOf(options, pipeline.vaeScaleFactor) ?? pipeline.defaultLatentSize;
      const seconds = await timeBlocks(pipeline, 3, latentSize);
      const total = [...seconds.values()].reduce((sum, value) => sum + value, 0);
      const blocks = blockMap(pipeline, latentSize)
        .filter((entry) => options.inside || entry.inside === undefined)
        .map((entry) => (entry.inside === undefined ? { ...entry, seconds: seconds.get(entry.id) } : entry));
      print(options, { model: pipeline.name, latent_size: latentSize, blocks }, table(blocks, total));
      await pipeline.dispose();
    });
}

function latentSizeOf({ height, width }: InspectOptions, factor: number): readonly [number, number] | undefined {
  if (height === undefined && width === undefined) return undefined;
  if (height === undefined || width === undefined || height % factor !== 0 || width % factor !== 0) {
    throw new ArgumentError(`--height and --width: expected both, as multiples of ${factor}, found ${height} and ${width}`);
  }
  return [height / factor, width / factor];
}

function table(blocks: readonly BlockMapEntry[], total: number): string[] {
  const header = ["block", "kind", "C of one row", "KiB", "parameters", "M multiply-adds", "share of time", "cacheable"];
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
  const widths = header.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column].length)));
  return [header, ...rows].map((row) => row.map((cell, column) => (column < 3 ? cell.padEnd(widths[column]) : cell.padStart(widths[column]))).join("  "));
}
