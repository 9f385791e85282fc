/** Commands with a Hugging Face id where they take a folder, from a hub on this machine. */
import { execFile } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import sharp from "sharp";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openSafetensors, writeSafetensors } from "../../src/files/safetensors.js";
import { HubServer, readFolder } from "../models/hub/hubServer.js";

const main = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));
const model = fileURLToPath(new URL("../fixtures/models/sd1-like", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "blockcache-cli-hub-"));
const at = (name: string): string => join(folder, name);
/** Milliseconds that a test with processes of its own may take where the machine is busy. */
const PROCESSES = 240_000;
let hub: HubServer;
beforeAll(async () => {
  hub = await HubServer.start({
    "tiny/sd1-like": { files: readFolder(model) },
    "tiny/gated": { files: readFolder(model), gated: true },
  });
});
afterAll(async () => {
  await hub.stop();
  rmSync(folder, { recursive: true, force: true });
});

function run(
  args: readonly string[],
  variables: Readonly<Record<string, string>> = {},
): Promise<{ status: number; stdout: string; stderr: string }> {
  const env = { ...process.env, HF_HOME: at("home"), HF_ENDPOINT: hub.endpoint, ...variables };
  return new Promise((resolve) =>
    execFile(process.execPath, [main, ...args], { env }, (error, stdout, stderr) =>
      resolve({ status: error === null ? 0 : Number(error.code), stdout, stderr }),
    ),
  );
}

async function tensor(file: string, name: string): Promise<Float32Array> {
  const opened = await openSafetensors(file);
  const { data } = await opened.readFloat32(name);
  await opened.close();
  return data;
}

describe("blockcache with an id", () => {
  it(
    "samples what diffusers samples from the same folder, the second time offline",
    async () => {
      const start = await openSafetensors(join(model, "reference.safetensors"));
      await writeSafetensors(
        at("start.safetensors"),
        new Map([["latents", { dtype: "F32" as const, ...(await start.readFloat32("latents")) }]]),
      );
      await start.close();
      const args = (name: string): string[] => [
        "sample",
        "tiny/sd1-like",
        "--prompt",
        "red apple",
        "--steps",
        "7",
        "--solver",
        "dpmsolver++",
        "--latents",
        at("start.safetensors"),
        "--save-latents",
        at(`${name}.safetensors`),
        "--out",
        at(`${name}.png`),
      ];
      expect(await run(args("online"))).toMatchObject({ status: 0, stderr: "" });
      // pipe(PROMPTS[0], num_inference_steps=7, guidance_scale=5, latents=latents) with DPMSolverMultistepScheduler (test/fixtures/models.py)
      const [found, expected] = [
        await tensor(at("online.safetensors"), "latents"),
        await tensor(join(model, "reference.safetensors"), "final/dpmsolver++/7"),
      ];
      const size = expected.reduce((largest, value) => Math.max(largest, Math.abs(value)), 0);
      expect(
        expected.reduce((largest, value, index) => Math.max(largest, Math.abs(value - found[index])), 0) / size,
      ).toBeLessThan(1e-3);
      hub.requests.length = 0;
      expect(await run(args("offline"), { HF_HUB_OFFLINE: "1" })).toMatchObject({ status: 0, stderr: "" });
      expect(hub.requests).toEqual([]);
      expect(await tensor(at("offline.safetensors"), "latents")).toEqual(found);
      expect((await sharp(at("offline.png")).metadata()).comments).toContainEqual({
        keyword: "model",
        text: "tiny/sd1-like",
      });
    },
    PROCESSES,
  );

  it(
    "samples from a single file with the configs and the tokenizer of an id, and fetches nothing else",
    async () => {
      const file = fileURLToPath(new URL("../fixtures/singleFile/sd1-like.safetensors", import.meta.url));
      hub.requests.length = 0;
      const args = [
        "sample",
        file,
        "--config",
        "tiny/sd1-like",
        "--prompt",
        "red apple",
        "--steps",
        "7",
        "--solver",
        "dpmsolver++",
        "--latents",
        at("start.safetensors"),
        "--save-latents",
        at("single.safetensors"),
      ];
      expect(await run(args, { HF_HOME: at("another-home") })).toMatchObject({ status: 0, stderr: "" });
      expect(await tensor(at("single.safetensors"), "latents")).toEqual(
        await tensor(at("online.safetensors"), "latents"),
      );
      expect(hub.requests.filter(({ path }) => path.endsWith(".safetensors"))).toEqual([]);
    },
    PROCESSES,
  );

  it(
    "fails with one line that says what to do",
    async () => {
      const { status, stderr } = await run(["sample", "tiny/gated", "--prompt", "x", "--out", at("x.png")]);
      expect(status).toBe(1);
      expect(stderr).toMatch(
        /^blockcache: tiny\/gated: access is gated .* then set HF_TOKEN to a token of that account .*\n$/,
      );
      expect(existsSync(at("x.png"))).toBe(false);
    },
    PROCESSES,
  );
});
