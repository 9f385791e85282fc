/** `--redis`: jobs go to a queue's workers instead of running in this process. */
import { Option } from "commander";
import type { Pipeline } from "../diffusion/pipeline.js";
import type { JobRunner } from "../jobs/job.js";
import type { JobModel } from "../jobs/redisQueue.js";
import { redisRunner } from "../jobs/redisRunner.js";

export function redisOption(): Option {
  return new Option(
    "--redis <url>",
    "let `blockcache worker` processes do the work, through this Redis (redis://127.0.0.1:6379)",
  );
}

/** The runner that `--redis` asks for; undefined without it. */
export async function runnerFor(url: string | undefined, pipeline: Pipeline): Promise<JobRunner | undefined> {
  if (url === undefined) return undefined;
  const onWorkers = (workers: number): void =>
    void process.stderr.write(
      workers === 0
        ? `no worker is running: start some with \`blockcache worker --redis ${url}\`\n`
        : `${workers} workers\n`,
    );
  return redisRunner({ url, model: await jobModelOf(pipeline), onWorkers });
}

async function jobModelOf(pipeline: Pipeline): Promise<JobModel> {
  const { source, configs } = pipeline.folder;
  return {
    path: source,
    ...(configs === undefined ? {} : { configs: { path: configs.path, name: configs.name } }),
    name: pipeline.name,
    fingerprint: await pipeline.fingerprint(),
  };
}
