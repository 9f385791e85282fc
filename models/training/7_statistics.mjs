/**
 * Step 7. What fluent-clip sees in its training pictures: mean and covariance of their image embeddings, as a reference for
 * Fréchet distances -> models/fluent-clip/pictures.safetensors (all) and pictures-3d.safetensors (the style of prompts
 * that name none).
 *
 * usage, in the repository after `npm run build`: node models/training/7_statistics.mjs
 * Installs the packages of README.md and Python's resvg-py and pillow into a temporary folder, and makes the pictures with
 * step 1, as they were for training. Two minutes on two cores.
 */
import { execFileSync } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { extractFolder, featureStatistics, openExtractor, saveFeatureStatistics, selectRows } from "../../dist/quality/index.js";

const here = dirname(fileURLToPath(import.meta.url));
const PACKAGES = ["@lobehub/fluent-emoji-3d", "emojibase-data", "@iconify-json/fluent-emoji-flat", "@iconify-json/noto"];

const folder = mkdtempSync(join(tmpdir(), "fluent-clip-"));
const run = (program, ...args) => execFileSync(program, args, { cwd: folder, stdio: "inherit" });
try {
  run("npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", folder, ...PACKAGES);
  run("python3", "-m", "venv", "venv");
  run("venv/bin/pip", "install", "--quiet", "resvg-py", "pillow");
  mkdirSync(join(folder, "work"));
  copyFileSync(join(here, "1_prepare.py"), join(folder, "1_prepare.py"));
  run("venv/bin/python", "1_prepare.py");
  mkdirSync(join(folder, "pictures"));
  run("tar", "-xf", "work/pictures.tar", "-C", "pictures");

  const captions = JSON.parse(readFileSync(join(folder, "work", "captions.json"), "utf8"));
  const names = readdirSync(join(folder, "pictures")).sort();
  const extractor = await openExtractor("fluent-clip");
  const onProgress = (done, total) => done % 512 === 0 && console.log(`${done} of ${total} pictures`);
  const all = await extractFolder(extractor, join(folder, "pictures"), names, { onProgress });
  await extractor.dispose();
  const solid = selectRows(all, [...captions.keys()].filter((row) => captions[row].style === "3d"));
  for (const [name, features] of [["pictures", all], ["pictures-3d", solid]]) {
    await saveFeatureStatistics(join(here, "..", "fluent-clip", `${name}.safetensors`), featureStatistics(features));
    console.log(`${name}: ${features.pictures} pictures`);
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
