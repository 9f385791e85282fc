/**
 * `npm start`: sets up, executes the notebooks, writes the figures, lists what was made. `npm start -- 04-….ipynb`
 * executes that one only; with `--times`, cells that show durations show this run's.
 */
import { spawn } from "node:child_process";
import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fail, jupyterEnvironment, python, root, setUp } from "./setup.mjs";

setUp();
const folder = join(root, "notebooks");
const newTimes = process.argv.includes("--times");
const wanted = process.argv.slice(2).filter((each) => each !== "--times");
const notebooks = readdirSync(folder)
  .filter((name) => name.endsWith(".ipynb") && (wanted.length === 0 || wanted.includes(name)))
  .sort();
const started = Date.now();
const summaries = [];
for (const notebook of notebooks) summaries.push(await execute(notebook));

console.log(`\nExecuted ${notebooks.length} notebooks in ${seconds(Date.now() - started)}:`);
for (const { notebook, cells, milliseconds } of summaries)
  console.log(`  notebooks/${notebook}  ${cells} cells, ${seconds(milliseconds)}`);
if (!newTimes)
  console.log(
    "Cells that show how long something took keep the times stored in them; `npm start -- --times` shows yours.",
  );
console.log("Figures:");
for (const file of readdirSync(join(root, "figures")).sort()) {
  const { size, mtimeMs } = statSync(join(root, "figures", file));
  if (mtimeMs >= started) console.log(`  figures/${file}  ${(size / 1024).toFixed(0)} KiB`);
}
console.log("\nOpen the notebooks with `npm run lab`; the .html figures open in any browser.");

/** Runs one notebook through its kernel, cell by cell. */
async function execute(notebook) {
  const begun = Date.now();
  const child = spawn(
    python,
    [join("scripts", "execute_notebook.py"), join("notebooks", notebook), ...(newTimes ? ["--times"] : [])],
    {
      cwd: root,
      env: jupyterEnvironment,
      stdio: ["ignore", "pipe", "inherit"],
    },
  );
  const stop = () => child.kill("SIGINT");
  process.once("SIGINT", stop);
  let total = 0;
  for await (const line of createInterface({ input: child.stdout })) {
    const event = JSON.parse(line);
    total = event.total;
    show(notebook, event, Date.now() - begun);
  }
  const status = child.exitCode ?? (await new Promise((resolve) => child.once("exit", resolve)));
  process.removeListener("SIGINT", stop);
  if (process.stdout.isTTY) process.stdout.write("\n");
  if (status !== 0) fail(`notebooks/${notebook} failed; see the error above; the notebook is unchanged`);
  return { notebook, cells: total, milliseconds: Date.now() - begun };
}

function show(notebook, { done, total, title }, elapsed) {
  const left = done === 0 ? "" : `, about ${seconds((elapsed / done) * (total - done))} left`;
  const line = `${notebook}  ${bar(done, total)} ${done}/${total} cells, ${seconds(elapsed)}${left}  ${title}`;
  if (process.stdout.isTTY) process.stdout.write(`\r\x1b[K${line.slice(0, (process.stdout.columns ?? 100) - 1)}`);
  else console.log(line);
}

function bar(done, total) {
  const width = 20;
  const filled = Math.round((width * done) / Math.max(1, total));
  return "█".repeat(filled) + "░".repeat(width - filled);
}

function seconds(milliseconds) {
  return `${(milliseconds / 1000).toFixed(0)} s`;
}
