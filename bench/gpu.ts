/**
 * What a GPU gives, in one command: parity of each device with `cpu` on tiny folders, seconds per step on SD-1.5 and
 * SDXL shapes beside PyTorch + diffusers on cuda, and the bytes copied between host and device.
 *
 *   npm run bench:gpu -- [--devices webgpu,cuda] [--shapes sd15,sdxl] [--tiny]
 *     BLOCKCACHE_PYTHON=python with torch (CUDA) and diffusers
 *
 * `--tiny` runs only the smallest folder, in float32, to see that the bench works. Writes bench/results/gpu.json and
 * gpu.md; gpu-tiny with `--tiny`, gpu-software-vulkan where VK_ICD_FILENAMES names a software driver.
 */
import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { cpus, loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { measureEngine } from "./gpuEngine.js";
import type { EngineResult, EngineShape } from "./gpuEngine.js";
import type { FolderParity } from "./gpuParity.js";
import { gpuReport } from "./gpuReport.js";
import type { ParityResult } from "./gpuReport.js";
import { writeRandomUNet } from "./randomUNet.js";
import { writeResult } from "./results.js";
import { SD15_UNET, SDXL_UNET } from "./shapes.js";

const FIXTURES = join("test", "fixtures", "models");
const TINIEST = join(FIXTURES, "lcm-like");

/** Runs in a process of its own, so that a driver's crash ends nothing else. */
function parityOf(device: string, precision: string, folders: readonly string[]): ParityResult {
  const script = fileURLToPath(new URL("gpuParity.js", import.meta.url));
  const { stdout, stderr, status, signal } = spawnSync(process.execPath, [script, device, precision, ...folders], {
    encoding: "utf8",
  });
  const results = stdout
    .split("\n")
    .filter((line) => line.startsWith("{"))
    .map((line) => JSON.parse(line) as FolderParity);
  if (status === 0) return { device, precision, folders: results };
  return {
    device,
    precision,
    folders: results,
    skipped: `${signal === null ? "" : `${signal}: `}${stderr.trim().split("\n").at(-1)}`,
  };
}

interface NetworkShape {
  readonly shape: EngineShape;
  /** of the UNet's config; absent for a fixture's */
  readonly json?: object;
}

const SHAPES: Readonly<Record<string, NetworkShape>> = {
  sd15: {
    shape: {
      name: "SD-1.5 shape",
      latentSize: 64,
      tokens: 77,
      rounds: 10,
      precision: "float16",
      goals: { cuda: { eager: 0.6, compiled: 1 } },
    },
    json: SD15_UNET,
  },
  sdxl: {
    shape: { name: "SDXL shape", latentSize: 128, tokens: 77, rounds: 5, precision: "float16" },
    json: SDXL_UNET,
  },
};
const TINY: NetworkShape = {
  shape: { name: "lcm-like fixture", latentSize: 8, tokens: 8, rounds: 2, precision: "float32" },
};

async function* enginesOf(shapes: readonly NetworkShape[], devices: readonly string[]): AsyncGenerator<EngineResult> {
  const python = process.env.BLOCKCACHE_PYTHON;
  for (const { shape, json } of shapes) {
    const scratch = await mkdtemp(join(tmpdir(), "blockcache-gpu-"));
    try {
      if (json !== undefined) await writeRandomUNet(scratch, json);
      yield await measureEngine(shape, json === undefined ? join(TINIEST, "unet") : scratch, scratch, devices, python);
    } finally {
      await rm(scratch, { recursive: true, force: true });
    }
  }
}

/** The NVIDIA card, where there is one. */
function card(): string {
  const { stdout, status } = spawnSync("nvidia-smi", ["--query-gpu=name,driver_version", "--format=csv,noheader"], {
    encoding: "utf8",
  });
  return status === 0 ? stdout.trim().replace("\n", "; ") : "no nvidia-smi";
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      devices: { type: "string", default: "webgpu,cuda" },
      shapes: { type: "string", default: Object.keys(SHAPES).join() },
      tiny: { type: "boolean", default: false },
    },
  });
  const devices = values.devices.split(",");
  const software = /swiftshader|lvp_icd/.test(process.env.VK_ICD_FILENAMES ?? "");
  const load = loadavg()[0];
  const folders = values.tiny ? [TINIEST] : readdirSync(FIXTURES).map((name) => join(FIXTURES, name));
  const parity: ParityResult[] = [];
  const engines: EngineResult[] = [];
  // Written after each part, so that the results so far remain if the machine is taken away.
  const name = software ? "gpu-software-vulkan" : values.tiny ? "gpu-tiny" : "gpu";
  const machine = `${card()}; ${cpus()[0].model}, ${cpus().length} cores; Node ${process.version}; load average ${load.toFixed(2)} at the start.`;
  const write = async (): Promise<void> => {
    await writeResult(`${name}.json`, `${JSON.stringify({ machine, software, parity, engines }, undefined, 1)}\n`);
    await writeResult(`${name}.md`, gpuReport(machine, software, parity, engines));
  };
  const shapes = values.tiny ? [TINY] : values.shapes.split(",").map((shape) => SHAPES[shape]);
  for await (const engine of enginesOf(shapes, devices)) {
    engines.push(engine);
    await write();
  }
  for (const precision of ["float32", "float16"]) {
    for (const device of devices) {
      console.log(`parity: ${device}, ${precision}`);
      const result = parityOf(device, precision, folders);
      if (result.skipped !== undefined) console.log(`skipped: ${result.skipped}`);
      parity.push(result);
      await write();
    }
  }
  console.log(gpuReport(machine, software, parity, engines));
}

await main();
