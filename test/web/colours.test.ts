/** The grid's colours as colour-blind readers see them: Machado, Oliveira and Fernandes 2009, by culori. */
import {
  differenceCiede2000,
  filterDeficiencyDeuter,
  filterDeficiencyProt,
  filterDeficiencyTrit,
  parse,
  wcagContrast,
} from "culori";
import type { Color } from "culori";
import { beforeAll, describe, expect, it, vi } from "vitest";
import type { Ink } from "../../web/src/colours.js";

const SEEN: Readonly<Record<string, (colour: string) => Color>> = {
  "full colour": (colour) => parse(colour) as Color,
  "no red": (colour) => filterDeficiencyProt(1)(parse(colour) as Color),
  "no green": (colour) => filterDeficiencyDeuter(1)(parse(colour) as Color),
  "no blue": (colour) => filterDeficiencyTrit(1)(parse(colour) as Color),
};
/** ΔE of CIEDE2000: 1 is just seen, and cells lie side by side. */
const APART = 10;
const PAIRS: readonly (readonly [keyof Ink, keyof Ink])[] = [
  ["compute", "reuse"],
  ["computed", "reused"],
  ["compute", "computed"],
  ["reuse", "reused"],
  ["compute", "paper"],
  ["reuse", "paper"],
  ["differs", "compute"],
  ["differs", "computed"],
  ["differs", "reuse"],
  ["differs", "reused"],
  ["differs", "paper"],
];

const inks: Record<string, Ink> = {};
beforeAll(async () => {
  for (const scheme of ["light", "dark"]) {
    vi.resetModules();
    vi.stubGlobal("window", { matchMedia: () => ({ matches: scheme === "dark", addEventListener: () => undefined }) });
    vi.stubGlobal("document", { documentElement: { dataset: {} } });
    inks[scheme] = (await import("../../web/src/colours.js")).ink();
  }
  vi.unstubAllGlobals();
});

describe.each(["light", "dark"])("in %s", (scheme) => {
  it.each(Object.entries(SEEN))("cells are told apart with %s", (_, see) => {
    const difference = differenceCiede2000();
    const close = PAIRS.map(([a, b]) => ({
      pair: `${a}, ${b}`,
      apart: Math.round(difference(see(String(inks[scheme][a])), see(String(inks[scheme][b])))),
    })).filter(({ apart }) => apart < APART);
    expect(close).toEqual([]);
  });

  it("letters are read on the paper", () => {
    for (const name of ["text", "faint"] as const)
      expect(wcagContrast(inks[scheme][name], inks[scheme].paper), name).toBeGreaterThanOrEqual(4.5);
  });
});
