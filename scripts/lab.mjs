/** `npm run lab`: JupyterLab on 127.0.0.1 with the TypeScript kernel ready, the notebooks' folder open. */
import { spawn } from "node:child_process";
import { join } from "node:path";
import { jupyterEnvironment, python, root, setUp } from "./setup.mjs";

const HIDDEN = ["node_modules", "dist", "__pycache__", "*.tmp"];

setUp();
const options = [
  "--ServerApp.ip=127.0.0.1",
  `--ServerApp.root_dir=${root}`,
  `--FileContentsManager.preferred_dir=${join(root, "notebooks")}`,
  ...HIDDEN.map((glob) => `--ContentsManager.hide_globs=${glob}`),
  // A figure can exceed the data rate that Jupyter allows by default. (The kernel sends text in few messages anyway.)
  "--ZMQChannelsWebsocketConnection.limit_rate=False",
  // Defaults that users can still change: no news, and no question whether to fetch any.
  `--LabApp.app_settings_dir=${join(root, "notebooks", "jupyter", "lab")}`,
];
if (process.getuid?.() === 0) options.push("--allow-root");
if (process.platform === "linux" && !process.env.DISPLAY && !process.env.WAYLAND_DISPLAY) options.push("--no-browser");
const child = spawn(python, ["-m", "jupyterlab", ...options, ...process.argv.slice(2)], {
  cwd: root,
  env: jupyterEnvironment,
  stdio: "inherit",
});
// Ctrl-C reaches JupyterLab by itself, which asks before it stops.
process.on("SIGINT", () => undefined);
process.on("SIGTERM", () => child.kill());
child.on("exit", (code) => process.exit(code ?? 0));
