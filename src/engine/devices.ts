/** Every device that graphs can run on, one row each: nothing else in the library asks for a device by its name. */
import type { Precision } from "../graphs/graphBuilder.js";
import { CudaStream, missingCudaLibraries } from "./native/cuda.js";
import type { ProviderSettings } from "./native/nativeBackend.js";

export const DEVICE_NAMES = ["cpu", "webgpu", "cuda", "dml", "coreml"] as const;
export type DeviceName = (typeof DEVICE_NAMES)[number];

export interface OpenSettings {
  readonly precision: Precision;
  readonly threads?: number;
  /** let NVIDIA's cards multiply float32 with 10 bits of mantissa */
  readonly tf32: boolean;
}

export interface DeviceKind {
  /** what it needs, for the error where it is missing */
  readonly howToGet: string;
  readonly precisions: readonly Precision[];
  /** its memory is the host's: how much is free can be asked for, and what does not fit is refused before it runs */
  readonly usesHostMemory: boolean;
  /** onnxruntime's fused attention must be compared with plain operators before it is used */
  readonly checksAttention: boolean;
  /** precisions in which graphs use onnxruntime's operators for diffusion, which only its CUDA provider has */
  readonly diffusionOperators: readonly Precision[];
  /** runs are recorded and launched as one */
  readonly recordsRuns: boolean;
  /** whether "auto" may choose it on a platform; it takes the first in the table that runs (device.ts) */
  readonly automatic: (platform: NodeJS.Platform) => boolean;
  /** what is missing for it here, where that can be found out without opening it. Default: unknown */
  readonly missing?: () => readonly string[];
  /** how onnxruntime's sessions are made for it. Throws DeviceUnavailableError, DeviceError */
  readonly settings: (open: OpenSettings) => ProviderSettings;
}

/** The devices, the fastest first. */
export const DEVICES: Readonly<Record<DeviceName, DeviceKind>> = {
  cuda: {
    howToGet:
      "Linux x64 with an NVIDIA driver, and onnxruntime's CUDA provider with CUDA's own libraries: `blockcache devices` says which are missing",
    precisions: ["float32", "float16"],
    usesHostMemory: false,
    checksAttention: false,
    // In float32, plain operators: the fused GroupNorm adds up in no fixed order, so that runs would differ.
    diffusionOperators: ["float16"],
    recordsRuns: true,
    automatic: () => true,
    missing: missingCudaLibraries,
    settings: ({ precision, tf32 }) => {
      const stream = new CudaStream();
      return {
        provider: "CUDA",
        memory: "Cuda",
        stream,
        options: {
          device_id: "0",
          has_user_compute_stream: "1",
          user_compute_stream: String(stream.address),
          use_tf32: tf32 ? "1" : "0",
          // NVIDIA's float16 convolutions work with channels last, whatever they are given.
          prefer_nhwc: precision === "float16" ? "1" : "0",
          cudnn_conv_algo_search: "HEURISTIC",
          arena_extend_strategy: "kSameAsRequested",
        },
      };
    },
  },
  webgpu: {
    howToGet:
      "a Vulkan driver (Linux: libvulkan1 and the card's driver), Metal or Direct3D 12; `vulkaninfo` must list the card",
    precisions: ["float32", "float16"],
    usesHostMemory: false,
    checksAttention: true,
    diffusionOperators: [],
    recordsRuns: false,
    // On Linux an adapter may be a software one, and nothing tells it from a real one: there it must be asked for by
    // name.
    automatic: (platform) => platform !== "linux",
    settings: () => ({ provider: "WebGPU", memory: "WebGPU_Buf" }),
  },
  dml: {
    howToGet: "Windows 10 or later with a Direct3D 12 card",
    precisions: ["float32", "float16"],
    usesHostMemory: false,
    checksAttention: false,
    diffusionOperators: [],
    recordsRuns: false,
    automatic: () => false,
    settings: () => ({ provider: "DML" }),
  },
  coreml: {
    howToGet: "macOS on Apple silicon",
    precisions: ["float32", "float16"],
    usesHostMemory: true,
    checksAttention: false,
    diffusionOperators: [],
    recordsRuns: false,
    automatic: () => false,
    settings: () => ({ provider: "CoreML" }),
  },
  cpu: {
    howToGet: "onnxruntime-node's library for this platform",
    precisions: ["float32"],
    usesHostMemory: true,
    checksAttention: false,
    diffusionOperators: [],
    recordsRuns: false,
    automatic: () => true,
    settings: ({ threads }) => ({ threads }),
  },
};
