/** Parity on webgpu, under Chromium's software Vulkan: very slow, so one tiny network. */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";

const DRIVER = "/usr/lib/chromium/vk_swiftshader_icd.json";
const LOADERS = ["/usr/lib/x86_64-linux-gnu/libvulkan.so.1", "/usr/lib/aarch64-linux-gnu/libvulkan.so.1"];
const missing = [
  existsSync(DRIVER) ? "" : DRIVER,
  LOADERS.some((path) => existsSync(path)) ? "" : "libvulkan.so.1",
].filter((name) => name !== "");
if (missing.length > 0)
  console.log(`skipped: webgpu parity (no ${missing.join(", no ")}; on Debian: apt install chromium libvulkan1)`);

it.skipIf(missing.length > 0)(
  "every block on webgpu equals PyTorch within 1e-3, and nothing changes where nothing changed",
  () => {
    const script = fileURLToPath(new URL("webgpuParity.mjs", import.meta.url));
    const model = fileURLToPath(new URL("../fixtures/models/sd1-like", import.meta.url));
    const { stdout, stderr } = spawnSync(process.execPath, [script, model], {
      encoding: "utf8",
      env: { ...process.env, VK_ICD_FILENAMES: DRIVER, XDG_RUNTIME_DIR: "/tmp" },
    });
    const result = JSON.parse(
      stdout.trim().split("\n").at(-1) || `{"error": ${JSON.stringify(stderr.slice(-500))}}`,
    ) as { worst: number; blocks: number; change: number };
    expect(result.worst, JSON.stringify(result)).toBeLessThan(1e-3);
    expect(result.blocks).toBeGreaterThan(10);
    expect(result.change).toBe(0);
  },
  120_000,
);
