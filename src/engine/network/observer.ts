import { hasMerge } from "../../graphs/block.js";
import type { Block } from "../../graphs/block.js";
import type { DeviceTensor } from "../session.js";

/** One call of the network during sampling. */
export interface Evaluation {
  /** 0-based, in sampling order: what schedules and profiles call a step */
  readonly index: number;
  readonly timestep: number;
  /** images in the batch; with guidance the batch has twice as many rows, the unconditional half first */
  readonly images: number;
  readonly guided: boolean;
}

/** `computed`: its branch was run; `reused`: a stand-in took the branch's place. */
export type Execution = "computed" | "reused";

/** Which of a block's results are looked at. */
export interface BlockWants {
  readonly branch: boolean;
  readonly out: boolean;
}

/** A block's results. */
export interface BlockResult {
  /** C, before the residual */
  readonly branch: DeviceTensor;
  /** the block's output; the same tensor as C in a block without a residual */
  readonly out: DeviceTensor;
  /** the block's first input, which its residual adds to */
  readonly input: DeviceTensor;
}

/** What an observer may put in the place of a block's results. */
export type BlockReplacement = Partial<Pick<BlockResult, "branch" | "out">>;

/**
 * Looks at blocks while the network runs, and may change what they give.
 * Tensors are the network's, and their numbers end with them: who keeps one retains it (ownership.ts). An `out` that
 * an observer gives in place of the network's becomes the network's; a branch that it gives stays its own.
 */
export interface BlockObserver {
  /** Which of the block's results are looked at; where none is, `computed` is not called. */
  wants(block: Block, evaluation: Evaluation): BlockWants;
  /** Whether `standIn` gives this block's C, so that the branch is not run. Asked for all blocks before any runs. */
  standsIn?(block: Block, evaluation: Evaluation): boolean;
  /**
   * C of a block that does not run; it stays the observer's until the evaluation is complete.
   *
   * @param input the block's first input, the network's own; undefined in a block without a residual, which reads none
   */
  standIn?(block: Block, evaluation: Evaluation, input: DeviceTensor | undefined): Promise<DeviceTensor>;
  /** Told every value that blocks read: those that the network is given, then what each stage gives. */
  value?(name: string, value: DeviceTensor, evaluation: Evaluation): void;
  /** Told what was done with a block; not called for one whose result nothing reads. */
  executed?(block: Block, how: Execution, evaluation: Evaluation): void;
  /** Called after each wanted block; what it returns takes the place of C (merged anew) or of the output. */
  computed(block: Block, result: BlockResult, evaluation: Evaluation): Promise<BlockReplacement | undefined>;
  /** Called when an evaluation is complete. */
  evaluated?(evaluation: Evaluation): Promise<void>;
}

/**
 * Several observers as one; each sees what the one before it left, and the first stand-in counts. Where one gives a
 * block with a residual another C, those after it still see the output as it was computed.
 */
export function combineObservers(observers: readonly BlockObserver[]): BlockObserver {
  if (observers.length === 1) return observers[0];
  return {
    wants(block, evaluation) {
      const wanted = observers.map((observer) => observer.wants(block, evaluation));
      return { branch: wanted.some(({ branch }) => branch), out: wanted.some(({ out }) => out) };
    },
    standsIn(block, evaluation) {
      return observers.some((observer) => observer.standsIn?.(block, evaluation));
    },
    async standIn(block, evaluation, input) {
      const standing = observers.find((observer) => observer.standsIn?.(block, evaluation));
      if (standing?.standIn === undefined) throw new TypeError(`${block.id}: an observer stands in without a standIn`);
      return standing.standIn(block, evaluation, input);
    },
    value(name, value, evaluation) {
      for (const observer of observers) observer.value?.(name, value, evaluation);
    },
    executed(block, how, evaluation) {
      for (const observer of observers) observer.executed?.(block, how, evaluation);
    },
    async computed(block, result, evaluation) {
      let replaced: BlockReplacement | undefined;
      let current = result;
      for (const observer of observers) {
        const wanted = observer.wants(block, evaluation);
        if (!wanted.branch && !wanted.out) continue;
        const { branch, out } = (await observer.computed(block, current, evaluation)) ?? {};
        if (branch !== undefined) {
          // It undoes an earlier output, as the residual is added to it anew.
          replaced = { branch };
          current = { ...current, branch, out: hasMerge(block) ? result.out : branch };
        }
        if (out !== undefined) {
          replaced = { ...replaced, out };
          current = { ...current, out };
        }
      }
      return replaced;
    },
    async evaluated(evaluation) {
      for (const observer of observers) await observer.evaluated?.(evaluation);
    },
  };
}
