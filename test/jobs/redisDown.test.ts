/** A coordinator whose Redis does not answer any more can be stopped. */
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { expect, it } from "vitest";
import { InterruptedError } from "../../src/errors.js";
import { createJob } from "../../src/jobs/job.js";
import { redisRunner } from "../../src/jobs/redisRunner.js";
import { freePort } from "../freePort.js";

const hasRedis = spawnSync("redis-server", ["--version"]).status === 0;
if (!hasRedis) console.log("skipped: redis-server is not installed (Debian: apt install redis-server)");

it.skipIf(!hasRedis)("an abort ends the wait for workers while Redis hangs", { timeout: 120_000 }, async () => {
  const port = await freePort();
  const server = spawn("redis-server", ["--port", String(port), "--save", ""], { stdio: ["ignore", "pipe", "ignore"] });
  try {
    await new Promise<void>((resolve) =>
      server.stdout.on("data", (text: Buffer) => {
        if (text.includes("Ready to accept connections")) resolve();
      }),
    );
    const controller = new AbortController();
    const run = redisRunner({
      url: `redis://127.0.0.1:${port}`,
      model: { path: "/none", name: "none", fingerprint: "none" },
      onWorkers() {
        server.kill("SIGSTOP");
        controller.abort();
      },
    });
    const work = run({
      jobs: [createJob({ kind: "nothing" })],
      run: () => Promise.reject(new Error("runs elsewhere")),
      onResult: () => Promise.resolve(),
      signal: controller.signal,
    });
    await expect(work).rejects.toThrow(InterruptedError);
  } finally {
    server.kill("SIGKILL");
    await once(server, "exit");
  }
});
