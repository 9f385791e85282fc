export { createSolver, solverNames, solverOfScheduler } from "./createSolver.js";
export type { Denoise, SampleOptions, Solver, SolverName, SolverStep } from "./solver.js";
