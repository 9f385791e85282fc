/** The jobs by their kind. */
import type { Pipeline } from "../../diffusion/pipeline.js";
import type { JobKind, JobOptions, Jobs } from "../worker.js";
import { compare } from "./compare.js";
import { describe } from "./describe.js";
import { judge } from "./judge.js";
import { measure } from "./measure.js";
import { strip } from "./strip.js";

export type JobTable = {
  readonly [Kind in JobKind]: (
    pipeline: Pipeline,
    input: Jobs[Kind]["input"],
    options: JobOptions<Kind>,
  ) => Promise<Jobs[Kind]["result"]>;
};

export const JOBS: JobTable = { describe, measure, compare, strip, judge };
