/**
 * One network on webgpu against PyTorch's tensors; prints the largest error. Runs as its own process, because the
 * environment chooses the driver.
 */
import { join } from "node:path";
import { loadPipeline } from "../../dist/diffusion/pipeline.js";
import { changeMeter } from "../../dist/instrument/change/change.js";
import { hook } from "../../dist/instrument/hooks/hooks.js";
import { openSafetensors } from "../../dist/files/safetensors.js";

const folder = process.argv[2];
const pipeline = await loadPipeline(folder, { device: "webgpu" });
const reference = await openSafetensors(join(folder, "reference.safetensors"));
const inputs = {
  sample: await reference.readFloat32("sample"),
  timestep: 601,
  encoderHiddenStates: await reference.readFloat32("prompt_embeds"),
};
const branches = new Map();
const recorder = hook("all", ({ id, branch }) => void branches.set(id, branch));
await recorder.begin(pipeline);
const changes = [];
const meter = changeMeter(pipeline, (id, step, [{ change }]) => changes.push(change));
const evaluate = (index) =>
  pipeline.network.forward(inputs, {
    observers: [recorder, meter],
    evaluation: { index, timestep: 601, images: 1, guided: true },
  });
branches.set("unet", await evaluate(0));
await evaluate(1);
let worst = 0;
for (const [id, { data }] of branches) {
  const expected = (await reference.readFloat32(id === "unet" ? id : `branch/${id}`)).data;
  const size = expected.reduce((largest, value) => Math.max(largest, Math.abs(value)), 0);
  worst = Math.max(
    worst,
    expected.reduce((largest, value, index) => Math.max(largest, Math.abs(value - data[index])), 0) / size,
  );
}
console.log(JSON.stringify({ worst, blocks: branches.size, change: Math.max(...changes) }));
process.exit(0);
