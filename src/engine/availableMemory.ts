import { readFileSync } from "node:fs";
import { freemem } from "node:os";

/**
 * Bytes of memory that this process can still take: what the machine has free, or what the limit of its container or
 * batch job leaves, if that is less. Other processes inside that limit are not seen.
 */
export function availableMemory(): number {
  // Where there is no limit, this is 0 or more than any machine has.
  const limit = process.constrainedMemory();
  return limit > 0 ? Math.min(machineMemory(), Math.max(0, limit - process.memoryUsage.rss())) : machineMemory();
}

/** On Linux this includes the file cache that it would give up. */
function machineMemory(): number {
  if (process.platform !== "linux") return freemem();
  const kibibytes = /^MemAvailable:\s*(\d+) kB$/m.exec(readFileSync("/proc/meminfo", "utf8"))?.[1];
  return kibibytes === undefined ? freemem() : Number(kibibytes) * 1024;
}
