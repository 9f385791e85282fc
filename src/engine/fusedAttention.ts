/** Whether a device's MultiHeadAttention may be used. */
import { FLOAT32, GraphBuilder } from "../graphs/graphBuilder.js";
import { attention } from "../graphs/layers.js";
import { elementCount } from "../numerics/tensor.js";
import type { FloatTensor } from "../numerics/tensor.js";
import type { Backend } from "./backend.js";
import { releaseAll } from "./tensor.js";
import { download, upload } from "./transfer.js";

/** Heads of Stable Diffusion 1.x, 2.x and XL, and a text encoder's, whose scores have a bias (its mask). */
const CASES = [
  { headWidth: 40 },
  { headWidth: 64 },
  { headWidth: 80 },
  { headWidth: 160 },
  { headWidth: 64, biased: true },
] as const;
const [ROWS, QUERIES, KEYS, HEADS] = [2, 64, 77, 2];

/**
 * Whether MultiHeadAttention gives, in float32 at these sizes, what plain operators give. On webgpu, onnxruntime 1.30's
 * does on an NVIDIA card, and is a quarter off, from 64 tokens upwards, under Chromium's software Vulkan.
 */
export async function fusedAttentionIsRight(backend: Backend): Promise<boolean> {
  try {
    const [fused, plain] = [await attend(backend, true), await attend(backend, false)];
    return fused.every((value, index) => Math.abs(value - plain[index]) < 1e-3);
  } catch {
    // Plain operators may still work, or will say why not when they are used.
    return false;
  }
}

async function attend(backend: Backend, fusedAttention: boolean): Promise<Float32Array> {
  const graph = new GraphBuilder("attention", { ...FLOAT32, fusedAttention });
  const numbers: Record<string, FloatTensor> = {};
  const fed = (name: string, dims: readonly number[]): string => {
    const seed = Object.keys(numbers).length;
    const data = Float32Array.from({ length: elementCount(dims) }, (_, index) => Math.sin(index * index + seed));
    numbers[name] = { dims, data };
    return graph.input(name, dims);
  };
  const attended = CASES.map((each, index) => {
    const [query, key, value] = [QUERIES, KEYS, KEYS].map((tokens, part) =>
      fed(`${index} ${part}`, [ROWS, tokens, HEADS * each.headWidth]),
    );
    const bias = "biased" in each ? fed(`${index} bias`, [1, 1, QUERIES, KEYS]) : undefined;
    return attention(graph, query, key, value, { heads: HEADS, headWidth: each.headWidth, bias });
  });
  graph.output("y", graph.node("Concat", attended, { axis: 2n }), [ROWS, QUERIES, "width"]);
  const compiled = await backend.compile(graph.encodeWithoutWeights());
  const feeds = Object.fromEntries(Object.entries(numbers).map(([name, each]) => [name, upload({ backend }, each)]));
  try {
    const [y] = await compiled.run(feeds, ["y"], { toHost: true });
    using attendedTo = y;
    return (await download({ backend }, attendedTo)).data;
  } finally {
    releaseAll(Object.values(feeds));
    compiled.release();
  }
}
