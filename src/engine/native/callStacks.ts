/** Stack space for native libraries. */
import koffi from "koffi";

/**
 * koffi gives every call a stack of its own: 128 KiB on a worker thread, where onnxruntime and cuDNN, which compiles
 * kernels while it plans a convolution, need more and would crash the process.
 */
const STACK_BYTES = 8 * 2 ** 20;

let isSet = false;

/** Widens the stacks of native calls; to be called before the first of them, after which koffi refuses. */
export function widenCallStacks(): void {
  if (isSet) return;
  isSet = true;
  try {
    koffi.config({ ...koffi.config(), sync_stack_size: STACK_BYTES, async_stack_size: STACK_BYTES });
  } catch {
    process.emitWarning(
      "koffi was used in this process before blockcache: its calls keep their small stacks, in which a GPU's libraries may crash — load blockcache's pipeline first",
    );
  }
}
