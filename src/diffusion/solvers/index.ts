export { createSolver, schedulerKeys } from "./createSolver.js";
export { correctOutdatedConfig } from "./outdatedConfig.js";
export { solverNames, solverOfScheduler } from "./schedulerClasses.js";
export type { Denoise, SampleOptions, Solver, SolverName, SolverStep } from "./solver.js";
