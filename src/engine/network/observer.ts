import type { Block } from "../../graphs/block.js";
import type { Tensor } from "../tensor.js";
import type { StandIn } from "./standIn.js";

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

/**
 * A block's results, by name: C before the residual, and the block's output. In a block without a residual they are the
 * same.
 */
export type ResultName = "branch" | "out";

/** What can be looked at: the results, and the block's first input, which its residual adds to. */
export type Visible = ResultName | "input";

/**
 * Makes what takes the place of C when the block's turn comes, where it cannot be known before.
 *
 * @param input the block's first input, the network's own; undefined in a block without a residual, which reads none
 */
export type StandInMaker = (input: Tensor | undefined) => Promise<StandIn>;

/** What an observer wants from a block at one evaluation. */
export type Answer =
  /** nothing: the branch runs, or another observer's stand-in takes its place */
  | "compute"
  /** to look at these results, and perhaps to replace them */
  | { readonly look: readonly Visible[] }
  /** that this takes the place of C, so that the branch does not run */
  | { readonly standIn: StandIn | StandInMaker };

/** An answer whose stand-in, where it is one, is shown to `watch` when it is made. */
export function watchStandIn(answer: Answer, watch: (made: StandIn) => Promise<void>): Answer {
  if (answer === "compute" || !("standIn" in answer)) return answer;
  const { standIn } = answer;
  return {
    async standIn(input) {
      const made = typeof standIn === "function" ? await standIn(input) : standIn;
      await watch(made);
      return made;
    },
  };
}

/** What is shown of a block: what was asked for. */
export type BlockResult = Readonly<Partial<Record<Visible, Tensor>>>;

/** What takes the place of a block's results. */
export type BlockReplacement = Readonly<Partial<Record<ResultName, Tensor>>>;

/**
 * Looks at blocks while the network runs, and may change what they give. For each evaluation it is called in this
 * order: `answer` for every block before any runs, then for each that runs `executed` and, where it looks, `look`;
 * `evaluated` at the end.
 *
 * Who owns what (tensor.ts): what an observer is shown belongs to the network; to keep it, retain it. What it returns
 * from `look` becomes the network's. Its stand-ins stay its own, and must be kept until the evaluation ends.
 */
export interface BlockObserver {
  /** The one question. It must do no work: whatever the answer needs is there when the evaluation begins. */
  answer(block: Block, evaluation: Evaluation): Answer;
  /** Shown what was asked for; what it returns takes the place of C (merged again) or of the output. */
  look?(block: Block, result: BlockResult, evaluation: Evaluation): Promise<BlockReplacement | undefined>;
  /** Told every value that blocks read: those that the network is given, then what each stage gives. */
  value?(name: string, value: Tensor, evaluation: Evaluation): void;
  /** Told what was done with a block; not called for one whose result nothing reads. */
  executed?(block: Block, how: Execution, evaluation: Evaluation): void;
  /** Called when an evaluation is complete. */
  evaluated?(evaluation: Evaluation): void | Promise<void>;
}
