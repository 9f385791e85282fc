/** What commands write: where it goes, and what is refused before any work. No model is there to be loaded. */
import { execFileSync, spawnSync } from "node:child_process";
import {
  copyFileSync,
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeEach, describe, expect, it } from "vitest";

const path = (relative: string): string => fileURLToPath(new URL(relative, import.meta.url));
const main = path("../../dist/cli/main.js");
const profile = path("../fixtures/profile-ddim.safetensors");
const root = mkdtempSync(join(tmpdir(), "blockcache-outputs-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));
let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(root, "case-"));
  copyFileSync(profile, join(folder, "p.safetensors"));
  copyFileSync(profile, join(folder, "q.safetensors"));
});
const at = (name: string): string => join(folder, name);

function run(...args: string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, [main, ...args], { encoding: "utf8", cwd: folder });
}

/** In place of a model: what loads it fails with another exit code. */
const NO_MODEL = "no-model";

describe("refused before the work, with exit code 2", () => {
  it.each([
    [
      ["schedule", "p.safetensors", "--delta", "0.1", "--out", "p.safetensors"],
      /--out: p\.safetensors: expected a file of its own, found one that is read \(p\.safetensors\)/,
    ],
    [
      ["schedule", "p.safetensors", "--delta", "0.1", "--out", "link.json"],
      /--out: link\.json: expected a file of its own/,
    ],
    [
      ["schedule", "p.safetensors", "--delta", "0.1", "--out", "hard.json"],
      /--out: hard\.json: expected a file of its own/,
    ],
    [
      ["schedule", "p.safetensors", "--delta", "0.1", "--out", "x.csv", "--bootstrap", "./x.csv"],
      /expected a file of its own, found the one of --/,
    ],
    [
      ["schedule", "p.safetensors", "--delta", "0.1", "--out", "x.txt"],
      /--out: expected a name that ends in \.json, \.csv, found "x\.txt"/,
    ],
    [
      ["schedule", "p.safetensors", "--delta", "0.1", "--out", "x"],
      /--out: expected a name that ends in \.json, \.csv, found "x"/,
    ],
    [
      ["profile", "--merge", "p.safetensors", "q.safetensors", "--out", "q.safetensors"],
      /--out: q\.safetensors: expected a file of its own/,
    ],
    [
      ["profile", NO_MODEL, "--prompts", "prompts.txt", "--out", "x.npz"],
      /--out: expected a name that ends in \.safetensors/,
    ],
    [
      ["profile", NO_MODEL, "--prompts", "prompts.txt", "--out", "prompts.txt"],
      /--out: prompts\.txt: expected a file of its own/,
    ],
    [
      ["sample", NO_MODEL, "--prompt", "x", "--out", "folder.png"],
      /--out: folder\.png: expected a file that can be written, found a folder/,
    ],
    [
      ["sample", NO_MODEL, "--prompt", "x", "--out", "prompts.txt/x.png"],
      /--out: .*found a file in the place of its folder/,
    ],
    [["sample", NO_MODEL, "--prompt", "x", "--save-latents", ""], /--save-latents: "": expected .*found an empty name/],
    [
      ["sample", NO_MODEL, "--prompt", "x", "--latents", "p.safetensors", "--save-latents", "p.safetensors"],
      /--save-latents: .*of its own/,
    ],
    [
      ["sample", "m", "--prompt", "x", "--save-latents", "m/unet/w.safetensors"],
      /--save-latents: .*found one of a model's/,
    ],
    [
      ["sweep", NO_MODEL, "--profile", "p.safetensors", "--prompts", "prompts.txt", "--out", "p.safetensors"],
      /--out: p\.safetensors: expected/,
    ],
    [["compare", "study", "--csv", "study/study.json"], /--csv: study\/study\.json: expected a file of its own/],
    [
      ["plot", "pareto", "study", "--out", "a.svg", "study/study.json"],
      /--out: study\/study\.json: expected a file of its own/,
    ],
    [["plot", "change", "p.safetensors", "--out", "a.svg", "a.svg"], /--out: a\.svg: expected a file of its own/],
    [
      [
        "refine",
        NO_MODEL,
        "s.json",
        "--costs",
        "p.safetensors",
        "--speedup",
        "1.2",
        "--prompt",
        "x",
        "--state",
        "x.json",
        "--out",
        "x.json",
      ],
      /--out: x\.json: expected a file of its own/,
    ],
    [
      ["adjust", NO_MODEL, "--schedule", "s.json", "--prompts", "prompts.txt", "--out", "s.json"],
      /--out: s\.json: expected a file of its own/,
    ],
    [
      ["adjust", NO_MODEL, "--schedule", "s.json", "--prompts", "prompts.txt", "--out", "folder.png"],
      /--out: folder\.png: expected a file that can be written, found a folder/,
    ],
    [
      ["features", NO_MODEL, "--images", "study", "--out", "x.npz"],
      /--out: expected a name that ends in \.safetensors, found "x\.npz"/,
    ],
    [
      ["evaluate", NO_MODEL, "--settings", "s.json", "--prompts", "prompts.txt", "--out", "p.safetensors"],
      /--out: p\.safetensors: expected a folder that can be written/,
    ],
    [
      ["evaluate", NO_MODEL, "--settings", "s.json", "--prompts", "prompts.txt", "--out", "x", "--csv", "prompts.txt"],
      /--csv: prompts\.txt: expected a file of its own/,
    ],
    [
      ["survey", "study", "--a", "one", "--b", "two", "--csv", "folder.png"],
      /--csv: folder\.png: expected a file that can be written, found a folder/,
    ],
    [
      ["plot", "table", "study", "--out", "study/evaluation.json"],
      /--out: study\/evaluation\.json: expected a file of its own/,
    ],
  ])("%j", (args, message) => {
    symlinkSync("p.safetensors", at("link.json"));
    execFileSync("ln", [at("p.safetensors"), at("hard.json")]);
    for (const name of ["folder.png", "study", "m/unet"]) mkdirSync(at(name), { recursive: true });
    for (const name of [
      "prompts.txt",
      "s.json",
      "study/study.json",
      "study/evaluation.json",
      "m/model_index.json",
      "m/unet/w.safetensors",
    ])
      writeFileSync(at(name), "kept");
    const before = readdirSync(folder, { recursive: true }).sort();
    const { status, stderr } = run(...args);
    expect(stderr).toMatch(message);
    expect(status).toBe(2);
    expect(stderr.trim().split("\n")).toHaveLength(1);
    expect(readdirSync(folder, { recursive: true }).sort()).toEqual(before);
    expect(readFileSync(at("p.safetensors")).equals(readFileSync(profile))).toBe(true);
  });
});

