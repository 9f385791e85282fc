import { UnsupportedError } from "../../errors.js";
import type { SolverName } from "./solver.js";

/** The diffusers scheduler class that each solver takes the place of. */
export const schedulerClassOf: Readonly<Record<SolverName, string>> = {
  ddim: "DDIMScheduler",
  pndm: "PNDMScheduler",
  euler: "EulerDiscreteScheduler",
  "euler-ancestral": "EulerAncestralDiscreteScheduler",
  heun: "HeunDiscreteScheduler",
  "dpmsolver++": "DPMSolverMultistepScheduler",
  "sde-dpmsolver++": "DPMSolverMultistepScheduler",
  "singlestep-dpmsolver++": "DPMSolverSinglestepScheduler",
  unipc: "UniPCMultistepScheduler",
  lcm: "LCMScheduler",
};

/** The solvers there are. */
export const solverNames = Object.keys(schedulerClassOf) as readonly SolverName[];

/** Classes that are left out, with the reason and the nearest solver. */
const LEFT_OUT: Readonly<Record<string, string>> = {
  DPMSolverSDEScheduler:
    "its noise comes from a Brownian tree of the Python package torchsde, which has no counterpart here — pass --solver sde-dpmsolver++",
};

/**
 * The solver that a model's own scheduler class stands for.
 *
 * @param className as model_index.json names it
 * @throws UnsupportedError if that class is not implemented
 */
export function solverOfScheduler(className: string): SolverName {
  const name = solverNames.find((each) => schedulerClassOf[each] === className);
  if (name !== undefined) return name;
  const reason = Object.hasOwn(LEFT_OUT, className)
    ? `: ${LEFT_OUT[className]}`
    : ` — pass --solver ${solverNames.join(" or --solver ")}`;
  throw new UnsupportedError(`model_index.json: scheduler: ${className} is not implemented${reason}`);
}
