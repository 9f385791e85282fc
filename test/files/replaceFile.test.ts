/** What stands under an output's name decides how it is written; the file system itself says what came of it. */
import { execFileSync, spawn } from "node:child_process";
import {
  chmodSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeEach, describe, expect, it } from "vitest";
import { ArgumentError } from "../../src/errors.js";
import { requireResumable, requireWritable, requireWritableFolder } from "../../src/files/outputPlace.js";
import { replaceFile } from "../../src/files/replaceFile.js";
import { createSafetensorsWriter } from "../../src/files/safetensors.js";
import { reserveTemporary } from "../../src/files/temporaries.js";

const root = mkdtempSync(join(tmpdir(), "blockcache-output-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));
let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(root, "case-"));
});
const at = (name: string): string => join(folder, name);
const write = (path: string, text = "new"): Promise<void> =>
  replaceFile(path, (temporary) => writeFile(temporary, text));
const isRoot = process.getuid?.() === 0;

describe("an output", () => {
  it("goes through links to the file behind them, there or not, and leaves the links", async () => {
    mkdirSync(at("disk"));
    writeFileSync(at("disk/real.json"), "old");
    symlinkSync("disk/real.json", at("link.json"));
    symlinkSync("link.json", at("second.json"));
    symlinkSync("disk/none.json", at("dangling.json"));
    await write(at("second.json"));
    await write(at("dangling.json"), "made");
    expect(readFileSync(at("disk/real.json"), "utf8")).toBe("new");
    expect(readFileSync(at("disk/none.json"), "utf8")).toBe("made");
    for (const name of ["link.json", "second.json", "dangling.json"])
      expect(lstatSync(at(name)).isSymbolicLink()).toBe(true);
    expect(readdirSync(at("disk")).sort()).toEqual(["none.json", "real.json"]);
  });

  it.each([0o600, 0o640, 0o755, 0o444].filter((mode) => isRoot || (mode & 0o200) !== 0))(
    "keeps mode %i of the file that it replaces",
    async (mode) => {
      writeFileSync(at("secret.json"), "old");
      chmodSync(at("secret.json"), mode);
      await replaceFile(at("secret.json"), async (temporary) => {
        expect(statSync(temporary).mode & 0o777).toBe(mode);
        await writeFile(temporary, "new");
      });
      expect(statSync(at("secret.json")).mode & 0o777).toBe(mode);
      expect(readFileSync(at("secret.json"), "utf8")).toBe("new");
    },
  );

  it("is seen by every name of its file", async () => {
    writeFileSync(at("a.json"), "old and longer");
    linkSync(at("a.json"), at("b.json"));
    await write(at("a.json"));
    expect(readFileSync(at("b.json"), "utf8")).toBe("new");
    expect(statSync(at("a.json")).nlink).toBe(2);
  });

  it("into a pipe reaches its reader, safetensors too", async () => {
    execFileSync("mkfifo", [at("pipe.safetensors")]);
    const reader = spawn("cat", [at("pipe.safetensors")]);
    const parts: Buffer[] = [];
    reader.stdout.on("data", (part: Buffer) => parts.push(part));
    const ended = new Promise((resolve) => reader.on("close", resolve));
    const layout = { dtype: "F32", dims: [1] } as const;
    const writer = await createSafetensorsWriter(at("pipe.safetensors"), new Map([["a", layout]]));
    await writer.write("a", Float32Array.of(1.5));
    await writer.close();
    await ended;
    const got = Buffer.concat(parts);
    expect(got.readFloatLE(got.length - 4)).toBe(1.5);
    expect(lstatSync(at("pipe.safetensors")).isFIFO()).toBe(true);
    expect(readdirSync(folder)).toEqual(["pipe.safetensors"]);
  });

  it.runIf(isRoot)("into a device leaves the device", async () => {
    // As /dev/null and /dev/full.
    execFileSync("mknod", [at("null"), "c", "1", "3"]);
    execFileSync("mknod", [at("full"), "c", "1", "7"]);
    await write(at("null"));
    await expect(write(at("full"))).rejects.toThrow(/^.*full: expected room for it, found a full disk \(ENOSPC\)/);
    for (const name of ["null", "full"]) expect(lstatSync(at(name)).isCharacterDevice()).toBe(true);
    expect(readdirSync(folder)).toEqual(["full", "null"]);
  });

  it("that fails leaves what was there, and nothing else", async () => {
    writeFileSync(at("a.json"), "old");
    const failing = replaceFile(at("a.json"), async (temporary) => {
      await writeFile(temporary, "half");
      throw new Error("broken off");
    });
    await expect(failing).rejects.toThrow("broken off");
    expect(readFileSync(at("a.json"), "utf8")).toBe("old");
    expect(readdirSync(folder)).toEqual(["a.json"]);
  });

  it("of a name as long as the disk takes is written", async () => {
    const name = `${"ü".repeat(120)}.json`;
    await write(at(name));
    expect(readdirSync(folder)).toEqual([name]);
  });
});

