/** A real kernel for tests, in the notebooks' folder. */
import { spawn } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../..", import.meta.url));
const python = join(root, ".venv", process.platform === "win32" ? "Scripts/python.exe" : "bin/python");

export interface Output {
  readonly type: "stream" | "display_data" | "update_display_data" | "error";
  readonly name?: "stdout" | "stderr";
  readonly text?: string;
  readonly data?: Readonly<Record<string, unknown>>;
  readonly ename?: string;
  readonly evalue?: string;
  readonly traceback?: readonly string[];
}

export interface Ran {
  readonly status: "ok" | "error" | "aborted";
  readonly outputs: readonly Output[];
  /** what it wrote to standard output */
  readonly stdout: string;
  readonly stderr: string;
  readonly error?: Output;
}

export interface RunOptions {
  /** interrupts as soon as this has been written */
  readonly interruptAt?: string;
  /** waits until this has been written, be it after the cell has ended */
  readonly until?: string;
}

export interface Kernel {
  run(code: string, options?: RunOptions): Promise<Ran>;
  /** all sent at once */
  runAll(codes: readonly string[], options?: RunOptions): Promise<Ran[]>;
  interrupt(): Promise<void>;
  restart(): Promise<void>;
  /** the share of one core that it takes, over a second */
  busy(): Promise<number>;
  inspect(code: string, position: number): Promise<{ data: Record<string, string> }>;
  complete(code: string, position: number): Promise<{ matches: string[] }>;
  pid(): Promise<number>;
  stop(): Promise<void>;
  /** kills Jupyter without telling the kernel */
  abandon(): Promise<void>;
}

export async function startKernel(): Promise<Kernel> {
  const child = spawn(python, [fileURLToPath(new URL("kernel.py", import.meta.url)), join(root, "notebooks")], {
    cwd: root,
    stdio: ["pipe", "pipe", "inherit"],
    env: { ...process.env, JUPYTER_PATH: join(root, "notebooks", "jupyter") },
  });
  const exited = new Promise((resolve) => child.once("exit", resolve));
  const answers = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const answer = async <Answer>(): Promise<Answer> => {
    const { value, done } = await answers.next();
    if (done) throw new Error("the kernel's driver ended");
    return JSON.parse(value) as Answer;
  };
  const ask = <Answer>(command: string, given: object = {}): Promise<Answer> => {
    child.stdin.write(`${JSON.stringify([command, given])}\n`);
    return answer();
  };
  await answer();
  const runAll: Kernel["runAll"] = async (codes, { interruptAt, until } = {}) =>
    (await ask<Ran[]>("run", { codes, interrupt_at: interruptAt, until })).map((ran) => ({
      ...ran,
      stdout: textOf(ran.outputs, "stdout"),
      stderr: textOf(ran.outputs, "stderr"),
      error: ran.outputs.find(({ type }) => type === "error"),
    }));
  return {
    runAll,
    run: async (code, options) => (await runAll([code], options))[0],
    interrupt: () => ask("interrupt"),
    restart: () => ask("restart"),
    busy: () => ask("busy"),
    inspect: (code, position) => ask("inspect", { code, position }),
    complete: (code, position) => ask("complete", { code, position }),
    pid: () => ask("pid"),
    async abandon() {
      child.kill("SIGKILL");
      await exited;
    },
    async stop() {
      child.stdin.end();
      await exited;
    },
  };
}

function textOf(outputs: readonly Output[], stream: Output["name"]): string {
  return outputs
    .filter(({ name }) => name === stream)
    .map(({ text }) => text)
    .join("");
}
