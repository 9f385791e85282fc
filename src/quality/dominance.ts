/** One way to do something: what it costs and how wrong it is; less of either is better. */
export interface CostAndError {
  readonly cost: number;
  readonly error: number;
}

/**
 * For each option, whether no other dominates it: the Pareto front. One dominates another where it is at least as cheap
 * and as good, and better in one of the two; equal options do not dominate each other.
 */
export function onParetoFront(options: readonly CostAndError[]): boolean[] {
  const front = new Set<CostAndError>();
  let [least, cheapest] = [Infinity, -Infinity];
  for (const option of [...options].sort((a, b) => a.cost - b.cost || a.error - b.error)) {
    if (option.error < least) [least, cheapest] = [option.error, option.cost];
    if (option.error === least && option.cost === cheapest) front.add(option);
  }
  return options.map((option) => front.has(option));
}
