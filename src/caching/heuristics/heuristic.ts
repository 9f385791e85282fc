/** What a heuristic is, and what all of them share. */
import { ArgumentError } from "../../errors.js";
import type { BlockKind } from "../../graphs/block.js";
import type { Profile, ProfiledBlock } from "../../instrument/profile.js";

/** Which blocks may be cached. */
export interface Cacheable {
  /** Default: transformer, as in the paper */
  readonly kinds?: readonly BlockKind[];
  /** Default: every block of these kinds */
  readonly where?: (block: ProfiledBlock) => boolean;
}

/** The blocks of a profile that may be cached. Throws ArgumentError where none is left. */
export function cacheableBlocks(profile: Profile, { kinds = ["transformer"], where = () => true }: Cacheable): readonly ProfiledBlock[] {
  const blocks = profile.blocks.filter((block) => kinds.includes(block.kind) && where(block));
  if (blocks.length === 0) throw new ArgumentError(`kinds: the profile has no block of kind ${kinds.join(", ")} that may be cached — it has ${[...new Set(profile.blocks.map(({ kind }) => kind))].join(", ")}`);
  return blocks;
}

/** The evaluations at which `computes` holds, and 0, which always computes. */
export function computeWhen(profile: Profile, blocks: readonly ProfiledBlock[], computes: (block: ProfiledBlock, evaluation: number) => boolean): Record<string, number[]> {
  const evaluations = [...profile.setting.timesteps.keys()];
  return Object.fromEntries(blocks.map((block) => [block.id, evaluations.filter((evaluation) => evaluation === 0 || computes(block, evaluation))]));
}
