/** What a heuristic is, and what all of them share. */
import { ArgumentError } from "../../errors.js";
import type { BlockKind } from "../../graphs/block.js";
import { blockPattern } from "../../instrument/hooks/blockSelection.js";
import type { Profile, ProfiledBlock } from "../../instrument/profile/profile.js";
import type { Schedule } from "../schedule/schedule.js";

/**
 * Turns what was measured of a model into when its blocks compute; pure, so that the same profile and options give the
 * same schedule. What it needs besides the profile (δ, a budget, costs) is in its options.
 */
export type Heuristic<Options extends object = Cacheable> = (profile: Profile, options: Options) => Schedule;

/** Which blocks may be cached: those that pass every one of these. */
export interface Cacheable {
  /** Default: transformer, as in the paper; with a pattern, every kind that can be cached */
  readonly kinds?: readonly BlockKind[];
  /** ids such as `down_blocks.*.attentions.*`: `*` inside one path segment, `**` across. Default: all */
  readonly pattern?: string;
  /** heights and widths of C, in latents. Default: all */
  readonly resolutions?: readonly (readonly [height: number, width: number])[];
  /** Default: all */
  readonly where?: (block: ProfiledBlock) => boolean;
}

/** conv_in and conv_out see the latents themselves, cost little, and are left out. */
export const CACHEABLE_KINDS: readonly BlockKind[] = ["resnet", "transformer", "downsampler", "upsampler"];

/** The blocks of a profile that may be cached, in execution order. Throws ArgumentError where none is left. */
export function cacheableBlocks(profile: Profile, options: Cacheable): readonly ProfiledBlock[] {
  const kinds = kindsOf(options);
  const { pattern, resolutions, where = () => true } = options;
  const named = pattern === undefined ? () => true : blockPattern(pattern);
  const blocks = profile.blocks.filter(
    (block) =>
      kinds.includes(block.kind) &&
      named(block.id) &&
      (resolutions?.some(([height, width]) => block.resolution[0] === height && block.resolution[1] === width) ??
        true) &&
      // A user's function gets a copy: what it writes into a block changes nothing here.
      where({ ...block }),
  );
  if (blocks.length > 0) return blocks;
  const asked = [
    `of kind ${kinds.join(", ")}`,
    ...(pattern === undefined ? [] : [`named ${pattern}`]),
    ...(resolutions === undefined ? [] : [`at ${resolutions.map((each) => each.join("×")).join(", ")}`]),
  ];
  const known = [...new Set(profile.blocks.map(({ kind, resolution }) => `${kind} at ${resolution.join("×")}`))];
  throw new ArgumentError(
    `${pattern === undefined ? "kinds" : "pattern"}: the profile has no block ${asked.join(" and ")} that may be cached — it has ${known.join(", ")}`,
  );
}

/** What a schedule records of the blocks that were asked for. */
export function cacheableRecord(options: Cacheable): Readonly<Record<string, unknown>> {
  const { pattern, resolutions } = options;
  return {
    kinds: kindsOf(options),
    ...(pattern === undefined ? {} : { pattern }),
    ...(resolutions === undefined ? {} : { resolutions }),
  };
}

function kindsOf({ kinds, pattern }: Cacheable): readonly BlockKind[] {
  return kinds ?? (pattern === undefined ? ["transformer"] : CACHEABLE_KINDS);
}

/** The evaluations at which `computes` holds, and 0, which always computes. */
export function computeWhen(
  profile: Profile,
  blocks: readonly ProfiledBlock[],
  computes: (block: ProfiledBlock, evaluation: number) => boolean,
): Record<string, number[]> {
  const evaluations = [...profile.setting.timesteps.keys()];
  return Object.fromEntries(
    blocks.map((block) => [
      block.id,
      evaluations.filter((evaluation) => evaluation === 0 || computes(block, evaluation)),
    ]),
  );
}
