/** The notebooks' kernel: tslab, where ordinary TypeScript runs and an interrupt stops it. Usage: node main.mjs <connection file> */
import { readFileSync } from "node:fs";
import { InterruptedError } from "../../dist/errors.js";
import { startControlThread } from "./controlThread.mjs";
import { createInterrupts } from "./interrupts.mjs";
import { captureOutput } from "./outputs.mjs";
import { createCells, describeError } from "./runCells.mjs";
import { KernelServer } from "./server.mjs";

const [connectionFile] = process.argv.slice(2);
const { transport, ip, control_port } = JSON.parse(readFileSync(connectionFile, "utf8"));
const pending = new Int32Array(new SharedArrayBuffer(4));
const interrupts = createInterrupts(pending);
const server = new KernelServer(connectionFile, createCells(process.cwd(), interrupts), interrupts);

process.on("SIGINT", () => interrupts.interrupt());
process.on("uncaughtException", (error) => report("nobody caught", error));
process.on("unhandledRejection", (reason) => {
  // What an interrupt stopped is no news.
  if (!(reason instanceof InterruptedError)) report("rejected, and nobody awaited it", reason);
});
captureOutput();
await server.init();
startControlThread({
  address: `${transport}://${ip}:${control_port}`,
  pending,
  onMessage: (socket, ...frames) => server.handleShellMessage(socket, ...frames),
});

function report(what, error) {
  process.stderr.write(`${what}: ${describeError(error).traceback.join("\n")}\n`);
}
