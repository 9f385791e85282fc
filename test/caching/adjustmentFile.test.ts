import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { loadAdjustment, saveAdjustment } from "../../src/caching/adjustment/adjustmentFile.js";
import { coefficientsAt, provenanceOf, requireFitsSchedule } from "../../src/caching/adjustment/adjustment.js";
import type { Adjustment } from "../../src/caching/adjustment/adjustment.js";
import { hold, linear } from "../../src/caching/run/reuseRule.js";
import type { Schedule } from "../../src/caching/schedule/schedule.js";
import { InvalidFileError } from "../../src/errors.js";
import { writeSafetensors } from "../../src/files/safetensors.js";

const SCHEDULE: Schedule = {
  format: "blockcache-schedule",
  version: 1,
  model: { fingerprint: "sha256:0123", name: "made up" },
  solver: "ddim",
  num_inference_steps: 3,
  timesteps: [999, 666, 333],
  guidance_scale: 5,
  heuristic: { name: "by hand" },
  blocks: { "mid_block.attentions.0": [0, 2] },
};

const ADJUSTMENT: Adjustment = {
  schedule: provenanceOf(SCHEDULE),
  reuse: "hold",
  halves: 1,
  fit: { method: "closed-form", terms: ["scale", "shift"] },
  report: { "mid_block.attentions.0": [{ evaluation: 1, ridge: 0.1, before: 0.2, fitted: 0.1, held_out: 0.15 }] },
  library_version: "0.1.0",
  blocks: {
    "mid_block.attentions.0": {
      channels: 2,
      terms: { scale: Float32Array.of(1, 1, 0.5, 0.75, 1, 1), shift: Float32Array.of(0, 0, -0.5, 0.25, 0, 0) },
    },
  },
};

const folder = mkdtempSync(join(tmpdir(), "adjustment-"));

describe("an adjustment's file", () => {
  test("gives back what was written", async () => {
    const path = join(folder, "a.safetensors");
    await saveAdjustment(path, ADJUSTMENT);
    expect(await loadAdjustment(path)).toEqual(ADJUSTMENT);
  });

  test("holds halves apart as an axis", async () => {
    const path = join(folder, "halves.safetensors");
    const apart: Adjustment = {
      ...ADJUSTMENT,
      halves: 2,
      blocks: {
        "mid_block.attentions.0": {
          channels: 2,
          terms: { scale: Float32Array.from({ length: 12 }, (_, index) => Math.sin(index)) },
        },
      },
    };
    await saveAdjustment(path, apart);
    expect(await loadAdjustment(path)).toEqual(apart);
  });

  test.each([
    ["of another format", { format: "blockcache-profile" }, /__metadata__.format: expected "blockcache-adjustment"/],
    ["of a later version", { version: "2" }, /__metadata__.version: expected "1", found "2"/],
    ["without a schedule", { schedule: "{" }, /__metadata__.schedule: expected JSON/],
  ])("%s is refused", async (_, metadata, message) => {
    const path = join(folder, "bad.safetensors");
    const { blocks: __, ...head } = ADJUSTMENT;
    const texts = Object.fromEntries(Object.entries(head).map(([key, value]) => [key, JSON.stringify(value)]));
    await writeSafetensors(path, new Map(), { format: "blockcache-adjustment", version: "1", ...texts, ...metadata });
    await expect(loadAdjustment(path)).rejects.toThrow(message);
    await expect(loadAdjustment(path)).rejects.toBeInstanceOf(InvalidFileError);
  });

  test.each([
    ["NaN", "scale/a", [3, 2], [1, NaN, 1, 1, 1, 1], /scale\/a: expected finite numbers/],
    [
      "another shape",
      "scale/a",
      [2, 3],
      [1, 1, 1, 1, 1, 1],
      /scale\/a: expected F32 \[3, channels\], found F32 \[2, 3\]/,
    ],
    ["another term", "bias/a", [3, 2], [1, 1, 1, 1, 1, 1], /bias\/a: expected scale\/…/],
  ])("with %s is refused", async (_, name, dims, values, message) => {
    const path = join(folder, "bad.safetensors");
    const { blocks: __, ...head } = ADJUSTMENT;
    const texts = Object.fromEntries(Object.entries(head).map(([key, value]) => [key, JSON.stringify(value)]));
    await writeSafetensors(path, new Map([[name, { dtype: "F32", dims, data: Float32Array.from(values) }]]), {
      format: "blockcache-adjustment",
      version: "1",
      ...texts,
    });
    await expect(loadAdjustment(path)).rejects.toThrow(message);
  });
});

describe("an adjustment fits its schedule alone", () => {
  test("the same schedule, in another order of keys", () => {
    expect(() => requireFitsSchedule(ADJUSTMENT, { ...SCHEDULE, blocks: { ...SCHEDULE.blocks } }, hold)).not.toThrow();
  });

  test.each([
    ["model", { model: { fingerprint: "sha256:4567", name: "other" } }, hold, /fitted for the model made up/],
    ["solver", { solver: "pndm" }, hold, /fitted for solver ddim, and the schedule is for pndm/],
    ["timesteps", { timesteps: [999, 500, 1] }, hold, /fitted for 3 network evaluations from timestep 999/],
    ["rule", {}, linear, /fitted for the reuse rule hold, and this run's is linear/],
    ["blocks", { blocks: { "mid_block.attentions.0": [0, 1] } }, hold, /fitted for another schedule/],
    ["guidance", { guidance_scale: 7 }, hold, /fitted for another schedule/],
  ])("another %s is refused by name", (_, change, rule, message) => {
    expect(() => requireFitsSchedule(ADJUSTMENT, { ...SCHEDULE, ...change }, rule)).toThrow(message);
  });

  test("evaluations that are left as they were have no coefficients", () => {
    const block = ADJUSTMENT.blocks["mid_block.attentions.0"];
    expect(coefficientsAt(block, "scale", 0, 1)).toBeUndefined();
    expect([...(coefficientsAt(block, "scale", 1, 1) ?? [])]).toEqual([0.5, 0.75]);
    expect(coefficientsAt(block, "change", 1, 1)).toBeUndefined();
  });
});
