/** Something that is made when it is first asked for, and made again where that failed. */
export class Lazy<T> {
  readonly #make: () => Promise<T>;
  #made: Promise<T> | undefined;

  constructor(make: () => Promise<T>) {
    this.#make = make;
  }

  /** Whether it is there, or being made. */
  get isAskedFor(): boolean {
    return this.#made !== undefined;
  }

  /** Rejects as `make` does; the next call then tries again. */
  get(): Promise<T> {
    if (this.#made !== undefined) return this.#made;
    const making = this.#make();
    this.#made = making;
    making.catch(() => {
      if (this.#made === making) this.#made = undefined;
    });
    return making;
  }

  /** Hands what there is over to the caller; the next `get` makes it afresh. */
  async take(): Promise<T | undefined> {
    const made = this.#made;
    this.#made = undefined;
    return made?.catch(() => undefined);
  }
}
