/** Attention weights against diffusers': test/fixtures/attention.py made the expected numbers. */
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { loadPipeline } from "../../src/diffusion/pipeline.js";
import type { Pipeline } from "../../src/diffusion/pipeline.js";
import { liveGraphs } from "../../src/engine/native/graph.js";
import { liveTensors } from "../../src/engine/tensor.js";
import { openSafetensors } from "../../src/files/safetensors.js";
import type { SafetensorsFile } from "../../src/files/safetensors.js";
import { hookAttention } from "../../src/instrument/attention/attentionHook.js";
import type { AttentionEvent } from "../../src/instrument/attention/attentionHook.js";

const TRANSFORMERS = ["down_blocks.2.attentions.1", "up_blocks.2.attentions.0"];
const QUERIES = [0, 5, 17, 35];

let pipeline: Pipeline;
let inputs: SafetensorsFile;
let expected: SafetensorsFile;
const fixture = (name: string): string => fileURLToPath(new URL(`../fixtures/${name}.safetensors`, import.meta.url));

beforeAll(async () => {
  pipeline = await loadPipeline("fluent-ldm");
  inputs = await openSafetensors(fixture("embedded"));
  expected = await openSafetensors(fixture("attention"));
});
afterAll(async () => {
  await pipeline.dispose();
  await inputs.close();
  await expected.close();
});

async function attentionOf(transformer: string): Promise<AttentionEvent[]> {
  const events: AttentionEvent[] = [];
  const hook = hookAttention(pipeline, transformer, (event) => void events.push(event), { pixels: QUERIES });
  const inParts = new Set((await hook.begin?.(pipeline)) ?? []);
  await pipeline.network.forward(
    {
      sample: await inputs.readFloat32("sample"),
      encoderHiddenStates: await inputs.readFloat32("prompt_embeds"),
      timestep: 901,
    },
    { observers: [hook], evaluation: { index: 0, timestep: 901, images: 2, guided: false }, inParts },
  );
  hook.end?.();
  return events;
}

describe("attention weights", () => {
  it.each(TRANSFORMERS)("of %s are diffusers'", async (transformer) => {
    const events = await attentionOf(transformer);
    expect(events.map(({ id, to }) => [id.split(".").at(-1), to])).toEqual([
      ["attn1", "pixels"],
      ["attn2", "text"],
    ]);
    for (const { id, to, weights } of events) {
      const wanted = await expected.readFloat32(id);
      const [rows, queries, keys] = weights.dims;
      const asked = to === "pixels" ? [...QUERIES.keys()] : QUERIES;
      const found = Array.from({ length: rows }, (_, row) =>
        asked.map((query) => [...weights.data.subarray((row * queries + query) * keys).subarray(0, keys)]),
      ).flat(2);
      const apart = found.map((value, index) => Math.abs(value - wanted.data[index]));
      expect(found.length).toBe(wanted.data.length);
      expect(Math.max(...apart), id).toBeLessThan(1e-5);
    }
  });

  it("leave nothing behind", async () => {
    // The hook's graphs go a turn after its end.
    const held = async (): Promise<number[]> => {
      await attentionOf(TRANSFORMERS[0]);
      await new Promise((resolve) => setImmediate(resolve));
      return [liveTensors(), liveGraphs()];
    };
    const before = await held();
    expect(await held()).toEqual(before);
  });

  it("are refused of a block that has none", () => {
    expect(() => hookAttention(pipeline, "conv_in", () => undefined, { pixels: [] })).toThrow(
      /expected a spatial transformer, found conv_in/,
    );
  });
});
