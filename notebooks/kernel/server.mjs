/** Jupyter's messages: tslab's server, with an error that says what went wrong, a queue that says what it skips, and interrupts. */
import { messageType } from "./controlThread.mjs";
import { CellOutputs, writingTo } from "./outputs.mjs";
import { describeError } from "./runCells.mjs";
import { tslab } from "./typescript.mjs";

/** What was sent before a cell failed has arrived after this many milliseconds. */
const ARRIVAL = 20;
/** How long the last messages may take to leave, in milliseconds. */
const FAREWELL = 200;

export class KernelServer extends tslab.ZmqServer {
  #cells;
  #interrupts;
  #message;
  #queue = Promise.resolve();
  #failures = 0;
  #count = 0;
  /** whether the request that is handled now was sent before a cell ahead of it failed */
  #isSkipped = false;

  constructor(connectionFile, cells, interrupts) {
    super(new tslab.JupyterHandlerImpl(cells.executor, false), connectionFile);
    this.#cells = cells;
    this.#interrupts = interrupts;
  }

  async bindSocket(socket, port) {
    // The control thread has that channel: it hears of an interrupt while this thread computes.
    if (socket === this.control) return;
    // No limit to what waits to be sent: beyond one, ZeroMQ drops messages.
    if (socket === this.iopub) socket.sendHighWaterMark = 0;
    await super.bindSocket(socket, port);
  }

  /** Requests to execute wait for each other; everything else is answered at once. */
  handleShellMessage(socket, ...frames) {
    const type = messageType(frames);
    if (type === "interrupt_request") return this.#interrupt(socket, frames);
    if (type !== "execute_request") return super.handleShellMessage(socket, ...frames);
    const failures = this.#failures;
    this.#queue = this.#queue.then(() => {
      this.#isSkipped = failures !== this.#failures;
      return super.handleShellMessage(socket, ...frames);
    });
    return this.#queue;
  }

  #interrupt(socket, frames) {
    this.#interrupts.interrupt();
    const request = this.#message?.fromRaw(this.connInfo.key, frames);
    if (request !== undefined) this.#send(request, "interrupt_reply", { status: "ok" }, socket);
  }

  handleKernelInfo(socket, message) {
    // tslab keeps its class of messages to itself.
    this.#message = message.constructor;
    super.handleKernelInfo(socket, message);
  }

  async handleExecute(socket, message) {
    const publish = (type, content) => this.#send(message, type, content, this.iopub);
    const content = await this.#execute(message.content, new CellOutputs(publish));
    this.#send(message, "execute_reply", content, socket);
  }

  async #execute({ code, stop_on_error: stopOnError = true }, outputs) {
    if (this.#isSkipped) {
      outputs.write("stderr", "not run: a cell before this one failed or was interrupted\n");
      outputs.flush();
      return { status: "aborted", execution_count: this.#count };
    }
    const execution_count = ++this.#count;
    try {
      await writingTo(outputs, () => this.#cells.execute(code));
      return { status: "ok", execution_count, user_expressions: {} };
    } catch (error) {
      const described = describeError(error);
      outputs.error(described);
      await new Promise((resolve) => setTimeout(resolve, ARRIVAL));
      if (stopOnError) this.#failures++;
      return { status: "error", execution_count, ...described };
    } finally {
      outputs.flush();
    }
  }

  #send(parent, type, content, socket) {
    const message = parent.createReply();
    message.header.msg_type = type;
    message.content = content;
    message.signAndSend(this.connInfo.key, socket);
  }

  close() {
    super.close();
    // Timers, servers and workers of cells would keep the process.
    setTimeout(() => process.exit(), FAREWELL);
  }
}
