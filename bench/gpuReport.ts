/** What bench/gpu writes into its .md file. */
import type { EngineResult } from "./gpuEngine.js";
import type { FolderParity, RelativeError } from "./gpuParity.js";

export interface ParityResult {
  readonly device: string;
  readonly precision: string;
  readonly folders: readonly FolderParity[];
  /** why it did not run, or did not finish */
  readonly skipped?: string;
}

/** The largest error allowed in float32; for float16 it is only reported. */
const GOAL = 1e-3;

export function gpuReport(
  machine: string,
  software: boolean,
  parity: readonly ParityResult[],
  engines: readonly EngineResult[],
): string {
  const warning =
    "**A software device: Vulkan computed on the processor by SwiftShader. This shows that the bench works, and says nothing about speed on a GPU.**";
  return [
    "# bench/gpu",
    "",
    ...(software ? [warning, ""] : []),
    machine,
    "",
    "## Parity with cpu",
    "",
    `max |difference| ÷ max |value on cpu| of the network's output, of every block's C, of the final latents after 7 steps of DDIM, of the change of its blocks, and of the final latents where every second step reuses (all kinds, linear) or is skipped whole. Goal ${GOAL} in float32; float16 is told only.`,
    "",
    ...parityTable(parity),
    ...engines.flatMap(engineSection),
  ].join("\n");
}

function parityTable(parity: readonly ParityResult[]): string[] {
  const lines = [
    "| device | precision | folder | network | worst C | final latents | change | cached latents | skipped latents | met |",
    "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
  ];
  for (const { device, precision, folders } of parity) {
    for (const { folder, network, blocks, worstBlock, latents, change, cachedLatents, skippedLatents } of folders) {
      const met =
        precision === "float16"
          ? ""
          : [network, worstBlock.error, latents, change, cachedLatents, skippedLatents].every(
                (error) => error !== null && error <= GOAL,
              )
            ? "yes"
            : "**no**";
      lines.push(
        `| ${device} | ${precision} | ${folder} | ${told(network)} | ${told(worstBlock.error)} of ${blocks} (${worstBlock.id}) | ${told(latents)} | ${told(change)} | ${told(cachedLatents)} | ${told(skippedLatents)} | ${met} |`,
      );
    }
  }
  const skipped = parity.flatMap(({ device, precision, skipped }) =>
    skipped === undefined ? [] : [`- skipped: ${device}, ${precision}: ${skipped}`],
  );
  return [...lines, "", ...skipped, ""];
}

function told(error: RelativeError): string {
  return error === null ? "not a number" : error.toExponential(1);
}

function engineSection({
  shape,
  loadSeconds,
  versions,
  medians,
  ratios,
  outputs,
  copies,
  skipped,
}: EngineResult): string[] {
  const mebibytes = (bytes: number): string => (bytes / 2 ** 20).toFixed(2);
  const lines = [
    `## ${shape.name}, ${shape.precision}`,
    "",
    `One guided image (2 rows), latents ${shape.latentSize}×${shape.latentSize}, ${shape.rounds} rounds in turns. Copies: what sessions took from host memory and gave back to it in one evaluation.`,
    "",
  ];
  lines.push(
    "| side | seconds a step | mean of \\|output\\| | load, seconds | up, MiB | down, MiB | runs |",
    "| --- | --- | --- | --- | --- | --- | --- |",
  );
  for (const [name, seconds] of Object.entries(medians)) {
    const counted =
      name in copies
        ? [
            mebibytes(copies[name].upBytes),
            mebibytes(copies[name].downBytes),
            `${copies[name].runs}, ${copies[name].waits} waited for`,
          ]
        : ["", "", ""];
    lines.push(
      `| ${[name in versions ? `${name} (${versions[name]})` : name, seconds.toFixed(4), outputs[name].toPrecision(4), loadSeconds[name]?.toFixed(1) ?? "", ...counted].join(" | ")} |`,
    );
  }
  lines.push("");
  if (ratios.length > 0)
    lines.push("| ratio of one round's seconds | median (min–max) | goal, at most |", "| --- | --- | --- |");
  for (const { what, median, min, max, goal } of ratios)
    lines.push(`| ${what} | ${median.toFixed(3)} (${min.toFixed(3)}–${max.toFixed(3)}) | ${goal ?? ""} |`);
  for (const [name, reason] of Object.entries(skipped)) lines.push(`- skipped: ${name}: ${reason}`);
  return [...lines, ""];
}
