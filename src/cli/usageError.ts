import { ArgumentError } from "../errors.js";

/** Options that are missing or do not go together: exit code 2, as for what commander refuses itself. */
export class UsageError extends ArgumentError {
  override name = "UsageError";
}
