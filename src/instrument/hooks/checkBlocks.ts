import type { SamplingHook } from "../../diffusion/samplingHook.js";
import type { Device } from "../../engine/device.js";
import { releaseAll } from "../../engine/tensor.js";
import type { Tensor } from "../../engine/tensor.js";
import { download } from "../../engine/transfer.js";
import { requireFinite } from "../../numerics/finite.js";
import type { FloatTensor } from "../../numerics/tensor.js";
import { hook } from "./hooks.js";

/**
 * A hook that finds where NaN and infinity come from: sampling ends at the first block, computed or reused, whose
 * output holds any. It reads every output in host memory, which takes time; those of reused blocks are kept until the
 * next block computes.
 *
 * @throws NotFiniteError during sampling, which names block and evaluation
 */
export function checkBlocks(): SamplingHook {
  const check = (output: FloatTensor, id: string, step: number, how: string): void =>
    requireFinite(output, `${id}, evaluation ${step}${how}`, "the first block that gives NaN or infinity");
  const computed = hook("all", ({ id, step, out }) => check(out, id, step, ""), { results: ["out"] });
  const reused = new Set<string>();
  const outputs = new Map<string, Tensor>();
  let device: Device | undefined;

  const checkReused = async (step: number): Promise<void> => {
    if (device === undefined) return;
    for (const [id, tensor] of outputs) {
      check(await download(device, tensor), id, step, ", reused");
      outputs.delete(id);
      tensor.release();
    }
  };
  return {
    async begin(model) {
      device = model.network.device;
      return computed.begin?.(model);
    },
    answer: (block, evaluation) => computed.answer(block, evaluation),
    async look(block, shown, evaluation) {
      await checkReused(evaluation.index);
      return computed.look?.(block, shown, evaluation);
    },
    executed({ id }, how) {
      if (how === "reused") reused.add(id);
    },
    value(name, output) {
      if (reused.delete(name)) outputs.set(name, output.retain());
    },
    evaluated: ({ index }) => checkReused(index),
    end() {
      releaseAll(outputs.values());
      outputs.clear();
      reused.clear();
    },
  };
}
