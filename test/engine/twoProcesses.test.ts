/** Two processes on one machine, as two notebooks' kernels are, sample at once. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";

const scratch = mkdtempSync(join(tmpdir(), "blockcache-two-"));
afterAll(() => rmSync(scratch, { recursive: true }));

/** The final latents' file that a process of its own writes. */
async function sampled(name: string): Promise<Buffer> {
  const file = join(scratch, `${name}.safetensors`);
  const run = ["sample", join("test", "fixtures", "models", "sd1-like"), "--prompt", "red apple", "--steps", "5"];
  const outputs = ["--out", join(scratch, `${name}.png`), "--save-latents", file];
  const child = spawn(process.execPath, [join("dist", "cli", "main.js"), ...run, ...outputs], {
    stdio: ["ignore", "ignore", "inherit"],
  });
  expect(await once(child, "exit")).toEqual([0, null]);
  return readFileSync(file);
}

it("and give what one gives that is alone", async () => {
  const [first, second] = await Promise.all([sampled("first"), sampled("second")]);
  const alone = await sampled("alone");
  expect(first.equals(alone)).toBe(true);
  expect(second.equals(alone)).toBe(true);
});
