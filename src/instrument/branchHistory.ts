/** What change is measured against: each block's C at the last evaluations, and the sums of a new one against them. */
import type { Device } from "../runtime/device.js";
import { HeldTensors } from "../runtime/heldTensors.js";
import type { DeviceTensor } from "../runtime/session.js";
import { namedSums, rowSums } from "./changeSums.js";
import type { RowSums } from "./changeSums.js";
import { HostBranch } from "./hostSums.js";

export interface BranchHistory {
  /**
   * The sums of a block's C against each kept one, newest first, or against itself where none is: [kept][row]. Then
   * it is kept in the oldest's place.
   */
  push(id: string, branch: DeviceTensor): Promise<readonly (readonly RowSums[])[]>;
  /** Forgets a block's values; without an id all blocks'. */
  clear(id?: string): void;
  /** most bytes kept at any time */
  readonly peakBytes: number;
}

/** @param window how many evaluations are kept */
export function branchHistory(device: Device, window: number): BranchHistory {
  return device.keepsTensors || device.precision === "float16" ? onDevice(device, window) : inHostMemory(window);
}

/** The tensors stay where they are. */
function onDevice(device: Device, window: number): BranchHistory {
  /** newest first */
  const kept = new Map<string, readonly DeviceTensor[]>();
  const held = new HeldTensors();
  return {
    get peakBytes() {
      return held.peakBytes;
    },
    async push(id, branch) {
      const before = kept.get(id) ?? [];
      const sums: RowSums[][] = [];
      for (const earlier of before.length === 0 ? [branch] : before) sums.push(await rowSums(device, branch, earlier));
      for (const oldest of before.slice(window - 1)) held.release(oldest);
      kept.set(id, [held.retain(branch), ...before.slice(0, window - 1)]);
      return sums;
    },
    clear(id) {
      for (const each of id === undefined ? [...kept.keys()] : [id]) {
        for (const branch of kept.get(each) ?? []) held.release(branch);
        kept.delete(each);
      }
    },
  };
}

/**
 * The values are copied where they are summed, so that the tensor itself is free again at once: a graph of five
 * operators reads it five times, and made sampling 17 to 20 % slower instead of a few per cent.
 */
function inHostMemory(window: number): BranchHistory {
  const branches = new Map<string, HostBranch>();
  let peakBytes = 0;
  return {
    get peakBytes() {
      return peakBytes;
    },
    async push(id, { data, dims: [rows] }) {
      if (!(data instanceof Float32Array)) throw new TypeError(`${id}: expected C in host memory as float32`);
      let branch = branches.get(id);
      if (branch?.length !== data.length) {
        branch = new HostBranch(data.length, window);
        branches.set(id, branch);
        peakBytes = Math.max(peakBytes, [...branches.values()].reduce((sum, { bytes }) => sum + bytes, 0));
      }
      return branch.push(data, rows).map((each) => each.map(namedSums));
    },
    clear(id) {
      if (id === undefined) branches.clear();
      else branches.get(id)?.clear();
    },
  };
}
