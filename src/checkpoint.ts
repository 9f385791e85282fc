/**
 * Where calculations that let nothing else run may be stopped. Pages, which have no Node, plan with the same code, and
 * nobody watches there.
 */
let watch: (what: string) => void = () => undefined;

/** Called by such a calculation now and then; throws what the watch throws. */
export function checkpoint(what: string): void {
  watch(what);
}

/** Says who looks whether to stop. */
export function watchCheckpoints(by: (what: string) => void): void {
  watch = by;
}
