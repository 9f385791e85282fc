/** Undo and redo over values that never change themselves. */

/** So many edits can be taken back: days of work, and bounded memory. */
const MOST_EDITS = 5000;

export class History<Value> {
  readonly #past: Value[] = [];
  readonly #future: Value[] = [];
  #stroke: string | undefined;

  get counts(): { readonly undo: number; readonly redo: number } {
    return { undo: this.#past.length, redo: this.#future.length };
  }

  /**
   * Before `current` is replaced.
   *
   * @param stroke edits of one stroke (a drag, a slider's way) are taken back together
   */
  record(current: Value, stroke?: string): void {
    this.#future.length = 0;
    if (stroke !== undefined && stroke === this.#stroke) return;
    this.#stroke = stroke;
    this.#past.push(current);
    if (this.#past.length > MOST_EDITS) this.#past.shift();
  }

  /** The value before the last edit; nothing where there is none. */
  undo(current: Value): Value | undefined {
    return this.#move(this.#past, this.#future, current);
  }

  /** The value that was last taken back; nothing where there is none. */
  redo(current: Value): Value | undefined {
    return this.#move(this.#future, this.#past, current);
  }

  #move(from: Value[], to: Value[], current: Value): Value | undefined {
    const value = from.pop();
    if (value === undefined) return undefined;
    this.#stroke = undefined;
    to.push(current);
    return value;
  }
}
