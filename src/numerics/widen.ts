/** Narrow floating-point numbers, as bit patterns, widened to float32. */

/** IEEE half precision: every one of the 65,536 patterns is looked up. */
export function widenFloat16(halves: Uint16Array): Float32Array {
  halfTable ??= makeHalfTable();
  const values = new Float32Array(halves.length);
  for (let index = 0; index < halves.length; index++) values[index] = halfTable[halves[index]];
  return values;
}

/** bfloat16 is the upper half of a float32. */
export function widenBfloat16(halves: Uint16Array): Float32Array {
  const bits = new Uint32Array(halves.length);
  for (let index = 0; index < halves.length; index++) bits[index] = halves[index] << 16;
  return new Float32Array(bits.buffer);
}

export function widenFloat64(doubles: Float64Array): Float32Array {
  return Float32Array.from(doubles);
}

let halfTable: Float32Array | undefined;

function makeHalfTable(): Float32Array {
  const table = new Float32Array(1 << 16);
  for (let bits = 0; bits < table.length; bits++) {
    const sign = bits & 0x8000 ? -1 : 1;
    const exponent = (bits >>> 10) & 0x1f;
    const fraction = bits & 0x3ff;
    if (exponent === 31) table[bits] = fraction ? NaN : sign * Infinity;
    else if (exponent === 0) table[bits] = sign * fraction * 2 ** -24;
    else table[bits] = sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
  }
  return table;
}
