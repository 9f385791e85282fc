/** `npm run lab`, and a browser that looks at it. */
import { spawn } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { freePort } from "../freePort.js";

const root = fileURLToPath(new URL("../..", import.meta.url));

export interface Lab {
  readonly address: string;
  /** all that it has written to its terminal */
  log(): string;
  stop(): Promise<void>;
}

export async function startLab(): Promise<Lab> {
  const port = await freePort();
  const address = `http://127.0.0.1:${port}`;
  const options = ["--no-browser", `--ServerApp.port=${port}`, "--IdentityProvider.token="];
  const lab = spawn(process.execPath, [join(root, "scripts", "lab.mjs"), ...options], {
    cwd: root,
    stdio: ["ignore", "pipe", "pipe"],
  });
  const exited = new Promise((resolve) => lab.once("exit", resolve));
  let log = "";
  for (const stream of [lab.stdout, lab.stderr]) stream.on("data", (chunk) => (log += String(chunk)));
  for (;;) {
    const answers = await fetch(`${address}/api`).then(
      ({ ok }) => ok,
      () => false,
    );
    if (answers) break;
    if (lab.exitCode !== null) throw new Error(`JupyterLab ended:\n${log}`);
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  return {
    address,
    log: () => log,
    async stop() {
      lab.kill();
      await exited;
    },
  };
}
