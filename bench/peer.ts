/** Talks to engine_peer.py, line by line. */
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";

export interface PeerRun {
  readonly seconds: number;
  readonly meanAbsoluteOutput: number;
  readonly peakBytes: number;
}

export interface PeerStart {
  readonly loadSeconds: number;
  readonly torch: string;
  readonly diffusers: string;
}

/** PyTorch + diffusers in a process of its own. */
export class Peer {
  readonly start: PeerStart;
  readonly #process: ChildProcess;
  readonly #answers: AsyncIterator<string>;

  private constructor(process: ChildProcess, answers: AsyncIterator<string>, start: PeerStart) {
    this.#process = process;
    this.#answers = answers;
    this.start = start;
  }

  /** Throws where Python, torch or diffusers do not work. */
  static async open(python: string, unetFolder: string, dtype: "float32" | "bfloat16", threads: number): Promise<Peer> {
    const child = spawn(python, [join("bench", "engine_peer.py"), unetFolder, dtype, String(threads)], { stdio: ["pipe", "pipe", "inherit"] });
    await new Promise<void>((resolve, reject) => child.once("spawn", resolve).once("error", reject));
    const answers = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    return new Peer(child, answers, JSON.parse(await nextLine(answers)) as PeerStart);
  }

  async run(inputsFile: string): Promise<PeerRun> {
    this.#process.stdin?.write(`${inputsFile}\n`);
    return JSON.parse(await nextLine(this.#answers)) as PeerRun;
  }

  close(): void {
    this.#process.stdin?.end();
  }
}

async function nextLine(lines: AsyncIterator<string>): Promise<string> {
  const { value, done } = await lines.next();
  if (done) throw new Error("bench/engine_peer.py ended early; its own message is above");
  return value;
}
