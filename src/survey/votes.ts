/** Votes on disk: one file per rater, one line of JSON per vote, each on the disk before the next pair is shown. */
import { existsSync } from "node:fs";
import { mkdir, open, readFile, readdir, truncate } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { ArgumentError, InvalidFileError } from "../errors.js";
import { validate } from "../files/json.js";

const schema = z.object({
  rater: z.string(),
  /** index of the trial */
  index: z.number().int().nonnegative(),
  kind: z.enum(["pair", "repeat", "attention"]),
  trajectory: z.number().int().nonnegative(),
  left: z.enum(["a", "b"]),
  /** a setting, whichever side it was on */
  choice: z.enum(["a", "b", "tie"]),
  /** from when the pictures were shown to the vote */
  seconds: z.number().nonnegative(),
  at: z.string(),
});
export type Vote = z.infer<typeof schema>;

/** A name or number that can be a file's. */
const RATER = /^[\p{L}\p{N}][\p{L}\p{N} ._-]{0,63}$/u;

/** Throws ArgumentError for what cannot name a rater. */
export function checkRater(rater: string): void {
  if (!RATER.test(rater))
    throw new ArgumentError(
      `rater: expected a name or number of 1 to 64 letters, digits, spaces, ".", "_" or "-", found ${JSON.stringify(rater.slice(0, 80))}`,
    );
}

function fileOf(folder: string, rater: string): string {
  checkRater(rater);
  return join(folder, `${rater}.jsonl`);
}

/** A rater's votes, in their order; none where there is no file. Throws InvalidFileError where it is damaged. */
export async function votesOf(folder: string, rater: string): Promise<Vote[]> {
  const path = fileOf(folder, rater);
  if (!existsSync(path)) return [];
  const text = await readFile(path, "utf8");
  // Anything after the last line's end was cut off while it was being written; its pair is shown again.
  const lines = text
    .slice(0, text.lastIndexOf("\n") + 1)
    .split("\n")
    .slice(0, -1);
  return lines.map((line, index) => {
    const hint = "take the line out; the pair is then shown again";
    let vote: unknown;
    try {
      vote = JSON.parse(line);
    } catch {
      throw new InvalidFileError({
        file: path,
        field: `line ${index + 1}`,
        found: line.slice(0, 40),
        expected: "a vote",
        hint,
      });
    }
    return validate(schema, vote, { file: path, field: `line ${index + 1}`, hint });
  });
}

/** Adds a vote and waits until the disk has it. */
export async function addVote(folder: string, vote: Vote): Promise<void> {
  await mkdir(folder, { recursive: true });
  const path = fileOf(folder, vote.rater);
  if (existsSync(path)) {
    const text = await readFile(path);
    const whole = text.lastIndexOf(0x0a) + 1;
    if (whole < text.length) await truncate(path, whole);
  }
  const file = await open(path, "a");
  try {
    await file.appendFile(`${JSON.stringify(vote)}\n`);
    await file.sync();
  } finally {
    await file.close();
  }
}

/** The votes of all raters. */
export async function allVotes(folder: string): Promise<Vote[]> {
  const names = await readdir(folder).catch(() => []);
  const raters = names.filter((name) => name.endsWith(".jsonl")).map((name) => name.slice(0, -".jsonl".length));
  return (await Promise.all(raters.sort().map((rater) => votesOf(folder, rater)))).flat();
}
