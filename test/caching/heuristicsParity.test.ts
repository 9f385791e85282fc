/** Schedules from stored profiles of the embedded model, against numpy: test/fixtures/heuristics.py */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { CACHEABLE_KINDS } from "../../src/caching/heuristics/heuristic.js";
import { heuristicNamed } from "../../src/caching/heuristics/registry.js";
import { loadProfile } from "../../src/instrument/profile/profileFile.js";

const fixtures = JSON.parse(readFileSync("test/fixtures/heuristics.json", "utf8")) as Record<
  string,
  { heuristic: string; value: number; blocks: Record<string, number[]> }[]
>;

describe.each(Object.entries(fixtures))("%s", (file, schedules) => {
  test.each(schedules.map((each) => [`${each.heuristic} ${each.value}`, each] as const))(
    "%s",
    async (_, { heuristic, value, blocks }) => {
      const profile = await loadProfile(join("test", "fixtures", file));
      const { find, parameter } = heuristicNamed(heuristic);
      expect(find(profile, { kinds: CACHEABLE_KINDS, [parameter]: value }).blocks).toEqual(blocks);
    },
  );
});
