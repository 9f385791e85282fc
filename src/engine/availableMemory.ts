import { readFileSync } from "node:fs";
import { freemem } from "node:os";

/**
 * Bytes of memory that this process can still take: what the machine has, at most what the limit of its container
 * or batch job leaves to it. Other processes inside that limit are not seen.
 */
export function availableMemory(): number {
  // 0, or more than any machine has, where there is no limit.
  const limit = process.constrainedMemory();
  return limit > 0 ? Math.min(machineMemory(), Math.max(0, limit - process.memoryUsage.rss())) : machineMemory();
}

/** Linux counts what it would give up of its file cache too. */
function machineMemory(): number {
  if (process.platform !== "linux") return freemem();
  const kibibytes = /^MemAvailable:\s*(\d+) kB$/m.exec(readFileSync("/proc/meminfo", "utf8"))?.[1];
  return kibibytes === undefined ? freemem() : Number(kibibytes) * 1024;
}
