/**
 * Data of jobs as JSON text that decodes to the same bits: typed arrays as `{ "float32": base64 }` (little-endian, as
 * safetensors), numbers that JSON cannot write as `{ "number": "Infinity" }`.
 */
const TYPED_ARRAYS = { float32: Float32Array, float64: Float64Array } as const;

export function encodeData(value: unknown): string {
  return JSON.stringify(value, (_, each: unknown) => {
    if (typeof each === "number" && !Number.isFinite(each)) return { number: String(each) };
    for (const [name, constructor] of Object.entries(TYPED_ARRAYS)) {
      if (each instanceof constructor)
        return { [name]: Buffer.from(each.buffer, each.byteOffset, each.byteLength).toString("base64") };
    }
    return each;
  });
}

/** What `encodeData` wrote. Throws SyntaxError for text that is not JSON. */
export function decodeData(text: string): unknown {
  return JSON.parse(text, (_, each: unknown) => {
    if (each === null || typeof each !== "object") return each;
    const [[name, content] = [], ...others] = Object.entries(each);
    if (typeof content !== "string" || others.length > 0) return each;
    if (name === "number") return Number(content);
    if (name !== "float32" && name !== "float64") return each;
    // A copy, because a Buffer from the pool need not be aligned.
    return new TYPED_ARRAYS[name](Uint8Array.from(Buffer.from(content, "base64")).buffer);
  });
}
