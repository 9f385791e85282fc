/** Joining where runs are recorded: in other operators, and the same numbers. */
import fc from "fast-check";
import { expect, it } from "vitest";
import { openDevice } from "../../src/engine/device.js";
import { releaseAll } from "../../src/engine/tensor.js";
import { download, upload } from "../../src/engine/transfer.js";
import { FLOAT32, GraphBuilder } from "../../src/graphs/graphBuilder.js";
import { concat } from "../../src/graphs/layers.js";

const [ROWS, INNER] = [2, 3];

/** The operators that join parts of these sizes where runs are recorded. */
function joining(sizes: readonly number[]): GraphBuilder {
  const graph = new GraphBuilder("concat", { ...FLOAT32, recordsRuns: true });
  const parts = sizes.map((size, index) => ({ value: graph.input(`part ${index}`, [ROWS, size, INNER]), size }));
  const total = sizes.reduce((sum, size) => sum + size, 0);
  graph.output("joined", concat(graph, parts, 1), [ROWS, total, INNER]);
  return graph;
}

const operators = (sizes: readonly number[]): string[] => [...new Set(joining(sizes).nodes.map(({ op }) => op))];

it("cuts unequal parts to equal ones, and pads them where these would be many: CUDA's Concat takes equal ones from the launch", () => {
  expect(operators([640, 640])).toEqual(["Concat"]);
  expect(operators([1280, 640])).toEqual(["Split", "Concat"]);
  expect(operators([1, 144])).toEqual(["Pad", "Add"]);
  expect(operators([48, 21])).toEqual(["Split", "Concat"]);
});

it("gives one part after the other", async () => {
  const device = await openDevice();
  await fc.assert(
    fc.asyncProperty(fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 2, maxLength: 4 }), async (sizes) => {
      const graph = await device.backend.compile(joining(sizes).encodeWithoutWeights());
      const numbers = sizes.map((size, part) =>
        Float32Array.from({ length: ROWS * size * INNER }, (_, index) => 1000 * part + index - 50),
      );
      const feeds = Object.fromEntries(
        numbers.map((data, part) => [`part ${part}`, upload(device, { dims: [ROWS, sizes[part], INNER], data })]),
      );
      const [joined] = await graph.run(feeds, ["joined"]);
      using result = joined;
      const rows = Array.from({ length: ROWS }, (_, row) =>
        numbers.flatMap((data, part) => [...data.subarray(row * sizes[part] * INNER, (row + 1) * sizes[part] * INNER)]),
      );
      expect([...(await download(device, result)).data]).toEqual(rows.flat());
      releaseAll(Object.values(feeds));
      graph.release();
    }),
    { numRuns: 40 },
  );
});
