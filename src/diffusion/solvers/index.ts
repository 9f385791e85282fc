export { createSolver, schedulerKeys } from "./createSolver.js";
export { correctOutdatedConfig } from "./outdatedConfig.js";
export { schedulerClassOf, solverNames, solverOfScheduler } from "./schedulerClasses.js";
export type { Denoise, Solver, SolverName, SolverOptions, SolverStep } from "./solver.js";
