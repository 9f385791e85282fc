/**
 * The numbers of the paper's Table 1 (Wimbauer et al., "Cache Me if You Can: Accelerating Diffusion Models through Block
 * Caching", CVPR 2024, arXiv:2312.03209), as the paper prints them: LDM-512, a model of 900 million parameters; FID on a
 * subset of COCO without faces; images a second on an A100 in bfloat16; guidance 5, δ 0.5, spatial transformers.
 *
 * They are of another model, other pictures and another extractor than any table of ours: what can be compared is whether a
 * row is better or worse than the others of its table.
 */
import type { SolverName } from "../../diffusion/solvers/index.js";
import type { Arm } from "../result.js";

/** One row of the paper's Table 1. */
export interface PaperRow {
  readonly solver: "DPM" | "DDIM";
  readonly steps: number;
  readonly cached: boolean;
  readonly scaleShift: boolean;
  readonly fid: number;
  readonly imagesPerSecond: number;
  /** to the plain run of 20 or 50 steps */
  readonly speedup: number;
}

/** Where the numbers are from, for tables and figures. */
export const PAPER_SOURCE = "Wimbauer et al. 2024, Table 1: LDM-512, FID on COCO without faces, A100";

type Numbers = readonly [fid: number, imagesPerSecond: number, speedup: number];

/** A table's four rows: plain, fewer steps of about the cached latency, cached, cached with scale-shift. */
function rowsOf(
  solver: PaperRow["solver"],
  [steps, fewer]: readonly [number, number],
  numbers: readonly [Numbers, Numbers, Numbers, Numbers],
): PaperRow[] {
  const settings = [
    { steps, cached: false, scaleShift: false },
    { steps: fewer, cached: false, scaleShift: false },
    { steps, cached: true, scaleShift: false },
    { steps, cached: true, scaleShift: true },
  ];
  return settings.map((setting, row) => {
    const [fid, imagesPerSecond, speedup] = numbers[row];
    return { solver, ...setting, fid, imagesPerSecond, speedup };
  });
}

/** All sixteen rows, in the paper's order. */
export const PAPER_TABLE_1: readonly PaperRow[] = [
  ...rowsOf(
    "DPM",
    [20, 14],
    [
      [17.15, 2.17, 1.0],
      [18.67, 3.1, 1.43],
      [17.58, 3.64, 1.68],
      [15.95, 3.59, 1.65],
    ],
  ),
  ...rowsOf(
    "DDIM",
    [20, 14],
    [
      [17.43, 2.17, 1.0],
      [17.11, 3.1, 1.43],
      [16.52, 3.48, 1.6],
      [16.02, 3.45, 1.58],
    ],
  ),
  ...rowsOf(
    "DPM",
    [50, 30],
    [
      [17.44, 0.87, 1.0],
      [17.21, 1.46, 1.67],
      [17.23, 1.61, 1.85],
      [15.18, 1.59, 1.82],
    ],
  ),
  ...rowsOf(
    "DDIM",
    [50, 30],
    [
      [17.76, 0.87, 1.0],
      [17.42, 1.46, 1.67],
      [16.65, 1.59, 1.82],
      [15.15, 1.56, 1.79],
    ],
  ),
];

/** The paper's solvers by our names. */
const SOLVERS: Readonly<Partial<Record<SolverName, PaperRow["solver"]>>> = { "dpmsolver++": "DPM", ddim: "DDIM" };

/**
 * The paper's row for the same setting: solver, steps, whether it caches by the paper's rules (threshold, hold; its δ is of
 * its own model, so any δ counts), and whether it is adjusted, by scale and shift. Undefined where the paper has none.
 */
export function paperRowOf({ solver, steps, cached }: Arm): PaperRow | undefined {
  if (cached?.adjustment?.terms.some((term) => term !== "scale" && term !== "shift")) return undefined;
  if (cached !== undefined && (cached.schedule.heuristic.name !== "threshold" || cached.reuse !== "hold"))
    return undefined;
  return PAPER_TABLE_1.find(
    (row) =>
      row.solver === SOLVERS[solver] &&
      row.steps === steps &&
      row.cached === (cached !== undefined) &&
      row.scaleShift === (cached?.adjustment !== undefined),
  );
}