describe("what a killed process left", () => {
  it("is removed by the next write, what a living one writes is not", async () => {
    const script = `
      import { replaceFile } from ${JSON.stringify(join(process.cwd(), "dist/files/replaceFile.js"))};
      await replaceFile(${JSON.stringify(at("a.json"))}, async () => { console.log("writing"); setInterval(() => {}, 1000); await new Promise(() => {}); });`;
    const start = (): ReturnType<typeof spawn> => spawn(process.execPath, ["--input-type=module", "-e", script]);
    const writing = (child: ReturnType<typeof spawn>): Promise<unknown> =>
      new Promise((resolve) => child.stdout?.once("data", resolve));
    const ended = (child: ReturnType<typeof spawn>): Promise<unknown> =>
      new Promise((resolve) => child.once("exit", resolve));
    const [killed, living] = [start(), start()];
    try {
      await Promise.all([writing(killed), writing(living)]);
      expect(readdirSync(folder)).toHaveLength(2);
      killed.kill("SIGKILL");
      await ended(killed);
      await write(at("b.json"));
      const left = readdirSync(folder).filter((name) => name !== "b.json");
      expect(left).toHaveLength(1);
      expect(left[0]).toContain(`-${living.pid}-`);
      // A check before the work removes nothing of the living and leaves nothing of its own.
      await requireWritable(at("b.json"));
      expect(readdirSync(folder)).toHaveLength(2);
    } finally {
      living.kill("SIGKILL");
      await ended(living);
    }
    await write(at("b.json"));
    expect(readdirSync(folder)).toEqual(["b.json"]);
  });

  it.skipIf(isRoot)("is left where the folder may be written and not listed", async () => {
    chmodSync(folder, 0o333);
    await write(at("b.json"));
    await requireWritable(at("c.json"));
    chmodSync(folder, 0o755);
    expect(readdirSync(folder)).toEqual(["b.json"]);
  });

  it("is removed by the check before the work too, which may be killed itself", async () => {
    const dead = spawn(process.execPath, ["-e", ""]);
    await new Promise((resolve) => dead.once("exit", resolve));
    const mine = reserveTemporary(folder, "a.json");
    writeFileSync(mine.replace(`-${process.pid}-`, `-${dead.pid}-`), "half");
    await requireWritable(at("a.json"));
    expect(readdirSync(folder)).toEqual([]);
  });

  it("is left where it cannot be removed, as another user's in /tmp", async () => {
    const dead = spawn(process.execPath, ["-e", ""]);
    await new Promise((resolve) => dead.once("exit", resolve));
    const name = reserveTemporary(folder, "a.json").replace(`-${process.pid}-`, `-${dead.pid}-`);
    // Root may remove every file, but nobody a folder as if it were one.
    mkdirSync(name);
    await write(at("b.json"));
    expect(existsSync(at("b.json"))).toBe(true);
    expect(existsSync(name)).toBe(true);
  });

  it("is not what this process is writing", async () => {
    const mine = reserveTemporary(folder, "a.json");
    writeFileSync(mine, "half");
    await write(at("b.json"));
    expect(existsSync(mine)).toBe(true);
  });
});

describe("what cannot be written is known before the work", () => {
  it.each([
    ["a folder", () => folder],
    ["a folder behind a link", () => (symlinkSync(folder, at("link.png")), at("link.png"))],
    ["the name of a folder", () => `${at("x")}/`],
    ["an empty name", () => ""],
    ["a file in the place of its folder", () => (writeFileSync(at("file"), ""), join(at("file"), "x.png"))],
    ["a file in the place of a folder above", () => (writeFileSync(at("file"), ""), join(at("file"), "a", "x.png"))],
    [
      "links that go round in a circle",
      () => (symlinkSync("y.png", at("x.png")), symlinkSync("x.png", at("y.png")), at("x.png")),
    ],
    ["a name that is too long", () => at("x".repeat(300))],
    ["a folder of the kernel's", () => "/proc/x.png"],
  ])("%s", async (_, path) => {
    await expect(requireWritable(path())).rejects.toThrow(ArgumentError);
  });

  it.skipIf(isRoot)("a folder and a file that may not be written", async () => {
    writeFileSync(at("a.png"), "");
    chmodSync(at("a.png"), 0o444);
    await expect(requireWritable(at("a.png"))).rejects.toThrow(/may not write/);
    chmodSync(folder, 0o555);
    await expect(requireWritable(at("b.png"))).rejects.toThrow(/may not write/);
    chmodSync(folder, 0o755);
  });

  it("what is read again may be no device and no pipe", async () => {
    execFileSync("mkfifo", [at("pipe.json")]);
    for (const path of [at("pipe.json"), "/dev/null"]) {
      await requireWritable(path);
      await expect(requireResumable(path)).rejects.toThrow(/a device or a pipe/);
    }
    await requireResumable(at("search.json"));
    expect(readdirSync(folder)).toEqual(["pipe.json"]);
  });

  it("and what can be is left as it is: files, links, and folders that are not there yet", async () => {
    writeFileSync(at("a.png"), "old");
    for (const name of ["a.png", "b.png", "c/d/e.png"]) await requireWritable(at(name));
    await requireWritableFolder(at("study/one"));
    await expect(requireWritableFolder(at("a.png"))).rejects.toThrow(ArgumentError);
    expect(readdirSync(folder)).toEqual(["a.png"]);
    expect(readFileSync(at("a.png"), "utf8")).toBe("old");
  });
});
