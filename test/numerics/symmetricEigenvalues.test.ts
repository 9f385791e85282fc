import fc from "fast-check";
import { EigenvalueDecomposition, Matrix } from "ml-matrix";
import { expect, test } from "vitest";
import { productWithTranspose, transposedMatrix } from "../../src/numerics/productWithTranspose.js";
import { symmetricEigenvalues } from "../../src/numerics/symmetricEigenvalues.js";

const entries = fc.integer({ min: 1, max: 12 }).chain((size) =>
  fc
    .array(
      fc.oneof(
        fc.constantFrom(0, 1),
        fc.integer({ min: -500, max: 500 }).map((value) => value / 100),
      ),
      {
        minLength: size * size,
        maxLength: size * size,
      },
    )
    .map((values) => ({ size, values })),
);

test("eigenvalues of symmetric matrices equal ml-matrix's", () => {
  fc.assert(
    fc.property(entries, ({ size, values }) => {
      const matrix = Float64Array.from(values, (_, index) => {
        const [row, column] = [Math.floor(index / size), index % size];
        return values[Math.min(row, column) * size + Math.max(row, column)];
      });
      const expected = new EigenvalueDecomposition(Matrix.from1DArray(size, size, matrix), { assumeSymmetric: true });
      const found = symmetricEigenvalues(matrix, size).sort();
      const sorted = Float64Array.from(expected.realEigenvalues).sort();
      found.forEach((value, index) => expect(Math.abs(value - sorted[index])).toBeLessThan(1e-12 * size * 5));
    }),
  );
});

test("eigenvalues of a chain of springs, in closed form: 2 − 2 cos(π k / (n + 1))", () => {
  const size = 50;
  const matrix = new Float64Array(size * size);
  for (let row = 0; row < size; row++) {
    matrix[row * size + row] = 2;
    if (row > 0) matrix[row * size + row - 1] = matrix[(row - 1) * size + row] = -1;
  }
  const found = symmetricEigenvalues(matrix, size).sort();
  found.forEach((value, index) =>
    expect(value).toBeCloseTo(2 - 2 * Math.cos((Math.PI * (index + 1)) / (size + 1)), 12),
  );
});

test.each([NaN, Infinity, 1e200])("a matrix with %d is refused", (value) => {
  for (const place of [0, 4, 8])
    expect(() =>
      symmetricEigenvalues(
        Float64Array.from({ length: 9 }, (_, index) => (index === place ? NaN : 1)),
        3,
      ),
    ).toThrow(/finite/);
  expect(() => symmetricEigenvalues(Float64Array.of(1, value, 0, value, 1, value, 0, value, 1), 3)).toThrow(/finite/);
});

test("A·Bᵀ and the transpose equal ml-matrix's, odd sizes too", () => {
  const sizes = fc.tuple(
    ...([1, 2, 3].map(() => fc.integer({ min: 1, max: 7 })) as [
      fc.Arbitrary<number>,
      fc.Arbitrary<number>,
      fc.Arbitrary<number>,
    ]),
  );
  fc.assert(
    fc.property(sizes, fc.infiniteStream(fc.integer({ min: -9, max: 9 })), ([rows, columns, width], stream) => {
      const draw = (count: number): Float64Array =>
        Float64Array.from({ length: count }, () => stream.next().value as number);
      const [a, b] = [draw(rows * width), draw(columns * width)];
      const [left, right] = [Matrix.from1DArray(rows, width, a), Matrix.from1DArray(columns, width, b)];
      expect([...productWithTranspose(a, b, width)]).toEqual(
        left
          .mmul(right.transpose())
          .to1DArray()
          .map((value) => value + 0),
      );
      expect([...transposedMatrix(a, width)]).toEqual(left.transpose().to1DArray());
    }),
  );
});
