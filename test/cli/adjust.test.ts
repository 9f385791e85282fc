/** `blockcache adjust` and `sample --adjustment` as a script runs them. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openSafetensors } from "../../src/files/safetensors.js";

const main = join("dist", "cli", "main.js");
const model = join("test", "fixtures", "models", "sd1-like");
const folder = mkdtempSync(join(tmpdir(), "blockcache-adjust-"));
const at = (name: string): string => join(folder, name);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function run(...args: string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, [main, ...args], { encoding: "utf8" });
}

const LATENTS = ["--prompt", "red apple", "--steps", "5", "--solver", "ddim"];

beforeAll(() => {
  writeFileSync(at("fit.txt"), "red apple\ncat face\nrocket\n");
  writeFileSync(at("test.txt"), "sunflower\n");
  run(
    "profile",
    model,
    "--prompts",
    at("fit.txt"),
    "--seeds",
    "0",
    "--steps",
    "5",
    "--solver",
    "ddim",
    "--out",
    at("p.safetensors"),
  );
  for (const delta of ["0.3", "0.1"])
    run("schedule", at("p.safetensors"), "--delta", delta, "--kinds", "transformer", "--out", at(`s${delta}.json`));
});

describe("blockcache adjust", () => {
  it("fits, says what it did on other prompts, and sample takes it", async () => {
    const { status, stdout, stderr } = run(
      ...["adjust", model, "--schedule", at("s0.3.json"), "--prompts", at("fit.txt"), "--seeds", "0,1"],
      ...["--test-prompts", at("test.txt"), "--out", at("a.safetensors"), "--json"],
    );
    expect(stderr).toBe("");
    expect(status).toBe(0);
    const result = JSON.parse(stdout) as {
      cells: number;
      before: number;
      fitted: number;
      test: { adjusted: number[] };
    };
    expect(result.cells).toBeGreaterThan(0);
    expect(result.fitted).toBeLessThanOrEqual(result.before);
    expect(result.test.adjusted).toHaveLength(2);

    const file = await openSafetensors(at("a.safetensors"));
    const schedule = JSON.parse(readFileSync(at("s0.3.json"), "utf8")) as { blocks: Record<string, number[]> };
    for (const name of file.tensors.keys())
      expect(schedule.blocks).toHaveProperty([name.replace(/^(scale|shift)\//, "")]);
    expect([...file.tensors.values()].every(({ dtype, dims }) => dtype === "F32" && dims[0] === 5)).toBe(true);
    await file.close();

    const sampled = run(
      ...["sample", model, ...LATENTS, "--schedule", at("s0.3.json"), "--adjustment", at("a.safetensors")],
      ...["--save-latents", at("adjusted.safetensors")],
    );
    expect(sampled.stderr).toBe("");
    expect(sampled.status).toBe(0);
    run("sample", model, ...LATENTS, "--schedule", at("s0.3.json"), "--save-latents", at("cached.safetensors"));
    expect(readFileSync(at("adjusted.safetensors"))).not.toEqual(readFileSync(at("cached.safetensors")));
  });

  it("another schedule, another rule: refused by name, nothing written", () => {
    const other = run(
      ...["sample", model, ...LATENTS, "--schedule", at("s0.1.json"), "--adjustment", at("a.safetensors")],
      ...["--save-latents", at("never.safetensors")],
    );
    expect(other.status).toBe(1);
    expect(other.stderr).toMatch(/^blockcache: adjustment: fitted for another schedule \(threshold/);
    const rule = run(
      ...["sample", model, ...LATENTS, "--schedule", at("s0.3.json"), "--adjustment", at("a.safetensors")],
      ...["--reuse", "linear", "--save-latents", at("never.safetensors")],
    );
    expect(rule.stderr).toMatch(/fitted for the reuse rule hold, and this run's is linear/);
    expect(existsSync(at("never.safetensors"))).toBe(false);
  });

  it("distils from the closed form", () => {
    const { status, stdout, stderr } = run(
      ...["adjust", model, "--schedule", at("s0.3.json"), "--prompts", at("fit.txt"), "--method", "distil"],
      ...["--iterations", "2", "--out", at("d.safetensors"), "--json"],
    );
    expect(stderr).toBe("");
    expect(status).toBe(0);
    expect((JSON.parse(stdout) as { losses: number[] }).losses).toHaveLength(2);
    expect(existsSync(at("d.safetensors"))).toBe(true);
    expect(existsSync(at("d.safetensors.state"))).toBe(false);
  });

  it("wrong usage ends with 2, a damaged file with 1", () => {
    const usage = run(
      ...["adjust", model, "--schedule", at("s0.3.json"), "--prompts", at("fit.txt"), "--rate", "0.1"],
      ...["--out", at("x.safetensors")],
    );
    expect(usage.status).toBe(2);
    expect(usage.stderr).toMatch(/--rate goes with --method distil/);
    expect(run("sample", model, ...LATENTS, "--adjustment", at("a.safetensors"), "--out", at("x.png")).status).toBe(2);
    writeFileSync(at("damaged.safetensors"), readFileSync(at("a.safetensors")).subarray(0, 500));
    const damaged = run(
      ...["sample", model, ...LATENTS, "--schedule", at("s0.3.json"), "--adjustment", at("damaged.safetensors")],
      ...["--out", at("x.png")],
    );
    expect(damaged.status).toBe(1);
    expect(damaged.stderr).toMatch(/damaged\.safetensors/);
  });
});

describe("blockcache fit-reuses", () => {
  it("gives the search what it needs to count on an adjustment, and one for what it finds", () => {
    const found = run(
      ...["fit-reuses", model, "--profile", at("p.safetensors"), "--prompts", at("fit.txt")],
      ...["--out", at("fits.safetensors"), "--json"],
    );
    expect(found.stderr).toBe("");
    expect(JSON.parse(found.stdout)).toMatchObject({ window: 4, trajectories: 3 });
    run("costs", model, "--samples", "1", "--out", at("costs.safetensors"));
    const planned = run(
      ...["schedule", at("p.safetensors"), "--heuristic", "dynamic-programme", "--costs", at("costs.safetensors")],
      ...["--speedup", "1.01", "--reuse-fits", at("fits.safetensors"), "--out", at("planned.json")],
    );
    expect(planned.stderr).toBe("");
    expect(JSON.parse(readFileSync(at("planned.json"), "utf8"))).toMatchObject({
      heuristic: { fits: { window: 4, trajectories: 3 } },
    });
    const refined = run(
      ...["refine", model, at("planned.json"), "--costs", at("costs.safetensors"), "--speedup", "1.001"],
      ...["--prompt", "red apple", "--runs", "2", "--reuse-fits", at("fits.safetensors")],
      ...["--out", at("refined.json"), "--adjustment", at("refined.safetensors"), "--json"],
    );
    expect(refined.stderr).toBe("");
    expect(JSON.parse(refined.stdout)).toMatchObject({ runs: 2 });
    const sampled = run(
      ...["sample", model, ...LATENTS, "--schedule", at("refined.json"), "--adjustment", at("refined.safetensors")],
      ...["--save-latents", at("refined-latents.safetensors")],
    );
    expect(sampled.stderr).toBe("");
    expect(sampled.status).toBe(0);
  });

  it("a heuristic that weighs no errors, and an adjustment without fits: refused", () => {
    const threshold = run(
      ...["schedule", at("p.safetensors"), "--delta", "0.3", "--reuse-fits", at("fits.safetensors")],
      ...["--out", at("none.json")],
    );
    expect(threshold.status).toBe(2);
    expect(threshold.stderr).toMatch(/--reuse-fits: expected with greedy or dynamic-programme/);
    const refined = run(
      ...["refine", model, at("s0.3.json"), "--costs", at("costs.safetensors"), "--speedup", "1.001"],
      ...["--prompt", "red apple", "--out", at("none.json"), "--adjustment", at("none.safetensors")],
    );
    expect(refined.status).toBe(2);
    expect(existsSync(at("none.json"))).toBe(false);
  });
});
