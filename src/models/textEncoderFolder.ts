import type { ClipTextConfig } from "./configs/clipText.js";
import type { ClipTokenizer } from "./tokenizer/clipTokenizer.js";
import type { Weights } from "./weights.js";

/** One text encoder of a model folder, with its tokenizer. */
export interface TextEncoderFolder {
  readonly name: "text_encoder" | "text_encoder_2";
  readonly config: ClipTextConfig;
  /** a CLIPTextModelWithProjection: it also gives a pooled embedding of each prompt */
  readonly projects: boolean;
  openWeights(): Promise<Weights>;
  loadTokenizer(): Promise<ClipTokenizer>;
}
