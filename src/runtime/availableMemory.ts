import { readFileSync } from "node:fs";
import { freemem } from "node:os";

/** Bytes of memory that a process can still take: Linux counts what it would give up of its file cache too. */
export function availableMemory(): number {
  if (process.platform !== "linux") return freemem();
  const kibibytes = /^MemAvailable:\s*(\d+) kB$/m.exec(readFileSync("/proc/meminfo", "utf8"))?.[1];
  return kibibytes === undefined ? freemem() : Number(kibibytes) * 1024;
}
