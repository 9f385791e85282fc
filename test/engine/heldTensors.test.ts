import { describe, expect, it } from "vitest";
import * as ort from "onnxruntime-node";
import { HeldTensors } from "../../src/engine/heldTensors.js";
import { release, retain } from "../../src/engine/ownership.js";

const tensor = (...numbers: number[]): ort.Tensor =>
  new ort.Tensor("float32", Float32Array.from(numbers), [numbers.length]);

describe("host tensors that take the place of others", () => {
  it("keep their numbers when the one they came from is freed, and one memory serves all that follow", () => {
    const held = new HeldTensors();
    let kept: ort.Tensor | undefined;
    const memories = new Set<unknown>();
    for (const value of [1, 2, 3]) {
      const given = tensor(value, -value);
      kept = held.replace(kept, given);
      release(given);
      expect([...(kept.data as Float32Array)]).toEqual([value, -value]);
      memories.add(kept.data);
    }
    expect(memories.size).toBe(1);
    expect(held.peakBytes).toBe(8);
  });

  it("leave the numbers of one that another owner has, too", () => {
    const held = new HeldTensors();
    const first = held.replace(undefined, tensor(1, 2));
    retain(first);
    const second = held.replace(first, tensor(3, 4));
    expect([...(first.data as Float32Array)]).toEqual([1, 2]);
    expect([...(second.data as Float32Array)]).toEqual([3, 4]);
    release(first);
    expect(() => first.data).toThrow();
  });

  it("may have another shape or element type", () => {
    const held = new HeldTensors();
    const long = held.replace(held.replace(undefined, tensor(1, 2)), tensor(1, 2, 3));
    expect(long.dims).toEqual([3]);
    const half = held.replace(long, new ort.Tensor("float16", Uint16Array.of(15360), [1]));
    expect(half.type).toBe("float16");
    expect(held.peakBytes).toBe(12);
  });
});
