/** An arm's adjustment: a file that every machine that samples the arm has, told by its digest. */
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { TERMS } from "../caching/adjustment/adjustment.js";
import type { Adjustment } from "../caching/adjustment/adjustment.js";
import { loadAdjustment } from "../caching/adjustment/adjustmentFile.js";
import { cachedRun } from "../caching/run/cachedRun.js";
import type { CachedRun } from "../caching/run/cachedRun.js";
import { reuseRule } from "../caching/run/reuseRule.js";
import { InvalidFileError } from "../errors.js";
import { unreadable } from "../files/unreadable.js";
import type { AdjustmentReference, Arm } from "./result.js";

/**
 * The adjustment in a file as an arm carries it.
 *
 * @throws InvalidFileError where the file cannot be read, or is no adjustment
 */
export async function adjustmentReference(path: string): Promise<AdjustmentReference> {
  const file = resolve(path);
  const sha256 = await digestOf(file);
  const fitted = Object.values((await loadAdjustment(file)).blocks).flatMap(({ terms }) => Object.keys(terms));
  return { file, sha256, terms: TERMS.filter((term) => fitted.includes(term)) };
}

async function digestOf(file: string): Promise<string> {
  const bytes = await readFile(file).catch((error: unknown) => {
    throw new InvalidFileError({
      file,
      found: unreadable(error),
      expected: "an adjustment",
      hint: "every machine that samples by it needs it at this path",
    });
  });
  return createHash("sha256").update(bytes).digest("hex");
}

/**
 * Reads what a reference is of.
 *
 * @throws InvalidFileError where the file is missing, another one than it was, or no adjustment
 */
export async function openAdjustment({ file, sha256 }: AdjustmentReference): Promise<Adjustment> {
  const found = await digestOf(file);
  if (found !== sha256)
    throw new InvalidFileError({
      file,
      found: `another file (sha256 ${found.slice(0, 12)}…)`,
      expected: `the adjustment that the settings were given (sha256 ${sha256.slice(0, 12)}…)`,
      hint: "start again with the file as it is now, or put the one of then in its place",
    });
  return loadAdjustment(file);
}

/** The hook that a cached arm is sampled by. Throws what {@link openAdjustment} and `cachedRun` throw. */
export async function openCachedRun({ schedule, reuse, adjustment }: NonNullable<Arm["cached"]>): Promise<CachedRun> {
  return cachedRun(schedule, {
    reuse: reuseRule(reuse),
    adjustment: adjustment === undefined ? undefined : await openAdjustment(adjustment),
  });
}

/** What tells an arm from others: an adjustment's content, wherever its file lies. */
export function withoutPlace(arm: Arm): unknown {
  const { cached } = arm;
  if (cached?.adjustment === undefined) return arm;
  return { ...arm, cached: { ...cached, adjustment: cached.adjustment.sha256 } };
}
