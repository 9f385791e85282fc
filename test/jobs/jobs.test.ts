import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { InterruptedError } from "../../src/errors.js";
import { createJob, runLocally } from "../../src/jobs/job.js";
import { decodeData, encodeData } from "../../src/jobs/plainData.js";

describe("data of jobs", () => {
  it("comes back bit for bit: typed arrays, numbers that JSON has no word for, text that looks like them", () => {
    const number = fc.oneof(
      fc.double().filter((value) => !Object.is(value, -0)),
      fc.constantFrom(NaN, Infinity, -Infinity),
    );
    const leaf = fc.oneof(
      number,
      fc.string(),
      fc.boolean(),
      fc.constant(null),
      fc.constantFrom("Infinity", "NaN"),
      fc.array(fc.float(), { maxLength: 5 }).map((values) => Float32Array.from(values)),
      fc.array(fc.double(), { maxLength: 5 }).map((values) => Float64Array.from(values)),
    );
    const data = fc.letrec((tie) => ({
      value: fc.oneof(
        { maxDepth: 3 },
        leaf,
        fc.array(tie("value"), { maxLength: 4 }),
        fc.dictionary(
          fc.stringMatching(/^[a-z_]{1,6}$/).filter((key) => key !== "number" && key !== "__proto__"),
          tie("value"),
          { maxKeys: 4, noNullPrototype: true },
        ),
      ),
    })).value;
    fc.assert(
      fc.property(data, (value) => {
        expect(decodeData(encodeData(value))).toEqual(value);
      }),
    );
  });

  it("keeps a part of a larger buffer apart from it", () => {
    const part = Float32Array.of(1, 2, 3, 4).subarray(1, 3);
    const back = decodeData(encodeData({ part })) as { part: Float32Array };
    expect(Array.from(back.part)).toEqual([2, 3]);
    expect(back.part.buffer.byteLength).toBe(8);
  });
});

describe("jobs", () => {
  it("have one id for equal data, and another for other data", () => {
    const job = createJob({ kind: "arm", latents: Float32Array.of(1, 2) });
    expect(createJob({ kind: "arm", latents: Float32Array.of(1, 2) }).id).toBe(job.id);
    expect(createJob({ kind: "arm", latents: Float32Array.of(1, 2.5) }).id).not.toBe(job.id);
  });

  it("run here one after another, and stop between two on abort", async () => {
    const controller = new AbortController();
    const seen: string[] = [];
    const jobs = ["a", "b", "c"].map(createJob);
    const running = runLocally({
      jobs,
      run: async (data) => data.toUpperCase(),
      onResult: async (_, result) => void (seen.push(result) === 2 && controller.abort()),
      signal: controller.signal,
    });
    await expect(running).rejects.toBeInstanceOf(InterruptedError);
    expect(seen).toEqual(["A", "B"]);
  });
});
