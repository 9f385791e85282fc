/** A side of a bench in a process of its own, asked for evaluations line by line: engine_peer.py, gpuSide.ts. */
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Copies } from "./copies.js";

export interface PeerRun {
  readonly seconds: number;
  readonly meanAbsoluteOutput: number;
  readonly peakBytes: number;
  /** pages that the evaluation asked Linux for, where the side counts them */
  readonly pageFaults?: number;
  /** of the first evaluation, where the side counts them */
  readonly copies?: Copies;
}

export interface PeerStart {
  readonly loadSeconds: number;
  /** of the libraries that compute */
  readonly versions: string;
}

export interface DiffusersOptions {
  readonly dtype: "float32" | "float16" | "bfloat16";
  readonly threads: number;
  readonly device?: "cpu" | "cuda";
  /** with torch.compile */
  readonly compiled?: boolean;
}

/** The command line of PyTorch + diffusers running one UNet. */
export function diffusersCommand(
  python: string,
  unetFolder: string,
  { dtype, threads, device = "cpu", compiled = false }: DiffusersOptions,
): readonly string[] {
  return [
    python,
    join("bench", "engine_peer.py"),
    unetFolder,
    dtype,
    String(threads),
    "--device",
    device,
    ...(compiled ? ["--compile"] : []),
  ];
}

export class Peer {
  readonly start: PeerStart;
  readonly #process: ChildProcess;
  readonly #nextAnswer: () => Promise<string>;

  private constructor(process: ChildProcess, nextAnswer: () => Promise<string>, start: PeerStart) {
    this.#process = process;
    this.#nextAnswer = nextAnswer;
    this.start = start;
  }

  /**
   * Starts a command that speaks engine_peer.py's line protocol. Throws, with the last line of its standard error, if
   * it ends before it has loaded.
   *
   * @param env the environment. Default: this process's
   */
  static async open([command, ...args]: readonly string[], env = process.env): Promise<Peer> {
    const child = spawn(command, args, { env, stdio: ["pipe", "pipe", "pipe"] });
    let lastWords = "";
    child.stderr.on("data", (text: Buffer) => {
      process.stderr.write(text);
      lastWords = text.toString().trim().split("\n").at(-1) || lastWords;
    });
    await new Promise<void>((resolve, reject) => child.once("spawn", resolve).once("error", reject));
    const closed = new Promise<void>((resolve) => child.once("close", () => resolve()));
    const answers = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    const nextAnswer = async (): Promise<string> => {
      const { value, done } = (await answers.next()) as IteratorResult<string, undefined>;
      if (!done) return value;
      await closed;
      throw new Error(lastWords || `${command} ${args[0]} ended without a message`);
    };
    return new Peer(child, nextAnswer, JSON.parse(await nextAnswer()) as PeerStart);
  }

  async run(inputsFile: string): Promise<PeerRun> {
    this.#process.stdin?.write(`${inputsFile}\n`);
    return JSON.parse(await this.#nextAnswer()) as PeerRun;
  }

  close(): void {
    this.#process.stdin?.end();
  }
}
