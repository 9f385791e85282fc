import { BlockcacheError } from "../errors.js";

/** The worker process ended while it had a job; it is being started again. */
export class WorkerEndedError extends BlockcacheError {
  override name = "WorkerEndedError";
}
