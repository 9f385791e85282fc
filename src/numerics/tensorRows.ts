/** Puts tensors together and takes them apart along an axis. */
import { elementCount } from "./tensor.js";
import type { FloatTensor } from "./tensor.js";

/** Two tensors of the same shape except for the first axis, one below the other. */
export function stack(above: FloatTensor, below: FloatTensor): FloatTensor {
  const data = new Float32Array(above.data.length + below.data.length);
  data.set(above.data);
  data.set(below.data, above.data.length);
  return { dims: [above.dims[0] + below.dims[0], ...above.dims.slice(1)], data };
}

/** The upper and the lower half of the rows. */
export function halves({ dims: [rows, ...rest], data }: FloatTensor): [FloatTensor, FloatTensor] {
  const dims = [rows / 2, ...rest];
  const middle = data.length / 2;
  return [
    { dims, data: data.subarray(0, middle) },
    { dims, data: data.subarray(middle) },
  ];
}

/** Two tensors of the same shape except for the last axis, side by side. */
export function joinLast(left: FloatTensor, right: FloatTensor): FloatTensor {
  const [a, b] = [left, right].map(({ dims }) => dims[dims.length - 1]);
  const outer = left.dims.slice(0, -1);
  const data = new Float32Array(left.data.length + right.data.length);
  for (let row = 0; row < elementCount(outer); row++) {
    data.set(left.data.subarray(row * a, (row + 1) * a), row * (a + b));
    data.set(right.data.subarray(row * b, (row + 1) * b), row * (a + b) + a);
  }
  return { dims: [...outer, a + b], data };
}
