/**
 * Sets the project up: packages, build, Python side of Jupyter. Each step leaves a stamp of what it was
 * made from, so that nothing is done twice. Node's own modules only: this runs before any are installed.
 */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export const root = dirname(dirname(fileURLToPath(import.meta.url)));
const windows = process.platform === "win32";
const stamps = join(root, ".cache", "stamps");
const venv = join(root, ".venv");
export const python = windows ? join(venv, "Scripts", "python.exe") : join(venv, "bin", "python");
const OLDEST_NODE = [20, 19];
const OLDEST_PYTHON = [3, 10];

/** Everything Jupyter keeps stays inside the project. */
export const jupyterEnvironment = {
  ...process.env,
  JUPYTER_PATH: join(root, "notebooks", "jupyter"),
  JUPYTER_CONFIG_DIR: join(root, ".cache", "jupyter", "config"),
  JUPYTER_DATA_DIR: join(root, ".cache", "jupyter", "data"),
  JUPYTER_RUNTIME_DIR: join(root, ".cache", "jupyter", "runtime"),
  IPYTHONDIR: join(root, ".cache", "jupyter", "ipython"),
  JUPYTERLAB_SETTINGS_DIR: join(root, ".cache", "jupyter", "lab", "user-settings"),
  JUPYTERLAB_WORKSPACES_DIR: join(root, ".cache", "jupyter", "lab", "workspaces"),
  PYTHONDONTWRITEBYTECODE: "1",
};

/** Does those steps that are not done yet. If one fails, ends the process with a plain message. */
export function setUp() {
  mkdirSync(jupyterEnvironment.IPYTHONDIR, { recursive: true });
  const node = process.versions.node.split(".").map(Number);
  if (older(node, OLDEST_NODE))
    fail(`Node ${OLDEST_NODE.join(".")} or newer is needed, found ${process.versions.node}: see https://nodejs.org`);
  step("packages", ["package-lock.json"], existsSync(join(root, "node_modules")), () =>
    run("npm", ["ci", "--no-audit", "--no-fund"], root),
  );
  step(
    "build",
    ["tsconfig.json", "package-lock.json", ...sources("src")],
    existsSync(join(root, "dist", "index.js")),
    () => run(process.execPath, [join("node_modules", "typescript", "bin", "tsc"), "-p", "."], root),
  );
  step(
    "page of the explorer",
    ["package-lock.json", ...sources("web"), ...sources("src")],
    existsSync(join(root, "dist", "web", "index.html")),
    () =>
      run(
        process.execPath,
        [join("node_modules", "vite", "bin", "vite.js"), "build", "web", "--logLevel", "warn"],
        root,
      ),
  );
  step(
    "notebook kernel",
    ["notebooks/package-lock.json"],
    existsSync(join(root, "notebooks", "node_modules", "tslab")),
    () => run("npm", ["ci", "--no-audit", "--no-fund"], join(root, "notebooks")),
  );
  const marker = join(venv, "package.json");
  step("Jupyter in .venv", ["notebooks/requirements.txt"], existsSync(python) && existsSync(marker), () => {
    const found = findPython();
    run(
      found[0],
      [...found.slice(1), "-m", "venv", venv],
      root,
      "its venv module is missing; on Debian and Ubuntu: apt install python3-venv",
    );
    run(
      python,
      ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", join("notebooks", "requirements.txt")],
      root,
    );
    // JupyterLab's own .js files are CommonJS, whatever this project's package.json says.
    writeFileSync(marker, '{ "type": "commonjs" }\n');
  });
}

function step(name, inputs, present, work) {
  const hash = createHash("sha256");
  for (const input of inputs) hash.update(input).update(readFileSync(join(root, input)));
  const digest = hash.digest("hex");
  const stamp = join(stamps, name.replaceAll(" ", "-"));
  if (present && existsSync(stamp) && readFileSync(stamp, "utf8") === digest) return;
  const started = Date.now();
  console.log(`set-up: ${name} …`);
  work();
  mkdirSync(stamps, { recursive: true });
  writeFileSync(stamp, digest);
  console.log(`set-up: ${name} done in ${((Date.now() - started) / 1000).toFixed(0)} s`);
}

function sources(folder) {
  return readdirSync(join(root, folder), { withFileTypes: true })
    .flatMap((entry) => (entry.isDirectory() ? sources(`${folder}/${entry.name}`) : [`${folder}/${entry.name}`]))
    .sort();
}

function run(command, args, cwd, hint) {
  const { status, error } = spawnSync(command, args, {
    cwd,
    stdio: ["ignore", "inherit", "inherit"],
    shell: windows && command === "npm",
  });
  if (status === 0) return;
  fail(`\`${command} ${args.join(" ")}\` failed${error ? ` (${error.message})` : ""}${hint ? ` — ${hint}` : ""}`);
}

function findPython() {
  for (const candidate of [["python3"], ["python"], ["py", "-3"]]) {
    const { status, stdout } = spawnSync(
      candidate[0],
      [...candidate.slice(1), "-c", "import sys; print('%d.%d' % sys.version_info[:2])"],
      { encoding: "utf8" },
    );
    if (status === 0 && !older(stdout.trim().split(".").map(Number), OLDEST_PYTHON)) return candidate;
  }
  return fail(
    `Python ${OLDEST_PYTHON.join(".")} or newer is needed for Jupyter, and none was found as python3 or python: see https://www.python.org`,
  );
}

function older([major, minor], [oldestMajor, oldestMinor]) {
  return major < oldestMajor || (major === oldestMajor && minor < oldestMinor);
}

export function fail(message) {
  console.error(`blockcache: ${message}`);
  process.exit(1);
}
