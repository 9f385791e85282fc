/** The kinds of layer block that can be hooked, measured and cached. */
export type BlockKind =
  | "conv_in"
  | "conv_out"
  | "resnet"
  | "transformer"
  | "downsampler"
  | "upsampler"
  /** inside a spatial transformer, only where asked for: */
  | "attn1"
  | "attn2"
  | "ff";
