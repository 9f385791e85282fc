import { UnsupportedError } from "../../errors.js";
import type { SolverName } from "./solver.js";

/** The diffusers scheduler class that each solver takes the place of. */
export const solverOfClass: ReadonlyMap<string, SolverName> = new Map([
  ["DDIMScheduler", "ddim"],
  ["DPMSolverMultistepScheduler", "dpmsolver++"],
]);

/** The solvers there are. */
export const solverNames: readonly SolverName[] = [...solverOfClass.values()];

/**
 * The solver that a model's own scheduler class stands for.
 *
 * @param className `_class_name` of scheduler_config.json
 * @throws UnsupportedError if that class is not implemented
 */
export function solverOfScheduler(className: string): SolverName {
  const name = solverOfClass.get(className);
  if (name === undefined) {
    throw new UnsupportedError(
      `scheduler_config.json: _class_name: ${className} is not implemented — pass --solver ${solverNames.join(" or --solver ")}`,
    );
  }
  return name;
}
