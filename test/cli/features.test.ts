/** `blockcache features`, `frechet` and `evaluate` as a user runs them. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { saveImage } from "../../src/diffusion/image.js";
import { writeSafetensors } from "../../src/files/safetensors.js";
import { openSafetensors } from "../../src/index.js";
import { fixture, floats, picture, worst } from "../quality/featureFixture.js";

const main = join("dist", "cli", "main.js");
const folder = mkdtempSync(join(tmpdir(), "blockcache-features-cli-"));
const at = (name: string): string => join(folder, name);
const run = (...args: string[]) => spawnSync(process.execPath, [main, ...args], { encoding: "utf8" });
afterAll(() => rmSync(folder, { recursive: true }));

beforeAll(async () => {
  for (const kind of [0, 1, 2]) await saveImage(at(`pictures/${kind}.png`), picture(192, 192, kind));
  const [
    {
      a,
      b,
      dims: [n, m, width],
    },
  ] = fixture.sets;
  await writeSafetensors(
    at("a.safetensors"),
    new Map([["features", { dtype: "F32", dims: [n, width], data: floats(a) }]]),
  );
  await writeSafetensors(
    at("b.safetensors"),
    new Map([["features", { dtype: "F32", dims: [m, width], data: floats(b) }]]),
  );
  await writeSafetensors(
    at("narrow.safetensors"),
    new Map([["features", { dtype: "F32", dims: [2, 1], data: Float32Array.of(1, 2) }]]),
  );
});

test("features writes what transformers' CLIPModel gives, in the order of the names", async () => {
  const { status, stderr, stdout } = run(
    "features",
    "fluent-clip",
    "--images",
    at("pictures"),
    "--out",
    at("f.safetensors"),
    "--json",
  );
  expect([status, stderr]).toEqual([0, ""]);
  expect(JSON.parse(stdout)).toMatchObject({ pictures: 3, width: 128 });
  const file = await openSafetensors(at("f.safetensors"));
  expect(JSON.parse(file.metadata.pictures)).toEqual(["0.png", "1.png", "2.png"]);
  const { dims, data } = await file.readFloat32("features");
  expect(dims).toEqual([3, 128]);
  expect(worst(data, floats(fixture.clips["fluent-clip"].image))).toBeLessThan(1e-4);
  await file.close();
});

test.each(["frechet", "kid", "cmmd"] as const)("frechet --metric %s prints numpy's number", (metric) => {
  const { status, stdout } = run(
    "frechet",
    at("a.safetensors"),
    at("b.safetensors"),
    "--metric",
    metric,
    "--resamples",
    "50",
    "--json",
  );
  expect(status).toBe(0);
  const printed = JSON.parse(stdout) as Record<string, number>;
  expect(Math.abs(printed[metric] / fixture.sets[0][metric] - 1)).toBeLessThan(1e-6);
  expect(printed.low).toBeLessThan(printed.high);
});

test("what does not go together is refused in one line; nothing half-written is left", async () => {
  const narrow = run("frechet", at("a.safetensors"), at("narrow.safetensors"));
  expect([narrow.status, narrow.stderr]).toEqual([
    1,
    expect.stringMatching(/^blockcache: features: expected two sets of the same width, found 8 and 1.*\n$/),
  ]);
  expect(run("frechet", at("a.safetensors"), at("b.safetensors"), "--metric", "fid").status).toBe(2);
  await saveImage(at("mixed/a.png"), picture(20, 20, 0));
  await saveImage(at("mixed/b.png"), picture(20, 21, 0));
  const mixed = run("features", "fluent-clip", "--images", at("mixed"), "--out", at("mixed.safetensors"));
  expect([mixed.status, mixed.stderr]).toEqual([
    1,
    expect.stringMatching(/b\.png: expected 20×20, as a\.png has, found 20×21 pixels — .*--mixed-sizes/),
  ]);
  expect(existsSync(at("mixed.safetensors"))).toBe(false);
  expect(
    run("features", "fluent-clip", "--images", at("mixed"), "--mixed-sizes", "--out", at("mixed.safetensors")).status,
  ).toBe(0);
  expect(run("features", "fluent-clip", "--images", at("nowhere"), "--out", at("x")).stderr).toMatch(
    /nowhere: expected a folder of pictures/,
  );
});

test("evaluate prints the table, and takes a schedule by its file and a δ by its profile", () => {
  const model = join("test", "fixtures", "models", "sd2-like");
  writeFileSync(at("prompts.txt"), "red apple\nblue book\n");
  const sampling = [
    "--seeds",
    "0",
    "--steps",
    "4",
    "--solver",
    "ddim",
    "--scheduler-config",
    "timestep_spacing=trailing",
  ];
  expect(run("profile", model, "--prompts", at("prompts.txt"), ...sampling, "--out", at("p.safetensors")).status).toBe(
    0,
  );
  expect(
    run("schedule", at("p.safetensors"), "--heuristic", "uniform", "--interval", "2", "--out", at("s.json")).status,
  ).toBe(0);
  const ddim = { solver: "ddim", steps: 4 };
  const settings = [
    { name: "plain-4", ...ddim },
    { name: "every-second", ...ddim, schedule: "s.json", reuse: "linear" },
    { name: "threshold", ...ddim, delta: 0.5, profile: "p.safetensors" },
  ];
  writeFileSync(at("settings.json"), JSON.stringify(settings));
  const common = [
    "evaluate",
    model,
    "--prompts",
    at("prompts.txt"),
    "--scheduler-config",
    "timestep_spacing=trailing",
    "--metrics",
    "clip-score,latent",
    "--out",
    at("evaluation"),
  ];
  const made = run(...common, "--settings", at("settings.json"), "--csv", at("table.csv"));
  expect([made.status, made.stderr]).toEqual([0, ""]);
  expect(made.stdout).toMatch(/threshold +ddim +4 +✓ threshold 0\.5, hold/);
  expect(readFileSync(at("table.csv"), "utf8").trim().split("\n").length).toBe(4);
  const again = run(...common, "--settings", at("settings.json"), "--json");
  expect(JSON.parse(again.stdout)).toMatchObject({ format: "blockcache-evaluation", baseline: "plain-4" });

  writeFileSync(at("both.json"), JSON.stringify([{ ...settings[1], delta: 1, profile: "p.safetensors" }]));
  expect(run(...common, "--settings", at("both.json")).stderr).toMatch(
    /both\.json: 0: expected a schedule or a delta, not both/,
  );
  writeFileSync(at("empty.json"), "[]");
  expect(run(...common, "--settings", at("empty.json")).stderr).toMatch(
    /empty\.json: expected a list of at least 1 entry, found \[\]/,
  );
}, 120_000);
