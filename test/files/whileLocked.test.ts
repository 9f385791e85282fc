/** One process at a time works at a file; what a process left that died is taken over. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { InUseError } from "../../src/errors.js";
import { whileLocked } from "../../src/files/whileLocked.js";

const folder = mkdtempSync(join(tmpdir(), "blockcache-lock-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A process that lives until it is killed. */
async function living(): Promise<{ pid: number; kill: () => Promise<void> }> {
  const child = spawn(process.execPath, ["-e", "console.log(1); setInterval(() => {}, 1000)"], {
    stdio: ["ignore", "pipe", "ignore"],
  });
  await once(child.stdout, "data");
  const kill = async (): Promise<void> => {
    child.kill("SIGKILL");
    await once(child, "exit");
  };
  return { pid: child.pid ?? 0, kill };
}

function leaveLock(file: string, holder: Readonly<Record<string, unknown>>, path = `${file}.lock`): void {
  writeFileSync(path, JSON.stringify({ token: "other", host: hostname(), since: "then", ...holder }));
}

test("a second call is refused while the first one works, by another name of the file too, and not afterwards", async () => {
  const file = join(folder, "new", "twice");
  await expect(
    whileLocked(file, async () => {
      await expect(whileLocked(file, async () => 1)).rejects.toBeInstanceOf(InUseError);
      writeFileSync(file, "");
      symlinkSync(file, join(folder, "link"));
      await expect(whileLocked(join(folder, "link"), async () => 1)).rejects.toThrow(
        new RegExp(
          `link: process ${process.pid} on .* has been writing it since .* — wait for it, or give another file$`,
        ),
      );
      throw new Error("its own");
    }),
  ).rejects.toThrow("its own");
  expect(existsSync(`${file}.lock`)).toBe(false);
  expect(await whileLocked(file, async () => 2)).toBe(2);
});

test("a process that lives is waited for, one that died is not, whatever it left", async () => {
  const file = join(folder, "left");
  const other = await living();
  leaveLock(file, { pid: other.pid });
  await expect(whileLocked(file, async () => 1)).rejects.toThrow(`process ${other.pid}`);
  expect(JSON.parse(readFileSync(`${file}.lock`, "utf8"))).toMatchObject({ token: "other" });
  // Another process that has the number of one that died
  if (process.platform === "linux") {
    leaveLock(file, { pid: other.pid, began: "1" });
    expect(await whileLocked(file, async () => 2)).toBe(2);
  }
  leaveLock(file, { pid: other.pid });
  await other.kill();
  expect(await whileLocked(file, async () => 3)).toBe(3);
  // This process has its number now.
  leaveLock(file, { pid: process.pid });
  expect(await whileLocked(file, async () => 4)).toBe(4);
  writeFileSync(`${file}.lock`, '{"tok');
  expect(await whileLocked(file, async () => 5)).toBe(5);
  expect(existsSync(`${file}.lock`)).toBe(false);
});

test("a dead process's lock is removed by one at a time, and by another where that one dies too", async () => {
  const file = join(folder, "takenOver");
  const other = await living();
  leaveLock(file, { pid: process.pid, token: "dead" });
  // Another process has seen the dead lock, and is about to remove it.
  leaveLock(file, { pid: other.pid }, `${file}.lock.dead`);
  await expect(whileLocked(file, async () => 1)).rejects.toThrow(`process ${other.pid}`);
  expect(JSON.parse(readFileSync(`${file}.lock`, "utf8"))).toMatchObject({ token: "dead" });
  await other.kill();
  expect(await whileLocked(file, async () => 2)).toBe(2);
  expect(readdirSync(folder).filter((name) => name.startsWith("takenOver"))).toEqual([]);
});

test("a lock that cannot be read is nobody's to remove", async () => {
  const file = join(folder, "unreadable");
  mkdirSync(`${file}.lock`);
  await expect(whileLocked(file, async () => 1)).rejects.toThrow(/unreadable\.lock: expected a lock that can be read/);
});

test("a device has no lock", async () => {
  expect(await whileLocked("/dev/null", async () => existsSync("/dev/null.lock"))).toBe(false);
});

test("a process on another machine may be working: the message says what to delete where it is not", async () => {
  const file = join(folder, "elsewhere");
  leaveLock(file, { pid: 1, host: "another" });
  await expect(whileLocked(file, async () => 1)).rejects.toThrow(
    `process 1 on another has been writing it since then — wait for it, or give another file; if that process has ended, delete ${file}.lock`,
  );
});

test("of many that find a dead process's lock at once, one at a time works", async () => {
  const file = join(folder, "many");
  leaveLock(file, { pid: process.pid });
  let [working, most, done] = [0, 0, 0];
  await Promise.allSettled(
    Array.from({ length: 8 }, () =>
      whileLocked(file, async () => {
        most = Math.max(most, ++working);
        await new Promise((resolve) => setImmediate(resolve));
        working--;
        done++;
      }),
    ),
  );
  expect(most).toBe(1);
  expect(done).toBeGreaterThan(0);
});

test.skipIf(process.getuid?.() === 0)("a folder that cannot be written is named", async () => {
  const closed = mkdtempSync(join(folder, "closed-"));
  chmodSync(closed, 0o500);
  await expect(whileLocked(join(closed, "file"), async () => 1)).rejects.toThrow(
    /expected a folder that can be written/,
  );
});
