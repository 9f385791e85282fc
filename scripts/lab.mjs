/** `npm run lab`: JupyterLab on 127.0.0.1 with the TypeScript kernel ready. */
import { spawn } from "node:child_process";
import { join } from "node:path";
import { jupyterEnvironment, python, root, setUp } from "./setup.mjs";

setUp();
const options = [
  "--ServerApp.ip=127.0.0.1",
  `--ServerApp.root_dir=${join(root, "notebooks")}`,
  "--LabApp.news_url=",
  "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
];
if (process.getuid?.() === 0) options.push("--allow-root");
if (process.platform === "linux" && !process.env.DISPLAY && !process.env.WAYLAND_DISPLAY) options.push("--no-browser");
const child = spawn(python, ["-m", "jupyterlab", ...options, ...process.argv.slice(2)], {
  cwd: root,
  env: jupyterEnvironment,
  stdio: "inherit",
});
process.on("SIGINT", () => undefined);
child.on("exit", (code) => process.exit(code ?? 0));
