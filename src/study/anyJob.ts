import type { Pipeline } from "../diffusion/pipeline.js";
import { ArgumentError } from "../errors.js";
import { measureBatch } from "../instrument/profile/profileChange.js";
import type { ProfileJob } from "../instrument/profile/profileChange.js";
import { runPictures } from "./evaluation/pictureJob.js";
import type { PictureJob } from "./evaluation/pictureJob.js";
import { runArm, runConverged } from "./studyJobs.js";
import type { ArmJob, ConvergedJob } from "./studyJobs.js";

/** Every kind of job that a queue may hold. */
export type AnyJob = ProfileJob | ConvergedJob | ArmJob | PictureJob;

/** Does a job as the process that cut it would. Throws ArgumentError for an unknown kind. */
export async function runAnyJob(pipeline: Pipeline, job: AnyJob, signal?: AbortSignal): Promise<unknown> {
  switch (job.kind) {
    case "profile":
      return measureBatch(pipeline, job, { signal });
    case "converged":
      return runConverged(pipeline, job, signal);
    case "arm":
      return runArm(pipeline, job, signal);
    case "pictures":
      return runPictures(pipeline, job, signal);
    default:
      throw new ArgumentError(
        `job: expected kind profile, converged, arm or pictures, found ${JSON.stringify((job as { kind?: unknown } | null)?.kind)}`,
      );
  }
}
