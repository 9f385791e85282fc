/** Seconds per step on GPUs: ours on each device beside PyTorch + diffusers on cuda, in turns on the same weights. */
import { readFile } from "node:fs/promises";
import { cpus } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { median } from "../src/instrument/profile/statistics.js";
import { parseUNetConfig } from "../src/models/configs/unet.js";
import type { Copies } from "./copies.js";
import { randomInputs, writeInputs } from "./inputs.js";
import type { InputShape } from "./inputs.js";
import { Peer, diffusersCommand } from "./peer.js";
import { pairedRatios, takeTurns } from "./turns.js";
import type { MeasuredRatio, Side, Timings } from "./turns.js";

export interface EngineShape extends InputShape {
  readonly name: string;
  readonly rounds: number;
  readonly precision: "float16" | "float32";
  /** device → at most this share of diffusers' time, without and with torch.compile */
  readonly goals?: Readonly<Record<string, { readonly eager: number; readonly compiled: number }>>;
}

export interface EngineResult {
  readonly shape: EngineShape;
  readonly loadSeconds: Readonly<Partial<Record<string, number>>>;
  readonly versions: Readonly<Record<string, string>>;
  readonly medians: Readonly<Record<string, number>>;
  readonly ratios: readonly MeasuredRatio[];
  /** mean of |output| */
  readonly outputs: Readonly<Record<string, number>>;
  readonly copies: Readonly<Record<string, Copies>>;
  /** side → why it did not run */
  readonly skipped: Readonly<Record<string, string>>;
  readonly timings: Timings;
}

/** Counted evaluations of a turn, after one that is not counted: an idle card takes a while to clock up. */
const FOLLOWING = 4;
/** Rows of the batch: one guided image. */
const BATCH = 2;
const OURS = "ours on ";
const MEASURING = ", measuring change";
const EAGER = "diffusers on cuda";
const COMPILED = "diffusers on cuda, compiled";

/** @param unetFolder holds the UNet @param scratch for temporary files */
export async function measureEngine(
  shape: EngineShape,
  unetFolder: string,
  scratch: string,
  devices: readonly string[],
  python: string | undefined,
): Promise<EngineResult> {
  const inputsFile = join(scratch, "inputs.safetensors");
  const config = parseUNetConfig(JSON.parse(await readFile(join(unetFolder, "config.json"), "utf8")), "config.json");
  await writeInputs(inputsFile, randomInputs(config, shape, BATCH));

  const commands: Record<string, readonly string[]> = {};
  for (const device of devices)
    commands[`${OURS}${device}`] = [
      process.execPath,
      fileURLToPath(new URL("gpuSide.js", import.meta.url)),
      unetFolder,
      device,
      shape.precision,
    ];
  const skipped: Record<string, string> = {};
  for (const [name, compiled] of [
    [EAGER, false],
    [COMPILED, true],
  ] as const) {
    if (python === undefined)
      skipped[name] = "set BLOCKCACHE_PYTHON to a Python that has torch with CUDA, diffusers and safetensors";
    else
      commands[name] = diffusersCommand(python, unetFolder, {
        dtype: shape.precision,
        threads: cpus().length,
        device: "cuda",
        compiled,
      });
  }

  const peers: Peer[] = [];
  const [loadSeconds, versions, copies]: [Record<string, number>, Record<string, string>, Record<string, Copies>] = [
    {},
    {},
    {},
  ];
  const sides = new Map<string, Side>();
  try {
    for (const [name, command] of Object.entries(commands)) {
      try {
        const peer = await Peer.open(command);
        peers.push(peer);
        // A side that cannot compute is found before the turns begin.
        const first = await peer.run(inputsFile);
        if (!Number.isFinite(first.meanAbsoluteOutput)) throw new Error("its output is not a number");
        if (first.copies !== undefined) copies[name] = first.copies;
        loadSeconds[name] = peer.start.loadSeconds;
        versions[name] = peer.start.versions;
        sides.set(name, () => peer.run(inputsFile));
        if (name.startsWith(OURS)) sides.set(`${name}${MEASURING}`, () => peer.run(`change ${inputsFile}`));
      } catch (error) {
        skipped[name] = error instanceof Error ? error.message : String(error);
      }
    }
    const { timings, outputs } = await takeTurns(shape.name, shape.rounds, sides, FOLLOWING);
    const wanted = devices.flatMap((device) => {
      const ours = `${OURS}${device}`;
      const goals = shape.goals?.[device];
      return [
        { what: `${ours} ÷ ${EAGER}`, over: ours, under: EAGER, goal: goals?.eager },
        { what: `${ours} ÷ ${COMPILED}`, over: ours, under: COMPILED, goal: goals?.compiled },
        { what: `${ours}: measuring change ÷ plain`, over: `${ours}${MEASURING}`, under: ours, goal: 1.05 },
      ];
    });
    const medians = Object.fromEntries(Object.entries(timings).map(([name, values]) => [name, median(values)]));
    return {
      shape,
      loadSeconds,
      versions,
      medians,
      ratios: pairedRatios(wanted, timings),
      outputs,
      copies,
      skipped,
      timings,
    };
  } finally {
    for (const peer of peers) peer.close();
  }
}
