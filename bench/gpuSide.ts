/**
 * Our network on one device, in a process of its own that speaks engine_peer.py's protocol, so that a driver's crash
 * ends only one side.
 *
 * usage: gpuSide.js UNET_FOLDER DEVICE PRECISION; then one line per evaluation on stdin: a file of inputs, preceded by
 * "change " where the change of every block is also measured
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Precision } from "../src/graphs/graphBuilder.js";
import { describeUNet } from "../src/graphs/unet.js";
import { parseUNetConfig } from "../src/models/configs/unet.js";
import { readJson } from "../src/files/json.js";
import { openWeights } from "../src/models/weights.js";
import { changeMeter } from "../src/instrument/change/change.js";
import { BlockNetwork } from "../src/engine/network/blockNetwork.js";
import { openDevice } from "../src/engine/device.js";
import type { DeviceName } from "../src/engine/devices.js";
import { onnxRuntime } from "../src/engine/native/library.js";
import { counting } from "./copies.js";
import type { Copies } from "./copies.js";
import { TIMESTEP, readInputs } from "./inputs.js";
import type { PeerRun, PeerStart } from "./peer.js";

const CHANGE = "change ";

async function main(unetFolder: string, deviceName: DeviceName, precision: Precision): Promise<void> {
  const started = performance.now();
  const { device, counted } = counting(await openDevice({ device: deviceName, precision }));
  const file = join(unetFolder, "config.json");
  const unet = describeUNet(parseUNetConfig(await readJson(file), file));
  const network = await BlockNetwork.load(unet, () => openWeights(unetFolder, "diffusion_pytorch_model"), device);
  answer({
    loadSeconds: (performance.now() - started) / 1000,
    versions: `onnxruntime ${onnxRuntime().version}`,
  } satisfies PeerStart);

  let copies: Copies | undefined;
  const meter = changeMeter({ network }, () => undefined);
  let measured = 0;
  for await (const line of createInterface({ input: process.stdin })) {
    const measures = line.startsWith(CHANGE);
    const inputs = await readInputs(measures ? line.slice(CHANGE.length) : line);
    if (copies === undefined) {
      await network.forward(inputs);
      copies = { ...counted };
    }
    const before = performance.now();
    const { data } = await network.forward(
      inputs,
      measures
        ? {
            observers: [meter],
            evaluation: { index: measured++, timestep: TIMESTEP, images: inputs.sample.dims[0] / 2, guided: true },
          }
        : {},
    );
    const seconds = (performance.now() - before) / 1000;
    const meanAbsoluteOutput = data.reduce((sum, value) => sum + Math.abs(value), 0) / data.length;
    answer({ seconds, meanAbsoluteOutput, peakBytes: await peakBytes(), copies } satisfies PeerRun);
  }
}

function answer(line: object): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

/** Most resident host memory so far; 0 where there is no /proc. */
async function peakBytes(): Promise<number> {
  const status = await readFile("/proc/self/status", "utf8").catch(() => "");
  return Number(/VmHWM:\s*(\d+)/.exec(status)?.[1] ?? 0) * 1024;
}

try {
  const [unetFolder, device, precision] = process.argv.slice(2);
  await main(unetFolder, device as DeviceName, precision as Precision);
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
// Drivers' threads may keep the process alive, or crash it during an orderly exit.
process.exit();
