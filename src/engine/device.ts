import * as ort from "onnxruntime-node";
import { ArgumentError, DeviceUnavailableError } from "../errors.js";
import { FLOAT32, GraphBuilder, PRECISIONS } from "../graphs/graphBuilder.js";
import type { GraphTarget, Precision } from "../graphs/graphBuilder.js";
import { fusedAttentionIsRight } from "./fusedAttention.js";
import { Lazy } from "./lazy.js";

/** onnxruntime's execution providers that we know of; `dml` and `coreml` are passed through, untested. */
export const DEVICE_NAMES = ["cpu", "webgpu", "cuda", "dml", "coreml"] as const;
export type DeviceName = (typeof DEVICE_NAMES)[number];

/** Where and how graphs run. */
export interface Device extends GraphTarget {
  readonly name: DeviceName;
  /** element type of weights and activations; always float32 on `cpu` */
  readonly precision: Precision;
  /** threads inside an operator, on `cpu`; onnxruntime's own choice (one a core) where absent */
  readonly threads?: number;
  /** tensors between blocks stay in device memory (webgpu buffers); elsewhere onnxruntime-node returns them to the host */
  readonly keepsTensors: boolean;
}

export interface DeviceOptions {
  /** `auto`: cuda where it works, webgpu on macOS and Windows, else cpu. Default: cpu. */
  readonly device?: DeviceName | "auto";
  /** Default: float32. */
  readonly precision?: Precision;
  /** inside an operator, on cpu. Default: onnxruntime's own choice, one a core */
  readonly threads?: number;
}

const HOW_TO_GET: Record<DeviceName, string> = {
  cpu: "it comes with onnxruntime-node",
  cuda: 'Linux x64 with an NVIDIA driver, CUDA 12 and cuDNN 9; then `npm rebuild onnxruntime-node --onnxruntime-node-install=cuda12` downloads the CUDA libraries (README, "GPU", for CUDA 13)',
  webgpu:
    "a Vulkan driver (Linux: libvulkan1 and the card's driver), Metal or Direct3D 12; `vulkaninfo` must list the card",
  dml: "Windows 10 or later with a Direct3D 12 card",
  coreml: "macOS on Apple silicon",
};

/**
 * Finds a device and proves that it runs, on a graph of one operator.
 *
 * @throws ArgumentError for an unknown name or precision, or float16 on cpu; DeviceUnavailableError with the way to get it.
 */
export async function openDevice(options: DeviceOptions = {}): Promise<Device> {
  const { device = "cpu", precision = "float32", threads } = options;
  if (!PRECISIONS.includes(precision))
    throw new ArgumentError(`precision: expected ${PRECISIONS.join(" or ")}, found "${String(precision)}"`);
  if (device === "auto") {
    for (const name of automaticCandidates()) {
      if ((await probe(name, precision)) === undefined) return deviceOf(name, precision, threads);
    }
    return deviceOf("cpu", "float32", threads);
  }
  if (!DEVICE_NAMES.includes(device)) {
    throw new ArgumentError(`device: expected one of auto, ${DEVICE_NAMES.join(", ")}, found "${String(device)}"`);
  }
  if (device === "cpu" && precision === "float16") {
    throw new ArgumentError(
      "precision: expected float32 on device cpu, found float16 — onnxruntime's CPU kernels compute in float32; half precision needs webgpu or cuda",
    );
  }
  const failure = await probe(device, precision);
  if (failure !== undefined) {
    throw new DeviceUnavailableError(
      `device ${device} does not run on this machine (${failure}) — it needs: ${HOW_TO_GET[device]}; or use --device cpu`,
    );
  }
  return deviceOf(device, precision, threads);
}

/** On Linux a WebGPU adapter may be a software one, which nothing tells apart: there webgpu must be asked for by name. */
function automaticCandidates(): DeviceName[] {
  return process.platform === "linux" ? ["cuda"] : ["cuda", "webgpu"];
}

async function deviceOf(name: DeviceName, precision: Precision, threads: number | undefined): Promise<Device> {
  return {
    name,
    precision,
    threads,
    keepsTensors: name === "webgpu",
    fusedAttention: name !== "webgpu" || (await webgpuAttention.get()),
  };
}

/**
 * NVIDIA's libraries multiply float32 as TF32, with 10 bits of mantissa, unless this says "0" before they are loaded:
 * a block's C was then 1e-3 to 6e-3 off (bench/gpu). onnxruntime-node does not pass its own setting on.
 */
const TF32 = "NVIDIA_TF32_OVERRIDE";

/** Found out once a process. */
const webgpuAttention = new Lazy(() => fusedAttentionIsRight("webgpu"));

/** Runs one operator on the device; says what went wrong, or nothing. */
async function probe(name: DeviceName, precision: Precision): Promise<string | undefined> {
  if (name === "cpu") return undefined;
  const supported = ort.listSupportedBackends().map((backend) => backend.name);
  if (!supported.includes(name)) return `this build of onnxruntime-node has ${supported.join(", ")}`;
  const keepsFloatsWhole = name === "cuda" && precision === "float32" && process.env[TF32] === undefined;
  if (keepsFloatsWhole) process.env[TF32] = "0";
  const graph = new GraphBuilder("probe", FLOAT32);
  const x = graph.input("x", [1]);
  graph.output("y", graph.node("Relu", [x]), [1]);
  try {
    const session = await ort.InferenceSession.create(graph.encodeWithoutWeights().bytes, {
      executionProviders: [name],
    });
    await session.run({ x: new ort.Tensor("float32", Float32Array.of(1), [1]) });
    await session.release();
    return undefined;
  } catch (error) {
    if (keepsFloatsWhole) delete process.env[TF32];
    return firstLine(error);
  }
}

function firstLine(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split("\n")[0];
}
