/** `npm run bench:…`: compiles a bench and runs it in the environment that the notebooks' kernel has. */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { jupyterEnvironment, root } from "./setup.mjs";

const [name, ...options] = process.argv.slice(2);
const { env } = JSON.parse(
  readFileSync(join(jupyterEnvironment.JUPYTER_PATH, "kernels", "tslab", "kernel.json"), "utf8"),
);
for (const command of [
  [join("node_modules", "typescript", "bin", "tsc"), "-p", "bench"],
  [join(".cache", "bench", "bench", `${name}.js`), ...options],
]) {
  const { status } = spawnSync(process.execPath, command, {
    cwd: root,
    env: { ...process.env, ...env },
    stdio: "inherit",
  });
  if (status !== 0) process.exit(status ?? 1);
}
