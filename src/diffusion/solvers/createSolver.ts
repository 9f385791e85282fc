import { ArgumentError, UnsupportedError } from "../../errors.js";
import { createDdim } from "./ddim.js";
import { createDpmSolverMultistep } from "./dpmSolverMultistep.js";
import type { Solver, SolverName } from "./solver.js";

/** Every solver, by name. */
const solvers: Readonly<
  Record<SolverName, (schedulerConfig: Readonly<Record<string, unknown>>, numInferenceSteps: number) => Solver>
> = { ddim: createDdim, "dpmsolver++": createDpmSolverMultistep };

/** The diffusers scheduler class that each solver takes the place of. */
const solverOfClass: ReadonlyMap<string, SolverName> = new Map([
  ["DDIMScheduler", "ddim"],
  ["DPMSolverMultistepScheduler", "dpmsolver++"],
]);

/** The names that {@link createSolver} takes. */
export const solverNames: readonly SolverName[] = ["ddim", "dpmsolver++"];

/**
 * A solver for a model's scheduler config, resolved for a number of steps with the meaning of
 * diffusers' `from_config` and `set_timesteps`.
 *
 * @param name the solver; the config may be that of any other diffusers scheduler
 * @param schedulerConfig `scheduler/scheduler_config.json`, parsed
 * @param numInferenceSteps how many steps, 1 or more
 * @throws ArgumentError if the step count is no positive integer or does not fit the training timesteps
 * @throws InvalidFileError if the config has a value that the scheduler class does not take
 * @throws UnsupportedError if it asks for something this library does not implement
 */
export function createSolver(
  name: SolverName,
  schedulerConfig: Readonly<Record<string, unknown>>,
  numInferenceSteps: number,
): Solver {
  if (!Number.isInteger(numInferenceSteps) || numInferenceSteps < 1) {
    throw new ArgumentError(`steps: must be an integer of 1 or more, got ${numInferenceSteps}`);
  }
  return solvers[name](schedulerConfig, numInferenceSteps);
}

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
