/** Conversion to IEEE 754 half precision, which onnxruntime takes as 16-bit integers. */

const float = new Float32Array(1);
const bits = new Uint32Array(float.buffer);

/** Rounds each number to the nearest float16 (ties to even); numbers that are too large become infinite. */
export function toHalf(values: Float32Array): Uint16Array {
  const halves = new Uint16Array(values.length);
  for (let index = 0; index < values.length; index++) halves[index] = halfBits(values[index]);
  return halves;
}

function halfBits(value: number): number {
  float[0] = value;
  const single = bits[0];
  const sign = (single >>> 16) & 0x8000;
  const exponent = (single >>> 23) & 0xff;
  const fraction = single & 0x7fffff;
  if (exponent === 0xff) return sign | 0x7c00 | (fraction ? 0x200 : 0);
  const halfExponent = exponent - 112;
  if (halfExponent >= 31) return sign | 0x7c00;
  if (halfExponent <= 0) {
    if (halfExponent < -10) return sign;
    return sign | roundShift(fraction | 0x800000, 14 - halfExponent);
  }
  // A carry out of the fraction runs into the exponent, which is exactly what rounding up requires.
  return sign | roundShift((halfExponent << 23) | fraction, 13);
}

function roundShift(value: number, shift: number): number {
  const kept = value >>> shift;
  const dropped = value & ((1 << shift) - 1);
  const half = 1 << (shift - 1);
  return dropped > half || (dropped === half && kept & 1) ? kept + 1 : kept;
}
