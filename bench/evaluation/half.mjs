/**
 * The second half of an evaluation's pictures as a folder of its own, linked, so that `evaluate` measures them without making them again.
 *
 * usage: node bench/evaluation/half.mjs <folder> <first picture> <folder of the half>
 */
import { cpSync, linkSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";

const [from, first, to] = process.argv.slice(2);
rmSync(to, { recursive: true, force: true });
mkdirSync(to, { recursive: true });
cpSync(join(from, "sampling.json"), join(to, "sampling.json"));
cpSync(join(from, "jobs"), join(to, "jobs"), { recursive: true });
for (const setting of readdirSync(from).filter((name) => /^(plain|cached)-/.test(name))) {
  mkdirSync(join(to, setting));
  const pictures = readdirSync(join(from, setting)).filter((name) => name.endsWith(".png"));
  for (const name of pictures.sort().slice(Number(first)))
    linkSync(
      join(from, setting, name),
      join(to, setting, `${String(parseInt(name) - Number(first)).padStart(5, "0")}.png`),
    );
}
