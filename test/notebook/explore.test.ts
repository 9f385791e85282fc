/** The explorer and inputs in cells: real JupyterLab in real Chromium, the page and the kernel speaking with each other. */
import { spawn, spawnSync } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { hasChromium, openChromium } from "../chromium.js";
import { freePort } from "../freePort.js";

const root = fileURLToPath(new URL("../..", import.meta.url));
const notebooks = join(root, "notebooks");
const python = join(root, ".venv", "bin", "python");
const model = fileURLToPath(new URL("../fixtures/models/sd1-like", import.meta.url));

const PATIENCE = Number(process.env.PATIENCE ?? 300_000);

/** A notebook of these cells. */
function notebookOf(cells: readonly string[]): string {
  return JSON.stringify({
    cells: cells.map((source, index) => ({
      cell_type: "code",
      id: `code-${index}`,
      execution_count: null,
      metadata: {},
      outputs: [],
      source,
    })),
    metadata: { kernelspec: { display_name: "TypeScript (tslab)", language: "typescript", name: "tslab" } },
    nbformat: 4,
    nbformat_minor: 5,
  });
}

/** Waits until what is read is as expected. */
const eventually = <Value>(read: () => Promise<Value>) => expect.poll(read, { timeout: PATIENCE, interval: 50 });

describe.skipIf(!hasChromium)("in JupyterLab", () => {
  const folder = mkdtempSync(join(tmpdir(), "blockcache-explore-lab-"));
  const name = `test-explore-${process.pid}.ipynb`;
  const file = join(notebooks, name);
  let lab: ChildProcess;
  let browser: Browser;
  let page: Page;

  beforeAll(async () => {
    writeFileSync(
      file,
      notebookOf([
        `import { explore, interact, loadPipeline, slider, text } from "blockcache";\nconst pipeline = await loadPipeline(${JSON.stringify(model)});`,
        `const ui = await explore(pipeline, { settings: { steps: 10 }, cacheFolder: ${JSON.stringify(folder)} });`,
        `ui.set({ delta: 0.3 });\nconst pictures = await ui.sample();\nconsole.log("sampled", pictures.cached.width, Object.keys(ui.schedule!.blocks).length > 0);`,
        `const inputs = await interact({ amount: slider(0, 10, { value: 3 }), word: text("one") }, async ({ amount, word }) => [{ amount, word: word + "!" }]);`,
        `await new Promise<void>((told) => { const stop = ui.on("schedule", () => { stop(); told(); }); });\nconsole.log("told", ui.plan.options.delta);`,
      ]),
    );
    const port = await freePort();
    lab = spawn(
      python,
      [
        "-m",
        "jupyterlab",
        "--no-browser",
        "--allow-root",
        `--ServerApp.port=${port}`,
        "--ServerApp.ip=127.0.0.1",
        "--IdentityProvider.token=",
        `--ServerApp.root_dir=${notebooks}`,
      ],
      { cwd: root, stdio: "ignore", env: { ...process.env, JUPYTERLAB_WORKSPACES_DIR: folder } },
    );
    browser = await openChromium();
    page = await browser.newPage({ viewport: { width: 1500, height: 1000 } });
    page.setDefaultTimeout(PATIENCE);
    for (;;) {
      const answers = await fetch(`http://127.0.0.1:${port}/api`).then(
        ({ ok }) => ok,
        () => false,
      );
      if (answers) break;
      await new Promise((resolve) => setTimeout(resolve, 500));
    }
    await page.goto(`http://127.0.0.1:${port}/lab/tree/${name}?reset`);
    await page.waitForSelector(".jp-Notebook .jp-Cell");
    await page.locator(".jp-Notebook .jp-Cell").first().click();
    await page.getByRole("menuitem", { name: "Run", exact: true }).click();
    await page.getByRole("menuitem", { name: "Run All Cells", exact: true }).click();
  }, 2 * PATIENCE);
  afterAll(async () => {
    await browser?.close();
    lab?.kill();
    rmSync(file, { force: true });
    rmSync(folder, { recursive: true, force: true });
  });

  it(
    "the page is the output of a cell, and both move each other",
    async () => {
      const ui = page.frameLocator('iframe[title="blockcache explore"]');
      await page
        .getByText(/sampled \d+ true/)
        .first()
        .waitFor();
      await ui.locator(".gridframe canvas").waitFor({ state: "attached" });
      const delta = ui.getByRole("slider", { name: /δ/ });
      await eventually(() => delta.inputValue()).toBe("0.3");
      expect(await page.locator('iframe[title="blockcache explore"]').evaluate((frame) => frame.clientHeight)).toBe(
        720,
      );
      await page.locator('iframe[title="inputs"]').waitFor();
      await delta.fill("0.7");
      await page
        .getByText(/told 0\.7/)
        .first()
        .waitFor();
    },
    PATIENCE,
  );

  it(
    "inputs drive a function of a cell",
    async () => {
      const inputs = page.frameLocator('iframe[title="inputs"]');
      await page.getByRole("cell", { name: "one!" }).first().waitFor();
      await inputs.getByRole("slider", { name: "amount" }).fill("8");
      await page.getByRole("cell", { name: "8", exact: true }).first().waitFor();
      await inputs.getByRole("textbox", { name: "word" }).fill("two");
      await page.getByRole("cell", { name: "two!" }).first().waitFor();
    },
    PATIENCE,
  );
});

describe.skipIf(!hasChromium)("exported as static HTML", () => {
  it(
    "both leave a picture and a note",
    async () => {
      const name = `test-explore-static-${process.pid}.ipynb`;
      const folder = mkdtempSync(join(tmpdir(), "blockcache-explore-html-"));
      try {
        writeFileSync(
          join(notebooks, name),
          notebookOf([
            `import { explore, interact, loadPipeline, slider } from "blockcache";\nconst pipeline = await loadPipeline(${JSON.stringify(model)});`,
            `const ui = await explore(pipeline, { settings: { steps: 6 }, cacheFolder: ${JSON.stringify(folder)} });`,
            `await interact({ amount: slider(0, 10, { value: 3 }) }, async ({ amount }) => [{ amount }]);`,
          ]),
        );
        const run = (...args: string[]): void => {
          const { status, stderr } = spawnSync(python, args, { encoding: "utf8", cwd: root });
          expect(status, stderr).toBe(0);
        };
        run(join(root, "scripts", "execute_notebook.py"), join(notebooks, name));
        run("-m", "nbconvert", "--to", "html", "--output-dir", folder, "--output", "page", join(notebooks, name));
        const browser = await openChromium();
        const page = await browser.newPage();
        await page.goto(pathToFileURL(join(folder, "page.html")).href);
        const picture = page.getByRole("img", { name: "blockcache explore" });
        await picture.waitFor();
        expect(await picture.evaluate((image) => (image as HTMLImageElement).naturalWidth)).toBeGreaterThan(100);
        expect(await page.getByText(/alive while the kernel runs/).count()).toBe(2);
        expect(await page.locator("iframe").first().isVisible()).toBe(false);
        await browser.close();
      } finally {
        rmSync(join(notebooks, name), { force: true });
        rmSync(folder, { recursive: true, force: true });
      }
    },
    PATIENCE,
  );
});
