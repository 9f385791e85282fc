/**
 * The time embedding of a UNet, and what is added to it (diffusers 0.42: models/embeddings.py,
 * models/unets/unet_2d_condition.py: get_time_embed, get_aug_embed).
 */
import type { UNetConfig } from "../models/configs/unet.js";
import type { BlockInput, Stage } from "./block.js";
import type { GraphBuilder, Value } from "./graphBuilder.js";
import { activation, cast, linear, silu } from "./layers.js";

/** The id of the stage; its result is act(embedding), the same activation for every ResNet block. */
export const TIME_EMBEDDING = "time_embedding";

/** The names of the values that the stage reads, all float32. */
export const TIME_INPUTS = {
  /** sinusoidal embedding of the timestep [1, width] */
  timestepEmbedding: "timestep_embedding",
  /** LCM's embedding of the guidance scale [batch, time_cond_proj_dim] */
  timestepCond: "timestep_cond",
  /** SDXL's pooled text embedding, then the sinusoidal embeddings of its time ids [batch, projection_class_embeddings_input_dim] */
  addedConditions: "added_conditions",
} as const;

/** Width of the time embedding that every ResNet block reads. */
export function timeEmbeddingWidth(config: UNetConfig): number {
  return config.time_embedding_dim ?? config.block_out_channels[0] * 4;
}

export function timeEmbeddingStage(config: UNetConfig): Stage {
  const inputWidth = config.block_out_channels[0];
  const width = timeEmbeddingWidth(config);
  const { time_cond_proj_dim: condWidth, projection_class_embeddings_input_dim: addedWidth } = config;
  const guided = condWidth !== null;
  const added = config.addition_embed_type === "text_time";
  const inputs: BlockInput[] = [
    { value: TIME_INPUTS.timestepEmbedding, dims: ["rows", inputWidth], elementType: "float32" },
  ];
  if (guided) inputs.push({ value: TIME_INPUTS.timestepCond, dims: ["batch", condWidth], elementType: "float32" });
  if (added && addedWidth !== null)
    inputs.push({ value: TIME_INPUTS.addedConditions, dims: ["batch", addedWidth], elementType: "float32" });
  return {
    id: TIME_EMBEDDING,
    inputs,
    outputDims: ["rows", width],
    branch: (graph, values) => {
      const [sinusoid, ...others] = values.map((value) =>
        graph.precision === "float16" ? cast(graph, value, "float16") : value,
      );
      let input = sinusoid;
      if (guided)
        input = graph.node("Add", [
          input,
          linear(graph, others[0], "time_embedding.cond_proj", condWidth, inputWidth, { bias: false }),
        ]);
      let embedding = perceptron(graph, input, "time_embedding", inputWidth, width, (x) =>
        activation(graph, x, config.act_fn),
      );
      if (added && addedWidth !== null) {
        // add_embedding is a TimestepEmbedding with its own default activation, whatever act_fn says.
        embedding = graph.node("Add", [
          embedding,
          perceptron(graph, others[others.length - 1], "add_embedding", addedWidth, width, (x) => silu(graph, x)),
        ]);
      }
      return activation(graph, embedding, config.act_fn);
    },
  };
}

/** diffusers' TimestepEmbedding */
function perceptron(
  graph: GraphBuilder,
  x: Value,
  name: string,
  inputWidth: number,
  width: number,
  act: (x: Value) => Value,
): Value {
  return linear(graph, act(linear(graph, x, `${name}.linear_1`, inputWidth, width)), `${name}.linear_2`, width, width);
}

/**
 * The sinusoidal embedding of a number [width] (diffusers' get_timestep_embedding), in float32 like there: at timestep
 * 999 a frequency's last bit already changes the angle visibly.
 */
export function embedTimestep(
  config: Pick<UNetConfig, "freq_shift" | "flip_sin_to_cos">,
  width: number,
  timestep: number,
): Float32Array {
  const half = width >> 1;
  const embedding = new Float32Array(width);
  for (let index = 0; index < half; index++) {
    const exponent = Math.fround(Math.fround(-Math.log(10000) * index) / Math.fround(half - config.freq_shift));
    const angle = Math.fround(timestep * Math.fround(Math.exp(exponent)));
    const [first, second] = config.flip_sin_to_cos
      ? [Math.cos(angle), Math.sin(angle)]
      : [Math.sin(angle), Math.cos(angle)];
    embedding[index] = first;
    embedding[half + index] = second;
  }
  return embedding;
}
