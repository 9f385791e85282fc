/**
 * One panel per stage of the network, laid out like the UNet: encoder above, decoder below, the mid block beside both.
 */
import type { ProfiledBlock } from "../../instrument/profile/profile.js";

/** Blocks that share a panel. */
export interface StagePanel {
  /** "down_blocks.0" */
  readonly stage: string;
  readonly resolution: readonly [height: number, width: number];
  readonly blocks: readonly ProfiledBlock[];
  /** from the left; a level's encoder panel is above its decoder panel */
  readonly column: number;
  readonly row: "encoder" | "decoder" | "both";
}

interface Place {
  readonly stage: string;
  readonly column: number;
  readonly row: StagePanel["row"];
}

const STAGE = /^(down|up)_blocks\.(\d+)\./;

/**
 * The panels of `shown`, in execution order. conv_in belongs to the first stage of the encoder, conv_out to the last of
 * the decoder; empty columns are left out.
 *
 * @param network every block of the network: a level's place does not depend on what is shown
 */
export function stagePanels(shown: readonly ProfiledBlock[], network: readonly ProfiledBlock[]): StagePanel[] {
  const levels = (side: string): number =>
    Math.max(
      0,
      ...network.map(({ id }) => STAGE.exec(id)).map((found) => (found?.[1] === side ? Number(found[2]) + 1 : 0)),
    );
  const [downs, ups] = [levels("down"), levels("up")];
  const placeOf = (id: string): Place => {
    const [, side, level] = STAGE.exec(id) ?? [];
    if (id.startsWith("mid_block")) return { stage: "mid_block", column: Math.max(downs, ups), row: "both" };
    if (side === "down" || id === "conv_in")
      return { stage: `down_blocks.${level ?? 0}`, column: Number(level ?? 0), row: "encoder" };
    const up = Number(level ?? ups - 1);
    return { stage: `up_blocks.${up}`, column: ups - 1 - up, row: "decoder" };
  };
  const places = new Map(shown.map(({ id }) => placeOf(id)).map((place) => [place.stage, place]));
  const columns = [...new Set([...places.values()].map(({ column }) => column))].sort((a, b) => a - b);
  return [...places.values()].map(({ stage, column, row }) => {
    const blocks = shown.filter(({ id }) => placeOf(id).stage === stage);
    // A sampler's branch has the resolution of the next stage.
    const { resolution } = blocks.find(({ kind }) => kind !== "downsampler" && kind !== "upsampler") ?? blocks[0];
    return { stage, resolution, blocks, column: columns.indexOf(column), row };
  });
}

/** What a block is called inside its panel: "attentions.0". */
export function nameInStage(id: string): string {
  return id.replace(/^((down|up)_blocks\.\d+|mid_block)\./, "");
}
