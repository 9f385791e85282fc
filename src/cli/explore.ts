import { rmSync, watch } from "node:fs";
import { mkdtemp, writeFile } from "node:fs/promises";
import { spawn } from "node:child_process";
import { tmpdir } from "node:os";
import { basename, dirname, extname, join, resolve } from "node:path";
import type { Command } from "commander";
import { BlockcacheError } from "../errors.js";
import { loadAdjustment } from "../caching/adjustment/adjustmentFile.js";
import { loadCosts } from "../caching/costs/costsFile.js";
import { loadSchedule } from "../caching/schedule/scheduleFile.js";
import { loadProfile } from "../instrument/profile/profileFile.js";
import { measurementFolder } from "../live/cacheFolder.js";
import { childWorker } from "../live/childWorker.js";
import { LiveSession } from "../live/session.js";
import type { LiveWorker } from "../live/worker.js";
import { serveExplorer } from "../server/explorerServer.js";
import { MODEL, command, nonNegativeInteger } from "./command.js";
import type { CommonOptions } from "./command.js";
import { loadHeuristic } from "./heuristic.js";

interface ExploreOptions extends CommonOptions {
  readonly port: number;
  readonly open: boolean;
  readonly profile?: string;
  readonly costs?: string;
  readonly schedule?: string;
  readonly adjustment?: string;
  readonly cache?: string;
  readonly heuristic?: string[];
}

/** `blockcache explore`: cached sampling live in the browser. */
export function exploreCommand(): Command {
  return command(
    "explore",
    "Open a page on this machine: edit a schedule and see at once what it saves and what it does to the picture.",
    "blockcache explore fluent-ldm --profile paper.safetensors",
  )
    .argument("<model>", MODEL)
    .option("--port <n>", "port on 127.0.0.1 (default: one that is free)", nonNegativeInteger, 0)
    .option("--no-open", "print the link, and open no browser")
    .option("--profile <file>", "what `blockcache profile` wrote, instead of measuring change")
    .option("--costs <file>", "what `blockcache costs` wrote, instead of timing blocks")
    .option("--schedule <file>", "a schedule to begin with: what `blockcache schedule` wrote")
    .option(
      "--adjustment <file>",
      "correct what stands in for reused blocks, with what `blockcache adjust` wrote for this schedule",
    )
    .option("--cache <folder>", "where measurements are kept (default: blockcache/explore in the user's cache folder)")
    .option("--heuristic <modules...>", "modules of your own heuristics; reloaded when they change")
    .action(async (model: string, options: ExploreOptions) => {
      const { device, precision, tf32, threads, config, profile, costs, adjustment } = options;
      // A faulty file is reported before the model is opened, which may take long.
      const schedule = options.schedule === undefined ? undefined : await loadSchedule(options.schedule);
      if (adjustment !== undefined) await loadAdjustment(adjustment);
      if (profile !== undefined) await loadProfile(profile);
      if (costs !== undefined) await loadCosts(costs);
      const worker = childWorker(model, { device, precision, tf32, threads, config });
      const session = new LiveSession(worker, {
        model,
        cacheFolder: options.cache ?? measurementFolder(),
        files: { profile, costs },
        schedule,
        adjustment,
      });
      try {
        await serve(session, worker, options);
      } finally {
        // The worker's process would keep this one alive.
        await session.close();
      }
    });
}

/** Serves the session until somebody ends it. Throws what serving throws; BlockcacheError where the model cannot be opened. */
async function serve(session: LiveSession, worker: LiveWorker, options: ExploreOptions): Promise<void> {
  const stopWatching = await Promise.all((options.heuristic ?? []).map((path) => offerModule(session, path)));
  const server = await serveExplorer(session, { port: options.port });
  process.stdout.write(
    options.json ? `${JSON.stringify({ url: server.url })}\n` : `blockcache explore: ${server.url}\nCtrl-C ends it.\n`,
  );
  if (options.open && !options.json) await openInBrowser(server.url);

  const problem = await new Promise<string | undefined>((end) => {
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.once(signal, () => end(undefined));
    worker.watch((state) => state.state === "failed" && end(state.message));
  });
  for (const stop of stopWatching) stop();
  await server.close();
  if (problem !== undefined) throw new BlockcacheError(problem);
}

/** Editors save in several writes: the module is loaded when they have been quiet for this long. */
const SETTLED_MILLISECONDS = 100;

/** Offers a user's own heuristic, and again whenever its file changes. @returns ends the watching */
async function offerModule(session: LiveSession, path: string): Promise<() => void> {
  const name = basename(path, extname(path));
  let version = 0;
  const load = async (): Promise<void> => {
    try {
      session.offer(await loadHeuristic(path, version++));
    } catch (error) {
      session.offer({ name, problem: error instanceof Error ? error.message : String(error) });
    }
  };
  // A module that does not load at the start is a mistake on the command line, and ends the command.
  session.offer(await loadHeuristic(path, version++));
  let timer: NodeJS.Timeout | undefined;
  // The folder, because editors put a new file in the old one's place.
  const watcher = watch(dirname(resolve(path)), (_, changed) => {
    if (changed !== basename(path)) return;
    clearTimeout(timer);
    timer = setTimeout(() => void load(), SETTLED_MILLISECONDS);
  });
  return () => {
    clearTimeout(timer);
    watcher.close();
  };
}

/**
 * Opens the link through a file of the user's own: on a browser's command line, everybody on the machine could read its
 * token.
 */
async function openInBrowser(url: string): Promise<void> {
  if (process.platform === "linux" && !process.env.DISPLAY && !process.env.WAYLAND_DISPLAY) return;
  const folder = await mkdtemp(join(tmpdir(), "blockcache-explore-"));
  const file = join(folder, "explore.html");
  await writeFile(file, `<!doctype html><meta http-equiv="refresh" content="0; url=${url}">`, { mode: 0o600 });
  const opener = { darwin: "open", win32: "explorer" }[process.platform as string] ?? "xdg-open";
  spawn(opener, [file], { stdio: "ignore", detached: true })
    .on("error", () => undefined)
    .unref();
  process.once("exit", () => rmSync(folder, { recursive: true, force: true }));
}