describe("options that have no effect are refused", () => {
  const merge = ["profile", "--merge", "p.safetensors", "q.safetensors", "--out", "x.safetensors"];
  it.each([
    [[...merge, "--prompts", "prompts.txt"], /--prompts has no effect beside --merge/],
    [[...merge, "--pair-window", "2"], /--pair-window has no effect beside --merge/],
    [[...merge, "--tf32"], /--tf32 has no effect beside --merge/],
    [["profile", "fluent-ldm", ...merge.slice(1)], /the model fluent-ldm has no effect beside --merge/],
    [
      ["schedule", "p.safetensors", "--delta", "0.1", "--resamples", "9", "--out", "x.json"],
      /--resamples has no effect without --bootstrap/,
    ],
    [
      ["transfer", "p.safetensors", "q.safetensors", "--delta", "0.1", "--trajectories", "3"],
      /--trajectories has no effect without --model/,
    ],
    [
      ["sample", NO_MODEL, "--prompt", "x", "--solver", "euler", "--eta", "0.5", "--out", "x.png"],
      /--eta has no effect without --solver ddim/,
    ],
    [
      ["schedule", "p.safetensors", "--delta", "0.1", "--reuse", "linear", "--out", "x.json"],
      /--reuse has no effect without --costs/,
    ],
    [
      ["transfer", "p.safetensors", "q.safetensors", "--delta", "0.1", "--reuse", "linear"],
      /--reuse has no effect without --model or --costs/,
    ],
    [
      ["schedule", "p.safetensors", "--option", "delta=0.1", "--delta", "0.2", "--out", "x.json"],
      /--delta: expected it, or --option delta=…, found both/,
    ],
    [
      ["schedule", "p.safetensors", "--option", "delta=0.1", "--option", "delta=0.2", "--out", "x.json"],
      /expected delta once, found it twice/,
    ],
    [["bench", NO_MODEL, "--schedule", "s.json", "--interval", "3"], /--interval has no effect beside --schedule/],
    [
      [
        "sweep",
        NO_MODEL,
        "--profile",
        "p.safetensors",
        "--prompts",
        "a.txt",
        "--schedule",
        "s.json",
        "--kinds",
        "all",
        "--out",
        "x",
      ],
      /--kinds has no effect without --heuristic/,
    ],
  ])("%j", (args, message) => {
    const { status, stderr } = run(...args);
    expect(stderr).toMatch(message);
    expect(status).toBe(2);
    expect(readdirSync(folder).sort()).toEqual(["p.safetensors", "q.safetensors"]);
  });
});

