import { Command } from "commander";
import { openDevice } from "../engine/device.js";
import { DEVICES, DEVICE_NAMES } from "../engine/devices.js";
import type { DeviceName } from "../engine/devices.js";
import { onnxRuntime } from "../engine/native/library.js";
import { exampleText, print } from "./command.js";

interface Found {
  readonly device: DeviceName;
  readonly runs: boolean;
  readonly precisions: readonly string[];
  /** why it does not run */
  readonly reason?: string;
  readonly missing?: readonly string[];
}

/** `blockcache devices`: which devices run here, and what the others lack. */
export function devicesCommand(): Command {
  return new Command("devices")
    .description("List the devices: which run on this machine, and what is missing for the others.")
    .option("--json", "print the result as JSON, for machines")
    .addHelpText("after", exampleText("blockcache devices"))
    .action(async (options: { readonly json?: boolean }) => {
      const devices: Found[] = [];
      for (const device of DEVICE_NAMES) devices.push(await tryDevice(device));
      const { version, file } = onnxRuntime();
      print(options, { onnxruntime: version, library: file, devices }, [
        `onnxruntime ${version}, ${file}`,
        ...devices.flatMap(linesOf),
      ]);
    });
}

async function tryDevice(device: DeviceName): Promise<Found> {
  const { precisions, missing } = DEVICES[device];
  try {
    await openDevice({ device });
    return { device, runs: true, precisions };
  } catch (error) {
    return { device, runs: false, precisions, reason: (error as Error).message, missing: missing?.() };
  }
}

function linesOf({ device, runs, precisions, reason, missing = [] }: Found): string[] {
  if (runs) return [`${device}: runs, ${precisions.join(" and ")}`];
  return [`${reason}`, ...missing.map((library) => `  missing: ${library}`)];
}
