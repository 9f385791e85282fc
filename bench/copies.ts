/** Counts what crosses between host memory and a device. */
import type { Backend } from "../src/engine/backend.js";
import type { Device } from "../src/engine/device.js";

/** Bytes uploaded to the device and downloaded from it, and how often graphs ran. */
export interface Copies {
  upBytes: number;
  downBytes: number;
  runs: number;
  /** runs that waited for the device at their end */
  waits: number;
}

/** The same device, with everything counted that goes through its backend. Meaningless on `cpu`, whose memory is the host's. */
export function counting(device: Device): { readonly device: Device; readonly counted: Copies } {
  const counted: Copies = { upBytes: 0, downBytes: 0, runs: 0, waits: 0 };
  const { backend } = device;
  const countingBackend: Backend = {
    allocate: (type, dims) => backend.allocate(type, dims),
    upload(numbers, location) {
      if (location !== "host") counted.upBytes += numbers.data.byteLength;
      return backend.upload(numbers, location);
    },
    async download(tensor) {
      const numbers = await backend.download(tensor);
      if (tensor.location === "device") counted.downBytes += numbers.byteLength;
      return numbers;
    },
    async compile(model) {
      const graph = await backend.compile(model);
      return {
        inputs: graph.inputs,
        outputs: graph.outputs,
        release: () => graph.release(),
        async run(feeds, outputs, options) {
          counted.runs++;
          for (const tensor of Object.values(feeds)) if (tensor.location === "host") counted.upBytes += tensor.bytes;
          const results = await graph.run(feeds, outputs, options);
          if (options?.waits || options?.toHost) counted.waits++;
          for (const tensor of results) if (tensor.location === "host") counted.downBytes += tensor.bytes;
          return results;
        },
      };
    },
  };
  return { device: { ...device, backend: countingBackend }, counted };
}
