/** Debian's Chromium, which tests of what a browser shows need. */
import { existsSync } from "node:fs";
import { chromium } from "playwright-core";
import type { Browser } from "playwright-core";

const CHROMIUM = "/usr/bin/chromium";

export const hasChromium = existsSync(CHROMIUM);
if (!hasChromium) console.log(`skipped: what needs a browser (no ${CHROMIUM}; on Debian: apt install chromium)`);

/** A browser that asks for nothing from outside. */
export function openChromium(): Promise<Browser> {
  return chromium.launch({
    executablePath: CHROMIUM,
    args: [
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
  });
}