describe("an output", () => {
  const find = ["schedule", "p.safetensors", "--delta", "0.1", "--out"];

  it("in another case of its ending is of that format", () => {
    expect(run(...find, "A.CSV").status).toBe(0);
    expect(run(...find, "a.Json").status).toBe(0);
    expect(readFileSync(at("A.CSV"), "utf8")).toMatch(/^block,/);
    expect(JSON.parse(readFileSync(at("a.Json"), "utf8"))).toHaveProperty("format", "blockcache-schedule");
  });

  it("goes to standard output alone, and what is said goes beside it, into a pipe and into a file", () => {
    const { stdout, stderr } = run(...find, "/dev/stdout");
    expect(JSON.parse(stdout)).toHaveProperty("format", "blockcache-schedule");
    expect(stderr).toMatch(/blocks, computing/);
    const shell = `"${process.execPath}" "${main}" ${find.join(" ")} /dev/stdout > said.json`;
    execFileSync("sh", ["-c", shell], { cwd: folder, stdio: ["ignore", "ignore", "ignore"] });
    expect(readFileSync(at("said.json"), "utf8")).toBe(stdout);
    expect(lstatSync("/dev/stdout").isSymbolicLink()).toBe(true);
  });

  it("to /dev/null is no file's place, however often", () => {
    const { status } = run(...find, "/dev/null", "--bootstrap", "/dev/null", "--resamples", "2");
    expect(status).toBe(0);
    expect(lstatSync("/dev/null").isCharacterDevice()).toBe(true);
  });

  it("is made with its folders, and a prompt may be called like a file", () => {
    expect(run(...find, "new/folder/s.json").status).toBe(0);
    expect(existsSync(at("new/folder/s.json"))).toBe(true);
    writeFileSync(at("x.png"), "");
    const { stderr } = run("sample", NO_MODEL, "--prompt", "x.png", "--out", "x.png");
    expect(stderr).toMatch(/model: expected/);
  });

  it("of a model's folder is refused only where the folder is a model's", () => {
    cpSync(path("../fixtures/models/sd1-like"), at("m"), { recursive: true });
    expect(run(...find, "m/unet/config.json").stderr).toMatch(/found one of a model's/);
    expect(run(...find, "m/unet/new.json").status).toBe(0);
    expect(run(...find, "m/s.json").status).toBe(0);
  });
});

it("a prompt that is no UTF-8 on the command line is refused", () => {
  const shell = `"${process.execPath}" "${main}" sample ${NO_MODEL} --out x.png --prompt "$(printf 'caf\\351')"`;
  const { status, stderr } = spawnSync("sh", ["-c", shell], { encoding: "utf8", cwd: folder });
  expect(status).toBe(2);
  expect(stderr).toMatch(/expected UTF-8 on the command line/);
});
