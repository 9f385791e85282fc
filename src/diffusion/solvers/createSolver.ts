import { ArgumentError } from "../../errors.js";
import { createDdim } from "./ddim.js";
import { createDpmSolverMultistep } from "./dpmSolverMultistep.js";
import { solverNames } from "./schedulerClasses.js";
import type { Solver, SolverName } from "./solver.js";

/** Every solver, by name. */
const solvers: Readonly<
  Record<SolverName, (schedulerConfig: Readonly<Record<string, unknown>>, numInferenceSteps: number) => Solver>
> = { ddim: createDdim, "dpmsolver++": createDpmSolverMultistep };

/**
 * A solver for a model's scheduler config, resolved for a number of steps with the meaning of
 * diffusers' `from_config` and `set_timesteps`.
 *
 * @param name the solver; the config may be that of any other diffusers scheduler
 * @param schedulerConfig `scheduler/scheduler_config.json`, parsed
 * @param numInferenceSteps how many steps, 1 or more
 * @throws ArgumentError if the solver is unknown, or the step count no positive integer or more than the training timesteps hold
 * @throws InvalidFileError if the config has a value that the scheduler class does not take
 * @throws UnsupportedError if it asks for something this library does not implement
 */
export function createSolver(
  name: SolverName,
  schedulerConfig: Readonly<Record<string, unknown>>,
  numInferenceSteps: number,
): Solver {
  if (!Object.hasOwn(solvers, name)) {
    throw new ArgumentError(`solver: must be one of ${solverNames.join(", ")}, got ${name}`);
  }
  if (!Number.isInteger(numInferenceSteps) || numInferenceSteps < 1) {
    throw new ArgumentError(`steps: must be an integer of 1 or more, got ${numInferenceSteps}`);
  }
  return solvers[name](schedulerConfig, numInferenceSteps);
}
