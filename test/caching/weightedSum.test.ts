import { expect, it } from "vitest";
import { weightedSum } from "../../src/caching/run/weightedSum.js";
import { openDevice } from "../../src/engine/device.js";
import { fromHost, toHost } from "../../src/engine/transfer.js";

it("adds up in the tensors' own element type: conv_out gives float32 in a float16 network too", async () => {
  const cpu = await openDevice();
  const tensors = [
    [1, 2],
    [10, 20],
    [100, 200],
  ].map((data) => fromHost({ dims: [1, 2, 1, 1], data: Float32Array.from(data) }));
  const sum = await weightedSum({ ...cpu, precision: "float16" }, tensors, [3, -2, 0.5]);
  expect((await toHost(cpu, sum)).data).toEqual(Float32Array.of(33, 66));
});
