import { followingBlocks } from "../../caching/run/adjustmentMender.js";
import type { Pipeline } from "../../diffusion/pipeline.js";
import { solverNames, solverOfScheduler } from "../../diffusion/solvers/index.js";
import { blockMap } from "../../instrument/blockMap.js";
import type { ModelDescription } from "../worker.js";

/** A prompt that small models know too. */
const FIRST_PROMPT = "red apple";

/** What a page must know of a model before anything is sampled. */
export async function describe(pipeline: Pipeline): Promise<ModelDescription> {
  const [height, width] = pipeline.defaultLatentSize.map((extent) => extent * pipeline.vaeScaleFactor);
  return {
    name: pipeline.name,
    fingerprint: await pipeline.fingerprint(),
    device: pipeline.device.name,
    precision: pipeline.device.precision,
    blocks: blockMap(pipeline).filter(({ inside }) => inside === undefined),
    following: followingBlocks(pipeline.network.blocks),
    solvers: solverNames,
    settings: {
      prompt: FIRST_PROMPT,
      negativePrompt: "",
      seed: 0,
      solver: solverOfScheduler(pipeline.folder.schedulerClass),
      schedulerConfig: {},
      steps: 20,
      guidanceScale: 5,
      height,
      width,
    },
    pixelsOfLatent: pipeline.vaeScaleFactor,
  };
}
