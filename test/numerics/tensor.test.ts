import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { transposed } from "../../src/numerics/tensor.js";

describe("transposed", () => {
  const sizes = fc.integer({ min: 1, max: 100 });

  it("puts row r, column c at row c, column r, beyond a tile and at its rest", () => {
    fc.assert(
      fc.property(sizes, sizes, fc.boolean(), (rows, columns, halves) => {
        const numbers = Array.from({ length: rows * columns }, (_, index) => index);
        const { dims, data } = transposed({
          dims: [rows, columns],
          data: halves ? Uint16Array.from(numbers) : Float32Array.from(numbers),
        });
        expect(dims).toEqual([columns, rows]);
        expect(data).toBeInstanceOf(halves ? Uint16Array : Float32Array);
        expect([...data]).toEqual(
          Array.from({ length: rows * columns }, (_, index) => (index % rows) * columns + Math.floor(index / rows)),
        );
      }),
    );
  });

  it("takes the kernel of a 1×1 convolution", () => {
    expect(transposed({ dims: [2, 3, 1, 1], data: Float32Array.of(1, 2, 3, 4, 5, 6) })).toEqual({
      dims: [3, 2],
      data: Float32Array.of(1, 4, 2, 5, 3, 6),
    });
  });
});
