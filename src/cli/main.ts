#!/usr/bin/env node
import { Command, CommanderError } from "commander";
import { BlockcacheError } from "../errors.js";
import { VERSION } from "../version.js";
import { benchCommand } from "./bench.js";
import { UsageError } from "./command.js";
import { compareCommand } from "./compare.js";
import { costsCommand } from "./costs.js";
import { devicesCommand } from "./devices.js";
import { encodeCommand } from "./encode.js";
import { evaluateCommand } from "./evaluate.js";
import { featuresCommand } from "./features.js";
import { exploreCommand } from "./explore.js";
import { forwardCommand } from "./forward.js";
import { frechetCommand } from "./frechet.js";
import { inspectCommand } from "./inspect.js";
import { plotCommand } from "./plot.js";
import { profileCommand } from "./profile.js";
import { refineCommand } from "./refine.js";
import { adjustCommand } from "./adjust.js";
import { fitReusesCommand } from "./fitReuses.js";
import { sampleCommand } from "./sample.js";
import { scheduleCommand } from "./schedule.js";
import { surveyCommand } from "./survey.js";
import { sweepCommand } from "./sweep.js";
import { transferCommand } from "./transfer.js";
import { vaeCommand } from "./vae.js";
import { workerCommand } from "./worker.js";

const FAILED = 1;
const USAGE = 2;

const program = new Command("blockcache")
  .description("Look inside a diffusion model's denoising network, and make it faster by block caching.")
  .version(VERSION);
for (const subcommand of [
  devicesCommand,
  inspectCommand,
  forwardCommand,
  encodeCommand,
  vaeCommand,
  sampleCommand,
  adjustCommand,
  fitReusesCommand,
  profileCommand,
  costsCommand,
  scheduleCommand,
  refineCommand,
  transferCommand,
  surveyCommand,
  sweepCommand,
  compareCommand,
  evaluateCommand,
  featuresCommand,
  frechetCommand,
  benchCommand,
  plotCommand,
  exploreCommand,
  workerCommand,
]) {
  program.addCommand(subcommand());
}
// commander ends the process with 1 on wrong usage; the contract says 2.
for (const each of [program, ...program.commands.flatMap((child) => [child, ...child.commands])]) each.exitOverride();

// A reader may close the pipe before we are done, as `head` does.
process.stdout.on("error", (error: NodeJS.ErrnoException) => process.exit(error.code === "EPIPE" ? 0 : FAILED));

/**
 * Node reads the command line as UTF-8 and puts U+FFFD where it is not: the prompt would silently become another one.
 */
function refuseBrokenText(): void {
  const broken = process.argv.find((text) => text.includes("\ufffd"));
  if (broken !== undefined)
    throw new UsageError(
      `expected UTF-8 on the command line, found ${JSON.stringify(broken)} — set the terminal to UTF-8`,
    );
}

async function main(): Promise<void> {
  refuseBrokenText();
  await program.parseAsync(process.argv);
}

main().catch((error: unknown) => {
  if (error instanceof CommanderError) {
    process.exitCode = error.exitCode === 0 ? 0 : USAGE;
    return;
  }
  process.exitCode = error instanceof UsageError ? USAGE : FAILED;
  const verbose = process.argv.includes("--verbose");
  if (verbose && error instanceof Error) process.stderr.write(`${error.stack ?? error.message}\n`);
  else if (error instanceof BlockcacheError) process.stderr.write(`blockcache: ${error.message}\n`);
  else
    process.stderr.write(
      `blockcache: ${error instanceof Error ? error.message.split("\n")[0] : String(error)} — --verbose shows where\n`,
    );
});
