import { homedir } from "node:os";
import { join } from "node:path";

/** Where measurements of explored models are kept: they are of this machine, and can be measured again. */
export function measurementFolder(): string {
  return join(process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "blockcache", "explore");
}
