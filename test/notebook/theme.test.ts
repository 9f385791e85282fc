/** Figures in real JupyterLab follow its theme, in a notebook that nobody trusts too. */
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { wcagContrast } from "culori";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { errorByStep } from "../../src/figures/index.js";
import type { Theme } from "../../src/figures/index.js";
import { hasChromium, openChromium } from "../chromium.js";
import { freePort } from "../freePort.js";

const root = fileURLToPath(new URL("../..", import.meta.url));
const python = join(root, ".venv", process.platform === "win32" ? "Scripts/python.exe" : "bin/python");
const possible = hasChromium && existsSync(python);
if (!existsSync(python)) console.log("skipped: figures in JupyterLab's theme (no .venv; `npm start` makes it)");

/** A notebook as nbclient leaves it: executed, and not signed by this user. */
function notebookOf(theme: Theme): string {
  const { data, layout } = errorByStep([{ label: "hold", distances: [[0, 0.1, 0.2, 0.2]] }], { theme });
  return JSON.stringify({
    nbformat: 4,
    nbformat_minor: 5,
    metadata: {},
    cells: [
      {
        cell_type: "code",
        id: "figure",
        execution_count: 1,
        metadata: {},
        source: "show(figure)",
        outputs: [
          { output_type: "display_data", metadata: {}, data: { "application/vnd.plotly.v1+json": { data, layout } } },
        ],
      },
    ],
  });
}

describe.skipIf(!possible)("in JupyterLab", () => {
  const folder = mkdtempSync(join(tmpdir(), "blockcache-theme-"));
  let lab: ChildProcess;
  let browser: Browser;
  let page: Page;
  let address: string;

  beforeAll(async () => {
    const settings = join(folder, "settings", "@jupyterlab", "apputils-extension");
    mkdirSync(settings, { recursive: true });
    writeFileSync(join(settings, "themes.jupyterlab-settings"), JSON.stringify({ theme: "JupyterLab Dark" }));
    for (const theme of ["light", "print"] as const) writeFileSync(join(folder, `${theme}.ipynb`), notebookOf(theme));
    const port = await freePort();
    address = `http://127.0.0.1:${port}`;
    lab = spawn(
      python,
      [
        ...["-m", "jupyterlab", "--no-browser", "--allow-root", `--ServerApp.port=${port}`, "--ServerApp.ip=127.0.0.1"],
        ...["--IdentityProvider.token=", `--ServerApp.root_dir=${folder}`, "--LabApp.expose_app_in_browser=True"],
      ],
      {
        stdio: "ignore",
        env: {
          ...process.env,
          JUPYTER_PATH: join(root, "notebooks", "jupyter"),
          JUPYTERLAB_SETTINGS_DIR: join(folder, "settings"),
          JUPYTERLAB_WORKSPACES_DIR: join(folder, "workspaces"),
        },
      },
    );
    browser = await openChromium();
    page = await browser.newPage({ viewport: { width: 1200, height: 800 } });
    await vi.waitFor(async () => expect((await fetch(`${address}/api`)).ok).toBe(true), {
      timeout: 200_000,
      interval: 500,
    });
  }, 240_000);
  afterAll(async () => {
    await browser?.close();
    lab?.kill();
    rmSync(folder, { recursive: true, force: true });
  });

  /** Colours of the title and of what it stands on. */
  const colours = (): Promise<{ text: string; paper: string }> =>
    page.evaluate(`({
      text: getComputedStyle(document.querySelector(".js-plotly-plot .gtitle")).fill,
      paper: getComputedStyle(document.querySelector(".js-plotly-plot .main-svg")).backgroundColor,
    })`);
  const open = async (name: string): Promise<void> => {
    await page.goto(`${address}/lab/tree/${name}.ipynb?reset`);
    await page.waitForSelector(".js-plotly-plot .gtitle", { timeout: 120_000 });
  };
  const setTheme = (name: string): Promise<unknown> =>
    page.evaluate(`window.jupyterapp.commands.execute("apputils:change-theme", { theme: "${name}" })`);

  it("a figure is dark where JupyterLab is, light again when it is, and legible in both", async () => {
    await open("light");
    await expect.poll(async () => (await colours()).paper, { timeout: 60_000 }).toBe("rgb(17, 17, 17)");
    const dark = await colours();
    expect(wcagContrast(dark.text, dark.paper)).toBeGreaterThan(7);
    await setTheme("JupyterLab Light");
    await expect.poll(async () => (await colours()).paper, { timeout: 60_000 }).toBe("rgb(255, 255, 255)");
    const light = await colours();
    expect(wcagContrast(light.text, light.paper)).toBeGreaterThan(7);
    await setTheme("JupyterLab Dark");
    await expect.poll(colours, { timeout: 60_000 }).toEqual(dark);
  }, 300_000);

  it("a figure made for print stays black on white", async () => {
    await open("print");
    await setTheme("JupyterLab Dark");
    await page.waitForTimeout(1000);
    expect(await colours()).toEqual({ text: "rgb(0, 0, 0)", paper: "rgb(255, 255, 255)" });
  }, 300_000);
});
