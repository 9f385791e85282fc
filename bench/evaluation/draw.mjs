/**
 * Draws the prompts of bench/README.md's evaluation: labels of emoji, as fluent-ldm knows them -> fit.txt (20, for
 * profiles and adjustments) and evaluate.txt (160 others).
 *
 * usage: node bench/evaluation/draw.mjs
 * Installs emojibase-data (npm, MIT) into a temporary folder.
 */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const PACKAGE = "emojibase-data@17.0.0";
const SETS = { "fit.txt": [0, 20], "evaluate.txt": [20, 180] };
/**
 * Group numbers, in emojibase, of what is not a picture of a thing: parts of emoji, and flags, which differ only in
 * colour.
 */
const LEFT_OUT = [undefined, 2, 9];

const folder = mkdtempSync(join(tmpdir(), "prompts-"));
try {
  execFileSync("npm", ["install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", folder, PACKAGE]);
  const emoji = JSON.parse(readFileSync(join(folder, "node_modules", "emojibase-data", "en", "data.json"), "utf8"));
  const labels = emoji.filter(({ group }) => !LEFT_OUT.includes(group)).map(({ label }) => label);
  // An order that has to do with nothing, and is the same everywhere.
  const digest = (label) => createHash("sha256").update(label).digest("hex");
  const drawn = labels.sort((a, b) => (digest(a) < digest(b) ? -1 : 1));
  for (const [file, [from, to]] of Object.entries(SETS))
    writeFileSync(join(import.meta.dirname, file), `${drawn.slice(from, to).join("\n")}\n`);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
