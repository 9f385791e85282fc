/** `npm run bench:…`: compiles a bench and runs it. */
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { root } from "./setup.mjs";

const [name, ...options] = process.argv.slice(2);
for (const command of [
  [join("node_modules", "typescript", "bin", "tsc"), "-p", "bench"],
  [join(".cache", "bench", "bench", `${name}.js`), ...options],
]) {
  const { status } = spawnSync(process.execPath, command, { cwd: root, stdio: "inherit" });
  if (status !== 0) process.exit(status ?? 1);
}
