/** A dense float32 tensor in host memory, row-major. */
export interface FloatTensor {
  readonly dims: readonly number[];
  readonly data: Float32Array;
}

/** A weight in host memory, row-major: float32, or the bits of float16. */
export interface WeightTensor {
  readonly dims: readonly number[];
  readonly data: Float32Array | Uint16Array;
}

/** Number of elements of a tensor of these dimensions. */
export function elementCount(dims: readonly number[]): number {
  return dims.reduce((product, dim) => product * dim, 1);
}

/** Rows and columns of a square that stays in the processor's cache. */
const TILE = 32;

/** [rows, columns, 1, …] → [columns, rows]. */
export function transposed({ dims: [rows, columns], data }: WeightTensor): WeightTensor {
  const result = data instanceof Float32Array ? new Float32Array(data.length) : new Uint16Array(data.length);
  for (let top = 0; top < rows; top += TILE) {
    const bottom = Math.min(top + TILE, rows);
    for (let left = 0; left < columns; left += TILE) {
      const right = Math.min(left + TILE, columns);
      for (let row = top; row < bottom; row++) {
        for (let column = left; column < right; column++) result[column * rows + row] = data[row * columns + column];
      }
    }
  }
  return { dims: [columns, rows], data: result };
}
