/**
 * Jupyter's control channel in a thread of its own: an interrupt that comes while the main thread computes is
 * noted in shared memory at once. The messages themselves are the main thread's.
 */
import { createRequire } from "node:module";
import { Worker, isMainThread, parentPort, workerData } from "node:worker_threads";
import { fileURLToPath } from "node:url";

/** How long the thread may take to close its socket, in milliseconds. */
const CLOSING = 1000;
/** How often the thread looks whether Jupyter is still there, in milliseconds. */
const LOOK = 1000;

/**
 * @param address to listen at
 * @param pending a number in shared memory: 1 from an interrupt until the main thread has answered it
 * @param onMessage receives a socket to answer on, and the frames of a message
 */
export function startControlThread({ address, pending, onMessage }) {
  const closed = new Int32Array(new SharedArrayBuffer(4));
  const worker = new Worker(fileURLToPath(import.meta.url), { workerData: { address, pending, closed } });
  const socket = { send: (frames) => worker.postMessage(frames.map((frame) => Buffer.from(frame))) };
  worker.on("message", (frames) => onMessage(socket, ...frames.map((frame) => Buffer.from(frame))));
  const close = () => {
    worker.postMessage("close");
    // A socket that is open when its thread is ended takes the process with it.
    Atomics.wait(closed, 0, 0, CLOSING);
  };
  process.on("exit", close);
  return { close };
}

/** The header is the second part behind the delimiter, after the signature. */
export function messageType(frames) {
  const delimiter = frames.findIndex((frame) => frame.toString() === "<IDS|MSG>");
  return JSON.parse(frames[delimiter + 2].toString()).msg_type;
}

async function serve({ address, pending, closed }) {
  const { Router } = createRequire(import.meta.url)("zeromq");
  const socket = new Router();
  await socket.bind(address);
  parentPort.on("message", (message) => {
    if (message !== "close") return socket.send(message.map((frame) => Buffer.from(frame)));
    socket.close();
    Atomics.store(closed, 0, 1);
    Atomics.notify(closed, 0);
    parentPort.close();
  });
  // A kernel whose Jupyter was killed would compute on for nobody.
  const jupyter = process.ppid;
  setInterval(() => process.ppid !== jupyter && process.kill(process.pid, "SIGKILL"), LOOK).unref();
  for await (const frames of socket) {
    if (messageType(frames) === "interrupt_request") Atomics.store(pending, 0, 1);
    parentPort.postMessage(frames);
  }
}

if (!isMainThread) await serve(workerData);
