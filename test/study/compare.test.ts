/** The statistics of a study, on studies made up so that the answers are known. */
import { describe, expect, it } from "vitest";
import type { Schedule } from "../../src/caching/schedule/schedule.js";
import { chooseArms, halves } from "../../src/study/choose.js";
import { compareArms } from "../../src/study/compare.js";
import type { ArmResult, StudyResult } from "../../src/study/result.js";
import { studyWarnings } from "../../src/study/warnings.js";

const PROMPTS = ["a", "b", "c", "d"];

function result(
  name: string,
  steps: number,
  seconds: number,
  distance: (row: number) => number,
  parameter?: number,
  computedShare = 1,
): ArmResult {
  const schedule = { heuristic: { name: "threshold" } } as Schedule;
  const latent = PROMPTS.map((_, row) => distance(row));
  return {
    arm: {
      name,
      solver: "ddim",
      steps,
      ...(parameter === undefined ? {} : { cached: { schedule, reuse: "hold", kinds: "transformers", parameter } }),
    },
    toConverged: {
      latent,
      psnr: latent.map((each) => -20 * Math.log10(each)),
      ssim: latent.map((each) => 1 - 2 * each),
    },
    // two batches of two; the machine was twice as slow in the second
    seconds: [seconds, 2 * seconds],
    plainSeconds: [20, 40],
    computedShare,
  };
}

function study(results: readonly ArmResult[]): StudyResult {
  return {
    format: "blockcache-study",
    version: 1,
    model: { fingerprint: "", name: "made up" },
    solver: "ddim",
    guidance_scale: 5,
    steps: 20,
    converged_steps: 200,
    timestep_spacing: "trailing",
    batch: 2,
    machine: "",
    trajectories: PROMPTS.map((prompt) => ({ prompt, seed: 0 })),
    results,
  };
}

// plain: distance (row + 1) · 2^(−steps / 5)
const law =
  (steps: number) =>
  (row: number): number =>
    (row + 1) * 2 ** (-steps / 5);
const plain = [10, 15, 20].map((steps) => result(`plain ${steps}`, steps, steps, law(steps)));

describe("arms compared", () => {
  it("at equal latency with plain sampling between two numbers of steps", () => {
    const better = result("better", 20, 12, (row) => 0.5 * law(12)(row), 0.1, 0.5);
    const faster = result("faster", 20, 8, law(20), 0.2, 0.4);
    const [, , full, half, outside] = compareArms(study([...plain, better, faster]));
    expect(full).toMatchObject({ speedup: 1, againstPlain: { ratio: 1 }, onFront: false });
    expect(half.speedup).toBeCloseTo(20 / 12, 12);
    for (const end of ["ratio", "low", "high"] as const) expect(half.atEqualLatency?.[end]).toBeCloseTo(0.5, 12);
    for (const end of ["ratio", "low", "high"] as const)
      expect(half.againstPlain[end]).toBeCloseTo(0.5 * 2 ** (8 / 5), 12);
    expect(outside.atEqualLatency).toBeUndefined();
    expect(outside).toMatchObject({ onFront: true, speedup: 2.5 });
  });

  it("alike by the pictures' distances", () => {
    const better = result("better", 20, 15, (row) => 0.25 * law(15)(row), 0.1, 0.5);
    for (const measure of ["rms", "dssim"] as const)
      expect(compareArms(study([...plain, better]), measure)[3].atEqualLatency?.ratio).toBeCloseTo(0.25, 9);
  });

  it("needs the plain run", () => {
    expect(() => compareArms(study(plain.slice(0, 2)))).toThrow(/a plain run with 20 steps of ddim/);
  });
});

describe("choosing on one half of the prompts", () => {
  it("reports the same arm on the other half, where it may do worse", () => {
    const lucky = result("lucky", 20, 10, (row) => (row < 2 ? 0.1 : 10) * law(10)(row), 0.1, 0.5);
    const solid = result("solid", 20, 11, (row) => 0.2 * law(11)(row), 0.2, 0.5);
    const [fastest, nearest] = chooseArms(study([...plain, lucky, solid]));
    for (const choice of [fastest, nearest]) {
      expect(choice.chosenOn?.result.arm.name).toBe("lucky");
      expect(choice.reported?.result.arm.name).toBe("lucky");
    }
    expect(nearest.chosenOn?.atEqualLatency?.ratio).toBeCloseTo(0.1, 12);
    expect(nearest.reported?.atEqualLatency?.ratio).toBeCloseTo(10, 12);
  });

  it("chooses none where none is not worse", () => {
    const [fastest] = chooseArms(study([...plain, result("worse", 20, 10, (row) => 2 * law(20)(row), 0.1, 0.5)]));
    expect(fastest.chosenOn).toBeUndefined();
  });

  it("splits prompts, and the times of their batches", () => {
    const [first, second] = halves(study(plain));
    expect(first.trajectories.map(({ prompt }) => prompt)).toEqual(["a", "b"]);
    expect(second.trajectories.map(({ prompt }) => prompt)).toEqual(["c", "d"]);
    expect(second.results[0].toConverged.latent).toEqual([law(10)(2), law(10)(3)]);
    expect([first.results[2].seconds, second.results[2].seconds]).toEqual([[20], [40]]);
    expect(() =>
      halves({ ...study(plain), trajectories: [0, 1, 2, 3].map((seed) => ({ prompt: "a", seed })) }),
    ).toThrow(/two prompts or more/);
  });
});

describe("warnings", () => {
  it("name a parameter that does nothing, and one that falls off a cliff", () => {
    const arms = [0.05, 0.1, 0.4, 0.2].map((delta, index) =>
      result(
        `δ ${delta}`,
        20,
        20 - index,
        (row) => (delta > 0.3 ? 7 : 1 + index) * law(20)(row),
        delta,
        index === 0 ? 1 : 0.5,
      ),
    );
    expect(studyWarnings(study([...plain, ...arms]))).toEqual([
      '"δ 0.05" does nothing: every block computes at every step',
    ]);
    const cliff = [...arms.slice(0, 2), result("δ 0.4", 20, 17, (row) => 13 * law(20)(row), 0.4, 0.3), arms[3]];
    expect(studyWarnings(study([...plain, ...cliff]))).toEqual([
      '"δ 0.05" does nothing: every block computes at every step',
      '"δ 0.4" falls off a cliff: 3.3 times the distance of "δ 0.2"',
    ]);
  });
});
