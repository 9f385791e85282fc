/** `npm test`: set-up, static checks, then every test; the last line counts them. With arguments: vitest alone. */
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { jupyterEnvironment, root, setUp } from "./setup.mjs";

setUp();
const report = join(root, ".cache", "test-report.json");
mkdirSync(join(root, ".cache"), { recursive: true });
rmSync(report, { force: true });
if (process.argv.length === 2) {
  for (const check of [
    [join("node_modules", "prettier", "bin", "prettier.cjs"), "--check", "--log-level", "warn", "."],
    [join("node_modules", "eslint", "bin", "eslint.js"), "."],
    [join("node_modules", "typescript", "bin", "tsc"), "-p", "web"],
    [join("node_modules", "typescript", "bin", "tsc"), "-p", "test"],
    [
      join("node_modules", "dependency-cruiser", "bin", "dependency-cruise.mjs"),
      "src",
      "--config",
      ".dependency-cruiser.cjs",
    ],
    [
      join("node_modules", "dependency-cruiser", "bin", "dependency-cruise.mjs"),
      "src/planning",
      "--config",
      ".dependency-cruiser.planning.cjs",
    ],
  ]) {
    const { status } = spawnSync(process.execPath, check, { cwd: root, stdio: ["ignore", "inherit", "inherit"] });
    if (status === 0) continue;
    console.log("0 passed, 1 failed, 0 skipped");
    process.exit(status ?? 1);
  }
}
const vitest = [
  join("node_modules", "vitest", "vitest.mjs"),
  "run",
  "--reporter=default",
  "--reporter=json",
  `--outputFile.json=${report}`,
  ...process.argv.slice(2),
];
const { status } = spawnSync(process.execPath, vitest, {
  cwd: root,
  env: jupyterEnvironment,
  stdio: ["ignore", "inherit", "inherit"],
});
const { numPassedTests, numFailedTests, numPendingTests, numFailedTestSuites } = JSON.parse(
  readFileSync(report, "utf8"),
);
// A file that does not even load has failed although no test of it is counted.
const failed = Math.max(numFailedTests, status === 0 ? 0 : Math.max(1, numFailedTestSuites > 0 ? numFailedTests : 1));
console.log(`${numPassedTests} passed, ${failed} failed, ${numPendingTests} skipped`);
process.exitCode = status ?? 1;
