/** Counts what crosses between host memory and a device. */
import * as ort from "onnxruntime-node";

/** Tensors that sessions were fed from host memory (up) and that they returned to it (down). */
export interface Copies {
  readonly upBytes: number;
  readonly downBytes: number;
  readonly sessionRuns: number;
}

/**
 * Runs `work` and counts at the one place where every tensor passes, the session's `run`. Tensors in device
 * memory count nothing. What an execution provider copies inside a session is not seen. Meaningless on `cpu`.
 */
export async function countCopies(work: () => Promise<unknown>): Promise<Copies> {
  const counted = { upBytes: 0, downBytes: 0, sessionRuns: 0 };
  const { prototype } = ort.InferenceSession as unknown as {
    prototype: { run: (...args: unknown[]) => Promise<Record<string, ort.Tensor>> };
  };
  const original = prototype.run;
  prototype.run = async function (feeds, ...rest) {
    counted.sessionRuns += 1;
    counted.upBytes += hostBytes(feeds as Record<string, ort.Tensor>);
    const results = await original.call(this, feeds, ...rest);
    counted.downBytes += hostBytes(results);
    return results;
  };
  try {
    await work();
    return counted;
  } finally {
    prototype.run = original;
  }
}

function hostBytes(tensors: Readonly<Record<string, ort.Tensor>>): number {
  const host = Object.values(tensors).filter(({ location }) => location === "cpu");
  return host.reduce((sum, { data }) => sum + (ArrayBuffer.isView(data) ? data.byteLength : 0), 0);
}
