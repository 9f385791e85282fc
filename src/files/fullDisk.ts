/** A disk that has no room left, or of which this user has used all that is theirs. */
import { ArgumentError } from "../errors.js";

export function isFullDisk(error: unknown): boolean {
  return error instanceof Error && "code" in error && (error.code === "ENOSPC" || error.code === "EDQUOT");
}

/** What is said of an output that found a full disk; Node names another file, or none. */
export function fullDisk(path: string): ArgumentError {
  return new ArgumentError(
    `${path}: expected room for it, found a full disk (ENOSPC) — free some, or name another place`,
  );
}
