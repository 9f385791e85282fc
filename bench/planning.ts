/**
 * How long a heuristic takes to plan again from a stored profile of 100 blocks × 50 steps × 64 trajectories.
 *
 *   npm run bench:planning
 *
 * The profile and the costs are made up (seeded): planning time does not depend on which model they belong to, and the
 * library includes no model of that many blocks. Writes bench/results/planning.md and .json.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import type { Costs } from "../src/caching/costs/costs.js";
import { CACHEABLE_KINDS } from "../src/caching/heuristics/heuristic.js";
import { HEURISTICS } from "../src/caching/heuristics/registry.js";
import { computedShare } from "../src/caching/schedule/schedule.js";
import { MersenneTwister } from "../src/numerics/mersenneTwister.js";
import type { Profile } from "../src/instrument/profile/profile.js";
import { loadProfile, saveProfile } from "../src/instrument/profile/profileFile.js";
import { median } from "../src/instrument/profile/statistics.js";
import { writeResult } from "./results.js";

const [BLOCKS, STEPS, TRAJECTORIES, WINDOW] = [100, 50, 64, 8];
/** For each heuristic and each of its default values. */
const REPEATS = 7;

const generator = new MersenneTwister(0);
const uniform = (): number => generator.uint32() / 2 ** 32;

/** Change that is great at both ends of the sampling, as measured curves are, with spread over trajectories. */
function makeProfile(): Profile {
  const blocks = Array.from({ length: BLOCKS }, (_, index) => ({
    id: `blocks.${index}`,
    kind: CACHEABLE_KINDS[index % CACHEABLE_KINDS.length],
    resolution: [16, 16] as const,
  }));
  const change = Object.fromEntries(
    blocks.map(({ id }) => {
      const level = 0.05 + 0.2 * uniform();
      return [
        id,
        Float64Array.from({ length: TRAJECTORIES * STEPS }, (_, index) =>
          index % STEPS === 0 ? 0 : level * (0.3 + ((2 * (index % STEPS)) / STEPS - 1) ** 2) * (0.7 + 0.6 * uniform()),
        ),
      ];
    }),
  );
  const pairs = Object.fromEntries(
    blocks.map(({ id }) => [
      id,
      Float64Array.from({ length: TRAJECTORIES * STEPS * WINDOW }, (_, index) => {
        const [entry, age] = [Math.floor(index / WINDOW), (index % WINDOW) + 1];
        return entry % STEPS < age ? 0 : change[id][entry] * age ** 0.8;
      }),
    ]),
  );
  return {
    setting: {
      model: { fingerprint: "sha256:0", name: "made up" },
      solver: "ddim",
      solver_config: {},
      num_inference_steps: STEPS,
      timesteps: Array.from({ length: STEPS }, (_, index) => 999 - 20 * index),
      guidance_scale: 5,
      negative_prompt: "",
      latent_size: [16, 16],
    },
    device: "cpu",
    precision: "float32",
    library_version: "0",
    trajectories: Array.from({ length: TRAJECTORIES }, (_, seed) => ({ prompt: "a", seed })),
    blocks,
    values: { change },
    pairs: { window: WINDOW, change: pairs },
  };
}

/** A chain of blocks, each reading the one before. */
function makeCosts({ blocks }: Profile): Costs {
  const group = (scale: number): Record<string, Float64Array> =>
    Object.fromEntries(blocks.map(({ id }) => [id, Float64Array.of(scale * (0.5 + uniform()))]));
  const reads = (index: number): string[] => [blocks[index - 1]?.id ?? "sample"];
  return {
    setting: { fingerprint: "sha256:0", device: "cpu", rows: 2, latent_size: [16, 16] },
    compute: group(0.01),
    keep: group(0.0105),
    reuse: group(0.0005),
    reuse2: group(0.0007),
    reuse3: group(0.0008),
    rest: Float64Array.of(0.01),
    text: Float64Array.of(0.01),
    network: [
      ...blocks.map(({ id, kind }, index) => ({
        id,
        reads: reads(index),
        merge_reads: kind === "downsampler" || kind === "upsampler" ? [] : reads(index),
        bytes_per_row: 65536,
      })),
      { id: "conv_out", reads: reads(blocks.length), bytes_per_row: 0 },
    ],
  };
}

async function main(): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "blockcache-planning-"));
  const path = join(folder, "profile.safetensors");
  await saveProfile(path, makeProfile());
  const started = performance.now();
  const profile = await loadProfile(path);
  const loading = performance.now() - started;
  await rm(folder, { recursive: true });
  const costs = makeCosts(profile);

  const rows = HEURISTICS.map(({ name, find, parameter, values }) => {
    const first: number[] = [];
    const seconds = values.flatMap((value) =>
      Array.from({ length: REPEATS }, () => {
        const before = performance.now();
        const schedule = find(profile, { kinds: CACHEABLE_KINDS, costs, [parameter]: value });
        const taken = performance.now() - before;
        if (first.length === 0) first.push(taken, computedShare(schedule));
        return taken;
      }),
    );
    return {
      name,
      parameter,
      values,
      first: first[0],
      median: median(seconds),
      greatest: Math.max(...seconds),
      raw: seconds,
    };
  });
  const lines = [
    "# bench/planning",
    "",
    `${BLOCKS} blocks × ${STEPS} steps × ${TRAJECTORIES} trajectories, made up; change between pairs of steps within ${WINDOW}. Milliseconds of one schedule, ${REPEATS} repeats at each of a heuristic's default values; ${cpus()[0].model}, ${cpus().length} cores, Node ${process.version}. Goals: 50 ms for closed forms, 1000 ms for the dynamic programme. Loading the profile from disk: ${loading.toFixed(0)} ms.`,
    "",
    "| heuristic | values | first call | median | greatest |",
    "| --- | --- | --- | --- | --- |",
    ...rows.map(
      (row) =>
        `| ${row.name} | ${row.parameter} ${row.values.join(", ")} | ${row.first.toFixed(1)} | ${row.median.toFixed(1)} | ${row.greatest.toFixed(1)} |`,
    ),
    "",
  ];
  await writeResult("planning.md", lines.join("\n"));
  await writeResult("planning.json", `${JSON.stringify({ loading, rows })}\n`);
  console.log(lines.join("\n"));
}

await main();
