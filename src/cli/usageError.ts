import { ArgumentError } from "../errors.js";

/** Options that are missing or do not go together: exit code 2, like the errors that commander finds itself. */
export class UsageError extends ArgumentError {
  override name = "UsageError";
}
