import { expect, it } from "vitest";
import { ArgumentError } from "../../src/errors.js";
import type { Precision } from "../../src/graphs/graphBuilder.js";
import { openDevice } from "../../src/engine/device.js";
import type { DeviceName } from "../../src/engine/devices.js";

it.each([
  [{ device: "gpu" as DeviceName }, /^device: expected one of auto, cpu, webgpu, cuda, dml, coreml, found "gpu"/],
  [{ precision: "float8" as Precision }, /^precision: expected float32 or float16, found "float8"/],
  [
    { device: "webgpu" as const, precision: "half" as Precision },
    /^precision: expected float32 or float16, found "half"/,
  ],
  [{ precision: "float16" as const }, /^precision: expected float32 on device cpu, found float16/],
])("%j is refused before anything is opened", async (options, message) => {
  await expect(openDevice(options)).rejects.toThrow(ArgumentError);
  await expect(openDevice(options)).rejects.toThrow(message);
});

it("auto says that cpu computes in float32 where another precision was asked for", async () => {
  const warnings: string[] = [];
  const listen = ({ message }: Error): number => warnings.push(message);
  process.on("warning", listen);
  const { name, precision } = await openDevice({ device: "auto", precision: "float16" });
  await new Promise(setImmediate);
  process.off("warning", listen);
  if (name === "cpu")
    expect([precision, ...warnings]).toEqual(["float32", expect.stringMatching(/cpu computes in float32/)]);
  else expect([precision, ...warnings]).toEqual(["float16"]);
});
