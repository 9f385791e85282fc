/** What a cell writes: text in order and in few messages, displays, an error. */
import { AsyncLocalStorage } from "node:async_hooks";
import { tslab } from "./typescript.mjs";

/** Messages of text a second that leave at once; what comes faster is gathered, or Jupyter's servers would drop some. */
const MOST_MESSAGES = 50;
/** Gathered text leaves after this many milliseconds, or with this many characters. */
const PATIENCE = 25;
const MOST_CHARACTERS = 1 << 16;

/** The outputs of one cell, also of what it began and that still runs after it. */
export class CellOutputs {
  #publish;
  #stream = "stdout";
  #text = "";
  #timer;
  #second = 0;
  #messages = 0;

  /** @param publish sends a message (type, content) as a child of the cell's request */
  constructor(publish) {
    this.#publish = publish;
  }

  write(stream, text) {
    if (stream !== this.#stream) this.flush();
    this.#stream = stream;
    this.#text += text;
    if (this.#mayLeave() || this.#text.length >= MOST_CHARACTERS) this.flush();
    else this.#timer ??= setTimeout(() => this.flush(), PATIENCE);
  }

  #mayLeave() {
    const second = Math.floor(performance.now() / 1000);
    if (second !== this.#second) this.#messages = 0;
    this.#second = second;
    return this.#messages++ < MOST_MESSAGES;
  }

  display(content, isUpdate) {
    this.flush();
    this.#publish(isUpdate ? "update_display_data" : "display_data", content);
  }

  error(content) {
    this.flush();
    this.#publish("error", content);
  }

  flush() {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#text !== "") this.#publish("stream", { name: this.#stream, text: this.#text });
    this.#text = "";
  }
}

const own = new AsyncLocalStorage();
let latest;

/** Runs `work`; what it writes, then or later, goes to `outputs`. */
export function writingTo(outputs, work) {
  latest = outputs;
  return own.run(outputs, work);
}

/** Output goes to the cell it comes from, and where that is not known to the latest cell. */
export function captureOutput() {
  const current = () => own.getStore() ?? latest;
  for (const name of ["stdout", "stderr"]) {
    const toTerminal = process[name].write.bind(process[name]);
    const decoder = new TextDecoder();
    process[name].write = (chunk, encoding, callback) => {
      if (current() === undefined) return toTerminal(chunk, encoding, callback);
      const text = typeof chunk === "string" ? chunk : decoder.decode(chunk, { stream: true });
      current().write(name, text);
      const done = typeof encoding === "function" ? encoding : callback;
      if (done !== undefined) process.nextTick(done);
      return true;
    };
  }
  tslab.jupyterModule.lastWriteDisplayData = (content, isUpdate) => current()?.display(content, isUpdate);
}
