/** glibc reads its settings when a process starts: the command line's are in its first line, the notebooks' in the kernel's file. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";

const read = (path: string): string => readFileSync(fileURLToPath(new URL(`../../${path}`, import.meta.url)), "utf8");

it("the command line and the notebooks' kernel start with the same malloc settings", () => {
  const { env } = JSON.parse(read("notebooks/jupyter/kernels/tslab/kernel.json")) as { env: Record<string, string> };
  const settings = Object.entries(env).map(([name, value]) => `${name}=${value}`);
  expect(settings.length).toBeGreaterThan(0);
  expect(read("dist/cli/main.js").split("\n")[0]).toBe(`#!/usr/bin/env -S ${settings.join(" ")} node`);
});
