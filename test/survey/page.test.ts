/** The survey in Chromium, from the command line: keyboard, resume after a kill, accessibility. */
import { spawn, spawnSync } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { createRequire } from "node:module";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { hasChromium, openChromium } from "../chromium.js";
import { trialsOf } from "../../src/survey/index.js";
import { makeEvaluation } from "./madeUp.js";

const main = join("dist", "cli", "main.js");
const folder = mkdtempSync(join(tmpdir(), "blockcache-survey-page-"));
const PICTURES = 5;
const survey = [main, "survey", folder, "--a", "plain", "--b", "cached", "--json"];
let browser: Browser;

async function start(): Promise<{ url: string; child: ChildProcess; ended: Promise<string> }> {
  const child = spawn(process.execPath, survey, { stdio: ["ignore", "pipe", "inherit"] });
  const lines = createInterface({ input: child.stdout });
  let last = "";
  lines.on("line", (line) => (last = line));
  const ended = new Promise<string>((resolve) => child.on("close", () => resolve(last)));
  const first = await new Promise<string>((resolve) => lines.once("line", resolve));
  return { url: (JSON.parse(first) as { url: string }).url, child, ended };
}

async function begin(page: Page, url: string, rater: string): Promise<void> {
  await page.goto(url);
  await page.keyboard.type(rater);
  await page.keyboard.press("Enter");
}

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** Serious and critical faults that axe-core finds. */
async function faults(page: Page): Promise<string[]> {
  await page.evaluate(axe);
  return page.evaluate(async () => {
    const { axe: checker } = globalThis as unknown as {
      axe: { run(): Promise<{ violations: { id: string; impact: string }[] }> };
    };
    const { violations } = await checker.run();
    return violations.filter(({ impact }) => ["serious", "critical"].includes(impact)).map(({ id }) => id);
  });
}

/** The place of the rater that the page shows, once its pair is there. */
async function shows(page: Page, done: number, total: number): Promise<void> {
  await page.getByText(`${done} of ${total}`).waitFor();
  await page.waitForFunction(() => {
    const button = document.querySelector<HTMLButtonElement>("#choices button");
    return button !== null && !button.disabled && document.querySelector("#prompt")?.textContent !== "";
  });
}

const votes = (rater: string): { index: number; choice: string; left: string }[] => {
  const file = join(folder, "survey", "plain vs cached", `${rater}.jsonl`);
  if (!existsSync(file)) return [];
  return readFileSync(file, "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as { index: number; choice: string; left: string });
};

describe.skipIf(!hasChromium)("in Chromium", () => {
  beforeAll(async () => {
    await makeEvaluation(folder, PICTURES);
    browser = await openChromium();
  });
  afterAll(async () => {
    await browser.close();
    rmSync(folder, { recursive: true });
  });

  test("a rater votes by keyboard alone; killing the server loses nothing; the votes are printed at the end", async () => {
    const trials = trialsOf("plain\ncached", "Ada", PICTURES);
    const first = await start();
    const page = await (await browser.newContext()).newPage();
    const outside: string[] = [];
    page.on("request", (request) => new URL(request.url()).hostname === "127.0.0.1" || outside.push(request.url()));
    await page.goto(first.url);
    expect(await faults(page)).toEqual([]);
    await page.keyboard.type("Ada");
    await page.keyboard.press("Enter");
    const KEYS = ["ArrowLeft", "ArrowRight", "ArrowDown"] as const;
    for (const { index } of trials.slice(0, 3)) {
      await shows(page, index, trials.length);
      // What the page shows next, the disk has.
      expect(votes("Ada").length).toBe(index);
      if (index === 0) expect(await faults(page)).toEqual([]);
      await page.keyboard.press(KEYS[index]);
    }
    await shows(page, 3, trials.length);
    first.child.kill("SIGKILL");
    await first.ended;
    await page.keyboard.press("ArrowLeft");
    await page.getByRole("alert").waitFor();
    expect(votes("Ada").length).toBe(3);

    const second = await start();
    await begin(page, second.url, "Ada");
    for (const { index } of trials.slice(3)) {
      await shows(page, index, trials.length);
      await page.getByRole("button", { name: "left is better" }).click();
    }
    await page.getByText("That was all").waitFor();
    expect(votes("Ada").map(({ index }) => index)).toEqual([...trials.keys()]);
    const [one, two, three] = votes("Ada");
    expect(one.choice).toBe(one.left);
    expect(two.choice).toBe(two.left === "a" ? "b" : "a");
    expect(three.choice).toBe("tie");

    // A second rater, and one who reloads.
    await begin(page, second.url, "7");
    await shows(page, 0, trials.length);
    await page.keyboard.press("ArrowDown");
    await shows(page, 1, trials.length);
    await begin(page, second.url, "7");
    await shows(page, 1, trials.length);
    expect(outside).toEqual([]);
    second.child.kill("SIGINT");
    const result = JSON.parse(await second.ended) as { raters: string[]; excluded: string[]; votes: number };
    expect([...result.raters, ...result.excluded].sort()).toEqual(["7", "Ada"]);

    const csv = join(folder, "votes.csv");
    const printed = spawnSync(process.execPath, [...survey.slice(0, -1), "--results", "--csv", csv], {
      encoding: "utf8",
    });
    expect(printed.stdout).toMatch(/^better +votes +share \(95 %\)\nplain +/);
    expect(readFileSync(csv, "utf8").trim().split("\n").length).toBe(1 + trials.length + 1);
  }, 180_000);

  test("a page without the token, and another site's page, get nothing", async () => {
    const { url, child, ended } = await start();
    const page = await (await browser.newContext()).newPage();
    const bare = await page.goto(new URL("/", url).href);
    expect(bare?.status()).toBe(403);
    const other = await (await browser.newContext()).newPage();
    await other.goto("data:text/html,<h1>other</h1>");
    const got = await other.evaluate(
      (target) =>
        fetch(target).then(
          (response) => response.status,
          () => "refused",
        ),
      url.replace("/?", "/standing?"),
    );
    expect(got).toBe("refused");
    child.kill("SIGINT");
    await ended;
  }, 120_000);
});
