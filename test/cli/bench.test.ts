/** `blockcache bench` on the embedded model: one round, so that what it prints is known and not how fast the machine is. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";

const main = join("dist", "cli", "main.js");
const folder = mkdtempSync(join(tmpdir(), "blockcache-bench-"));
const run = (...args: string[]) => spawnSync(process.execPath, [main, "bench", ...args], { encoding: "utf8" });
afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface Report {
  readonly secondsAnEvaluation: number;
  readonly ceilings: readonly { readonly kinds: string; readonly speedup: number }[];
  readonly arms: readonly {
    readonly name: string;
    readonly computedShare: number;
    readonly predicted: number;
    readonly ideal: number;
    readonly realised: number;
    readonly realisedRange: [number, number];
    readonly realisedOverIdeal: number;
    readonly timings: readonly { plainSeconds: number; cachedSeconds: number; skippedSeconds: number }[];
  }[];
}

it("times cached evaluations beside plain ones, with a user's reuse rule too", () => {
  const rule = join(folder, "same.mjs");
  writeFileSync(rule, "export default () => [1];\n");
  const { status, stdout, stderr } = run(
    "fluent-ldm",
    "--kinds",
    "all",
    "--interval",
    "2",
    "--reuse",
    `hold,${rule}`,
    "--rows",
    "2",
    "--rounds",
    "1",
    "--json",
  );
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  const { secondsAnEvaluation, ceilings, arms } = JSON.parse(stdout) as Report;
  expect(secondsAnEvaluation).toBeGreaterThan(0);
  expect(ceilings.map(({ kinds }) => kinds)).toEqual(["all kinds"]);
  expect(arms.map(({ name }) => name)).toEqual(["every 2, all kinds, hold", "every 2, all kinds, same"]);
  for (const {
    computedShare,
    predicted,
    ideal,
    realised,
    realisedRange,
    realisedOverIdeal,
    timings: [{ plainSeconds, cachedSeconds, skippedSeconds }, ...others],
  } of arms) {
    // 2 of 4 evaluations of DDIM
    expect(computedShare).toBe(0.5);
    expect(others).toEqual([]);
    expect(ideal).toBeCloseTo(plainSeconds / (plainSeconds - skippedSeconds), 12);
    expect(realised).toBeCloseTo(plainSeconds / cachedSeconds, 12);
    expect(realisedRange).toEqual([realised, realised]);
    expect(realisedOverIdeal).toBeCloseTo(realised / ideal, 12);
    // Something is skipped and not everything; how much of the time that is hangs on what else the machine does.
    expect(skippedSeconds).toBeGreaterThan(0);
    expect(skippedSeconds).toBeLessThan(plainSeconds);
    expect(ideal).toBeGreaterThan(1);
    // By the same costs: reusing in three of four evaluations saves more than in two.
    expect(ceilings[0].speedup).toBeGreaterThan(predicted);
  }
}, 240_000);

it.each([
  [["fluent-ldm", "--interval", "1"], 2, /--interval: expected 2 or more/],
  [
    ["fluent-ldm", "--reuse", "lineer"],
    2,
    /expected hold, linear, .* or the path of a module such as \.\/mine\.mjs, found "lineer"/,
  ],
  [["fluent-ldm", "--kinds", "attention"], 2, /--kinds: expected all, or conv_in/],
  [["fluent-ldm", "--schedule", join(folder, "none.json")], 1, /none\.json: expected a JSON file/],
])("%j is refused in one line", (args, code, message) => {
  const { status, stderr } = run(...args);
  expect(status).toBe(code);
  expect(stderr).toMatch(message);
  expect(stderr).not.toMatch(/\n\s+at /);
});
