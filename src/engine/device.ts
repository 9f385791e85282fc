import { ArgumentError, BlockcacheError, DeviceUnavailableError } from "../errors.js";
import { PRECISIONS } from "../graphs/graphBuilder.js";
import type { GraphTarget, Precision } from "../graphs/graphBuilder.js";
import type { Backend } from "./backend.js";
import { DEVICES, DEVICE_NAMES } from "./devices.js";
import type { DeviceName } from "./devices.js";
import { fusedAttentionIsRight } from "./fusedAttention.js";
import { NativeBackend } from "./native/nativeBackend.js";

/** Where and how graphs run. */
export interface Device extends GraphTarget {
  readonly name: DeviceName;
  /** element type of weights and activations */
  readonly precision: Precision;
  /** threads inside an operator, on `cpu`; one for each core where absent */
  readonly threads?: number;
  readonly backend: Backend;
}

export interface DeviceOptions {
  /** `auto`: cuda where it works, webgpu on macOS and Windows, else cpu. Default: cpu. */
  readonly device?: DeviceName | "auto";
  /** Default: float32. Where `auto` comes to cpu, which computes in float32 only, it warns and does that. */
  readonly precision?: Precision;
  /** inside an operator, on cpu. Default: one for each core */
  readonly threads?: number;
  /** on cuda, multiply float32 as TF32, with 10 bits of mantissa: faster, and about 1e-3 off. Default: false */
  readonly tf32?: boolean;
}

/**
 * Finds a device and proves that it runs, on a graph of one operator.
 *
 * @throws ArgumentError for an unknown name, or a precision that the device does not compute in;
 *   DeviceUnavailableError with the way to get it
 */
export async function openDevice(options: DeviceOptions = {}): Promise<Device> {
  const { device = "cpu", precision = "float32" } = options;
  if (!PRECISIONS.includes(precision))
    throw new ArgumentError(`precision: expected ${PRECISIONS.join(" or ")}, found "${String(precision)}"`);
  if (device === "auto") return openAutomatically(options, precision);
  if (!DEVICE_NAMES.includes(device))
    throw new ArgumentError(`device: expected one of auto, ${DEVICE_NAMES.join(", ")}, found "${String(device)}"`);
  const { precisions, howToGet } = DEVICES[device];
  if (!precisions.includes(precision))
    throw new ArgumentError(
      `precision: expected ${precisions.join(" or ")} on device ${device}, found ${precision} — onnxruntime's CPU kernels compute in float32; half precision needs webgpu or cuda`,
    );
  try {
    return await open(device, precision, options);
  } catch (error) {
    if (!(error instanceof BlockcacheError)) throw error;
    throw new DeviceUnavailableError(
      `device ${device} does not run on this machine (${error.message}) — it needs: ${howToGet}; or use --device cpu`,
    );
  }
}

/** The first of the table's devices that may be chosen automatically here, computes in this precision, and runs. */
async function openAutomatically(options: DeviceOptions, precision: Precision): Promise<Device> {
  for (const name of Object.keys(DEVICES) as DeviceName[]) {
    const { automatic, precisions } = DEVICES[name];
    if (name === "cpu" || !automatic(process.platform) || !precisions.includes(precision)) continue;
    try {
      return await open(name, precision, options);
    } catch (error) {
      if (!(error instanceof BlockcacheError)) throw error;
    }
  }
  if (precision !== "float32")
    process.emitWarning(
      `device auto: no device that computes in ${precision} runs on this machine: cpu computes in float32, in twice the memory`,
    );
  return open("cpu", "float32", options);
}

/** What the check of a device's attention found: made once per process. */
const attentionChecks = new Map<DeviceName, Promise<boolean>>();

async function open(name: DeviceName, precision: Precision, { threads, tf32 = false }: DeviceOptions): Promise<Device> {
  const { settings, checksAttention, recordsRuns, diffusionOperators: fused } = DEVICES[name];
  const backend = await NativeBackend.open(settings({ threads, precision, tf32 }));
  const device = { name, precision, threads, backend, recordsRuns, diffusionOperators: fused.includes(precision) };
  if (!checksAttention) return { ...device, fusedAttention: true };
  const check = attentionChecks.get(name) ?? fusedAttentionIsRight(backend);
  attentionChecks.set(name, check);
  return { ...device, fusedAttention: await check };
}
