import type { Tensor } from "./tensor.js";

/** A value of C, with a note of what must be known of it later. */
export interface KeptBranch<Note> {
  readonly branch: Tensor;
  /** the block's input at that time, where it is kept too */
  readonly input?: Tensor;
  readonly note: Note;
}

/** The newest values of each block's C, kept beyond the evaluations that gave them. */
export class KeptBranches<Note> {
  readonly #history: number;
  readonly #kept = new Map<string, readonly KeptBranch<Note>[]>();
  #bytes = 0;
  #peakBytes = 0;

  /** @param history how many values of a block are kept */
  constructor(history: number) {
    this.#history = history;
  }

  /** Most bytes kept at any time. */
  get peakBytes(): number {
    return this.#peakBytes;
  }

  /** A block's values, oldest first; they stay until newer ones take their place. */
  of(id: string): readonly KeptBranch<Note>[] {
    return this.#kept.get(id) ?? [];
  }

  /** Keeps a value as one more owner, and the block's input with it; beyond `history` values the oldest is released. */
  keep(id: string, branch: Tensor, note: Note, input?: Tensor): void {
    const values = [...this.of(id), { branch: branch.retain(), input: input?.retain(), note }];
    for (const oldest of values.splice(0, values.length - this.#history)) this.#release(oldest);
    this.#kept.set(id, values);
    this.#bytes += branch.bytes + (input?.bytes ?? 0);
    this.#peakBytes = Math.max(this.#peakBytes, this.#bytes);
  }

  /** Releases a block's values. */
  drop(id: string): void {
    for (const kept of this.of(id)) this.#release(kept);
    this.#kept.delete(id);
  }

  /** Releases everything. */
  clear(): void {
    for (const id of [...this.#kept.keys()]) this.drop(id);
  }

  #release({ branch, input }: KeptBranch<Note>): void {
    for (const tensor of [branch, input]) {
      if (tensor === undefined) continue;
      this.#bytes -= tensor.bytes;
      tensor.release();
    }
  }
}
