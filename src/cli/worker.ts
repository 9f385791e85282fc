import { existsSync } from "node:fs";
import type { Command } from "commander";
import { loadPipeline } from "../diffusion/pipeline.js";
import type { Pipeline } from "../diffusion/pipeline.js";
import { ArgumentError } from "../errors.js";
import { DEFAULT_REDIS } from "../jobs/redisQueue.js";
import type { JobModel } from "../jobs/redisQueue.js";
import { serveJobs } from "../jobs/redisWorker.js";
import { runAnyJob } from "../study/anyJob.js";
import type { AnyJob } from "../study/anyJob.js";
import { abortOnInterrupt, command, positiveInteger, print } from "./command.js";
import type { CommonOptions } from "./command.js";
import { loadReuseRules, ruleNames } from "./reuse.js";

interface WorkerCommandOptions extends CommonOptions {
  readonly redis: string;
  readonly lostAfter: number;
  readonly reuse?: string[];
}

/** `blockcache worker`: does the jobs of sweeps and profiles that run elsewhere. */
export function workerCommand(): Command {
  return command(
    "worker",
    "Do the jobs of sweeps and profiles that were started with --redis, until Ctrl-C, which lets the current job finish first.",
    "blockcache worker --redis redis://127.0.0.1:6379",
  )
    .option("--redis <url>", "where the queue is", DEFAULT_REDIS)
    .option(
      "--lost-after <seconds>",
      "after this long without a sign of life, this worker's job goes to another one",
      positiveInteger,
      60,
    )
    .option(
      "--reuse <modules>",
      "your own reuse rules that the jobs use: the modules that the sweep was given, separated by commas",
      ruleNames,
    )
    .action(async (options: WorkerCommandOptions) => {
      await loadReuseRules(options.reuse ?? []);
      const models = oneModelAtATime(options);
      const say = (line: string): void => void process.stderr.write(`${line}\n`);
      let [done, failed] = [0, 0];
      try {
        await serveJobs({
          url: options.redis,
          lostAfter: options.lostAfter,
          run: async (model, data) => runAnyJob(await models.open(model), data as AnyJob),
          onReady: () => say(`worker ${process.pid}: waiting for jobs on ${options.redis}`),
          onJob: (id, state, reason) => {
            if (state === "done") done++;
            if (state === "failed") failed++;
            say(`job ${id} ${state}${reason === undefined ? "" : `: ${reason}`}`);
          },
          signal: abortOnInterrupt(),
        });
      } finally {
        await models.close();
      }
      print(options, { done, failed }, [`${done} jobs done, ${failed} failed`]);
    });
}

interface Models {
  readonly open: (model: JobModel) => Promise<Pipeline>;
  readonly close: () => Promise<void>;
}

/** Keeps the model of the last job open: the next job mostly needs the same one. */
function oneModelAtATime({ device, precision, tf32, threads, config }: CommonOptions): Models {
  let last: Pipeline | undefined;
  const close = async (): Promise<void> => {
    await last?.dispose();
    last = undefined;
  };
  const open = async ({ path, name, fingerprint, configs }: JobModel): Promise<Pipeline> => {
    if (last !== undefined && (await last.fingerprint()) === fingerprint) return last;
    await close();
    const isHere = existsSync(path);
    if (configs !== undefined && !isHere)
      throw new ArgumentError(
        `model: expected the coordinator's single file at ${path} on this machine, found none — put it there`,
      );
    const here = (there: { readonly path: string; readonly name: string }): string =>
      existsSync(there.path) ? there.path : there.name;
    last = await loadPipeline(isHere ? path : name, {
      device,
      precision,
      tf32,
      threads,
      ...(configs === undefined ? {} : { config: config ?? here(configs) }),
    });
    const found = await last.fingerprint();
    if (found !== fingerprint)
      throw new ArgumentError(
        `model: expected ${name} with ${fingerprint.slice(0, 19)}…, found ${found.slice(0, 19)}… in ${last.folder.source} — put the coordinator's model at ${path} on this machine`,
      );
    return last;
  };
  return { open, close };
}
