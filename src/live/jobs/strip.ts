/** What a block computes over a run: its C's first three principal components as colours, and where it looks. */
import { enlarge, toDataUri } from "../../diffusion/image.js";
import type { Pipeline } from "../../diffusion/pipeline.js";
import { sample } from "../../diffusion/sample.js";
import { planSampling } from "../../diffusion/samplingPlan.js";
import type { FloatTensor } from "../../numerics/tensor.js";
import { createCovariance } from "../../instrument/features/covariance.js";
import { projectFeatures, toRgb } from "../../instrument/features/featureMap.js";
import { fitComponents } from "../../instrument/features/pca.js";
import { hook } from "../../instrument/hooks/hooks.js";
import { sampleOptions } from "../settings.js";
import { recordAttention } from "./attention.js";
import type { BlockStrip, JobOptions, Jobs } from "../worker.js";

const PICTURES = 6;
/** Small maps are enlarged to about so many pixels a side. */
const PICTURE_PIXELS = 64;

/** One basis for all pictures, fitted on the conditional half of the plain run. */
export async function strip(
  pipeline: Pipeline,
  { settings, block }: Jobs["strip"]["input"],
  { signal, onEvent }: JobOptions<"strip">,
): Promise<BlockStrip> {
  const options = sampleOptions(settings);
  const { solver, latentSize } = planSampling(pipeline, options);
  const { timesteps } = solver;
  const evaluations = [
    ...new Set(
      Array.from({ length: PICTURES }, (_, index) => Math.round((index * (timesteps.length - 1)) / (PICTURES - 1))),
    ),
  ];
  const maps: FloatTensor[] = [];
  const recording = hook(block, ({ branch }) => void maps.push({ dims: branch.dims, data: branch.data.slice() }), {
    steps: evaluations,
  });
  const [height, width] = latentSize;
  const extent = pipeline.network.blocks.find(({ id }) => id === block)?.extent({ height, width });
  const attention = extent && recordAttention(pipeline, block, extent, settings.prompt, evaluations);
  const hooks = [recording, ...(attention === undefined ? [] : [attention.hook])];
  for await (const { index, total } of sample(pipeline, { ...options, signal, hooks }))
    onEvent?.({ label: `looking at ${block}`, done: index + 1, total });
  // With guidance the conditional half is the last row.
  const row = maps[0].dims[0] - 1;
  const covariance = createCovariance(maps[0].dims[1]);
  for (const map of maps) covariance.add(map, row);
  const components = fitComponents(covariance, 3);
  const pictures = toRgb(maps.map((map) => projectFeatures(map, row, components)));
  const factor = Math.max(1, Math.floor(PICTURE_PIXELS / Math.max(pictures[0].width, pictures[0].height)));
  return {
    block,
    evaluations,
    timesteps: evaluations.map((evaluation) => timesteps[evaluation]),
    pictures: await Promise.all(pictures.map(async (picture) => toDataUri(await enlarge(picture, factor)))),
    ...(attention === undefined ? {} : { attention: await attention.pictures() }),
  };
}
