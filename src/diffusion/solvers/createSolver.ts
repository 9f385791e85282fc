import { ArgumentError } from "../../errors.js";
import { createDdim } from "./ddim.js";
import { createDpmSolverMultistep, createSdeDpmSolverMultistep } from "./dpmSolverMultistep.js";
import { createDpmSolverSinglestep } from "./dpmSolverSinglestep.js";
import { createEuler } from "./euler.js";
import { createEulerAncestral } from "./eulerAncestral.js";
import { createHeun } from "./heun.js";
import { createLcm } from "./lcm.js";
import { createPndm } from "./pndm.js";
import { solverNames } from "./schedulerClasses.js";
import type { Solver, SolverName } from "./solver.js";
import { createUniPc } from "./unipc.js";

/** A number of steps that every solver accepts. */
const SOME_STEPS = 4;

/** Every solver, by name. */
const solvers: Readonly<
  Record<SolverName, (schedulerConfig: Readonly<Record<string, unknown>>, numInferenceSteps: number) => Solver>
> = {
  ddim: createDdim,
  pndm: createPndm,
  euler: createEuler,
  "euler-ancestral": createEulerAncestral,
  heun: createHeun,
  "dpmsolver++": createDpmSolverMultistep,
  "sde-dpmsolver++": createSdeDpmSolverMultistep,
  "singlestep-dpmsolver++": createDpmSolverSinglestep,
  unipc: createUniPc,
  lcm: createLcm,
};

/**
 * A solver for a model's scheduler config, resolved for a number of steps with the meaning of
 * diffusers' `from_config` and `set_timesteps`.
 *
 * @param name the solver; the config may be that of any other diffusers scheduler
 * @param schedulerConfig `scheduler/scheduler_config.json`, parsed
 * @param numInferenceSteps how many steps, 1 or more
 * @throws ArgumentError if the solver is unknown, or the step count is not a positive integer or is more than the
 *   training timesteps allow
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

/** The keys that the solvers' scheduler classes know, all together. */
export function schedulerKeys(): ReadonlySet<string> {
  return new Set(solverNames.flatMap((name) => Object.keys(createSolver(name, {}, SOME_STEPS).config)));
}
