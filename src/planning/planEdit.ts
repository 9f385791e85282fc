/** Edits of a plan: pure, so that a page and the session behind it arrive at the same plan. */
import type { CellMark, PaintedCells } from "../caching/schedule/paint.js";
import type { Schedule } from "../caching/schedule/schedule.js";
import type { Plan } from "./plan.js";

/** The parts of a plan that are set as a whole. */
export type PlanSettings = Partial<
  Pick<Plan, "heuristic" | "options" | "kinds" | "reuse" | "adjusted" | "ends"> & {
    /** null removes the target */
    readonly speedup: number | null;
    /** null removes the limit */
    readonly maxAge: number | null;
  }
>;

export type PlanEdit =
  | { readonly kind: "set"; readonly values: PlanSettings }
  /** all cells of these blocks at these evaluations; "clear" leaves them to the heuristic again */
  | {
      readonly kind: "paint";
      readonly mark: CellMark | "clear";
      readonly blocks: readonly string[];
      readonly evaluations: readonly number[];
    }
  | { readonly kind: "import"; readonly schedule: Schedule; readonly reuse?: string }
  | { readonly kind: "restore"; readonly plan: Plan };

/** The plan after an edit. An edit that chooses or tunes a heuristic drops an imported schedule. */
export function editPlan(plan: Plan, edit: PlanEdit): Plan {
  switch (edit.kind) {
    case "set": {
      const { speedup = plan.speedup, maxAge = plan.maxAge, ...values } = edit.values;
      const { imported, speedup: _speedup, maxAge: _maxAge, ...kept } = plan;
      const finds = ["heuristic", "options", "kinds", "speedup"].some((name) => name in edit.values);
      return {
        ...kept,
        ...values,
        ...(speedup === undefined || speedup === null ? {} : { speedup }),
        ...(maxAge === undefined || maxAge === null ? {} : { maxAge }),
        ...(imported === undefined || finds ? {} : { imported }),
      };
    }
    case "paint":
      return { ...plan, cells: painted(plan.cells, edit) };
    case "import":
      return {
        ...plan,
        imported: edit.schedule,
        reuse: edit.reuse ?? plan.reuse,
        cells: {},
        ends: { first: 1, last: 0 },
        maxAge: undefined,
      };
    case "restore":
      return edit.plan;
  }
}

function painted(cells: PaintedCells, { mark, blocks, evaluations }: PlanEdit & { kind: "paint" }): PaintedCells {
  const next: Record<string, Readonly<Record<number, CellMark>>> = { ...cells };
  for (const id of blocks) {
    const marks: Record<number, CellMark> = { ...next[id] };
    for (const evaluation of evaluations) {
      // The first evaluation has nothing to reuse.
      if (mark === "clear" || (mark === "reuse" && evaluation === 0)) delete marks[evaluation];
      else marks[evaluation] = mark;
    }
    if (Object.keys(marks).length === 0) delete next[id];
    else next[id] = marks;
  }
  return next;
}
