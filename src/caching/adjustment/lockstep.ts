/** Runs that go on side by side, and wait for each other where something is done for all of them at once. */
export class Lockstep {
  readonly #parties: number;
  #waiting: { resolve: () => void; reject: (error: unknown) => void }[] = [];
  #failure: { readonly error: unknown } | undefined;

  /** @param parties how many runs there are; all of them must come to every meeting, or `fail` */
  constructor(parties: number) {
    this.#parties = parties;
  }

  /**
   * Waits until every run has come here; the last one does the work before any goes on.
   *
   * @throws what the work threw, or what another run has failed with
   */
  async meet(work: () => void | Promise<void>): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure.error;
    if (this.#waiting.length + 1 < this.#parties)
      return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
    try {
      await work();
    } catch (error) {
      this.fail(error);
      throw error;
    }
    for (const { resolve } of this.#waiting.splice(0)) resolve();
  }

  /** A run that ends early sends the others home. */
  fail(error: unknown): void {
    this.#failure ??= { error };
    for (const { reject } of this.#waiting.splice(0)) reject(this.#failure.error);
  }
}
