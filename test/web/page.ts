/** The explorer's page in Chromium, for tests. */
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import type { Browser, Locator, Page } from "playwright-core";
import { expect } from "vitest";

export const main = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));
export const model = fileURLToPath(new URL("../fixtures/models/sd1-like", import.meta.url));
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** A limit much longer than anything takes: waiting ends as soon as the expected happens. */
export const PATIENCE = Number(process.env.PATIENCE ?? 300_000);

/** Waits until what is read is as expected. */
export const eventually = <Value>(read: () => Promise<Value>): ReturnType<typeof expect.poll<Value>> =>
  expect.poll(read, { timeout: PATIENCE, interval: 50 });

/** `blockcache explore` of the small model, and its link. */
export async function explore(options: readonly string[]): Promise<{ explorer: ChildProcess; url: string }> {
  const explorer = spawn(process.execPath, [main, "explore", model, "--json", "--no-open", ...options], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const url = await new Promise<string>((resolve) => {
    explorer.stdout?.once("data", (line) => resolve((JSON.parse(String(line).split("\n")[0]) as { url: string }).url));
  });
  return { explorer, url };
}

/** The worker process of an explorer. */
export function workerOf({ pid }: ChildProcess): number {
  return Number(readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ")[0]);
}

export interface Watched {
  /** what the page's console and scripts complained of */
  readonly faults: string[];
  /** requests to anyone else */
  readonly outside: string[];
}

export async function openPage(browser: Browser, url: string, { faults, outside }: Watched): Promise<Page> {
  const page = await browser.newPage({ viewport: { width: 1024, height: 700 }, acceptDownloads: true });
  page.setDefaultTimeout(PATIENCE);
  page.on("console", (message) => message.type() === "error" && faults.push(message.text()));
  page.on("pageerror", (error) => faults.push(error.message));
  page.on("request", (request) => {
    if (!/^(http:\/\/127\.0\.0\.1:|data:|blob:)/.test(request.url())) outside.push(request.url());
  });
  await page.goto(url);
  await page.waitForSelector(".gridframe canvas");
  return page;
}

/** The serious and critical faults that axe finds now. */
export async function seriousFaults(page: Page): Promise<string[]> {
  const found = (await page.evaluate(`(() => { const module = undefined; ${axe}; return axe.run(); })()`)) as {
    violations: { id: string; impact: string; nodes: { html: string }[] }[];
  };
  return found.violations
    .filter(({ impact }) => impact === "serious" || impact === "critical")
    .map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html.slice(0, 120)).join(" | ")}`);
}

export const delta = (of: Page): Locator => of.getByRole("slider", { name: /δ/ });
export const finished = (of: Page): Promise<unknown> => of.waitForSelector(".banner.finished");
export const speedup = (of: Page): Promise<string> => of.locator(".predicted .speedup").first().innerText();
